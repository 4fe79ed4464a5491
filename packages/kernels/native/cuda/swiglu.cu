// cpu/swiglu.cpp
#include "lanes.h"

namespace pt_cuda {
namespace {

PT_SCALAR float sigmoid(float g) { return 1.0f / (1.0f + exp_one(negate(g))); }

template <class Y, class G>
struct Gated {
  Y* y;
  const G *gate, *up;
  template <int N>
  __device__ void at(int64_t i) const {
    put<N>(y + i, map([](float g, float u) { return (g * sigmoid(g)) * u; }, get<N>(gate + i), get<N>(up + i)));
  }
};
template <class O, class D, class G>
struct GatedBack {
  O *dgate, *dup;
  const D* dy;
  const G *gate, *up;
  template <int N>
  __device__ void at(int64_t i) const {
    const Lanes<N> d = get<N>(dy + i), g = get<N>(gate + i), u = get<N>(up + i);
    const Lanes<N> s = map([](float x) { return sigmoid(x); }, g);
    put<N>(dup + i, map([](float a, float x, float w) { return a * (x * w); }, d, g, s));
    put<N>(dgate + i,
           map([](float a, float x, float w, float b) { return (a * b) * (w * multiply_add(x, 1.0f - w, 1.0f)); }, d, g,
               s, u));
  }
};

template <class T>
using Element = std::remove_pointer_t<T>;

}  // namespace

int swiglu_forward(const pt_context* ctx, pt_tensor y, pt_tensor gate, pt_tensor up) {
  if (refuse_mixed(ctx, "gate", gate, "up", up)) return 1;
  return with_float(gate, [&](auto* g) {
    const auto u = static_cast<decltype(g)>(up.data);
    return with_float(y, [&](auto* to) {
      return each(ctx, elements(y), wide(to, g, u), Gated<Element<decltype(to)>, Element<decltype(g)>>{to, g, u});
    });
  });
}

int swiglu_backward(const pt_context* ctx, pt_tensor dgate, pt_tensor dup, pt_tensor dy, pt_tensor gate, pt_tensor up) {
  if (refuse_mixed(ctx, "gate", gate, "up", up) || refuse_mixed(ctx, "dgate", dgate, "dup", dup)) return 1;
  return with_float(gate, [&](auto* g) {
    const auto u = static_cast<decltype(g)>(up.data);
    return with_float(dgate, [&](auto* to_gate) {
      const auto to_up = static_cast<decltype(to_gate)>(dup.data);
      return with_float(dy, [&](auto* d) {
        using Body = GatedBack<Element<decltype(to_gate)>, Element<decltype(d)>, Element<decltype(g)>>;
        return each(ctx, elements(dy), wide(to_gate, to_up, d, g, u), Body{to_gate, to_up, d, g, u});
      });
    });
  });
}

}  // namespace pt_cuda
