// y = (gate * s) * up, s = 1 / (1 + exp(-gate)). Backward: dup = dy * (gate * s); dgate = (dy * up) * (s * fma(gate, 1 - s, 1)).
// Outputs may be inputs. gate and up are of one dtype, dgate and dup too; all is computed in fp32 and rounded where it is stored.
// Shazeer 2020 (arXiv 2002.05202).
#include "elementwise.h"

namespace PT_NAMESPACE {

template <class V>
PT_INLINE V sigmoid(V g) {
  return div(every<V>(1.0f), add(every<V>(1.0f), exp(negate(g))));
}
template <class V>
PT_INLINE V gated(V g, V u) {
  return mul(mul(g, sigmoid(g)), u);
}
template <class V>
struct Gradients {
  V gate, up;
};
template <class V>
PT_INLINE Gradients<V> gradients(V d, V g, V u) {
  const V s = sigmoid(g), one = every<V>(1.0f);
  return {mul(mul(d, u), mul(s, fma(g, sub(one, s), one))), mul(d, mul(g, s))};
}

// What is rounded to bf16 is made in fp32 first, a piece that stays in the nearest cache: after exp and division there is no room in
// the processor's window for the steps of rounding as well.
constexpr int64_t ROUNDED_PIECE = 1024;

template <class G>
static void make_range(bool cold, float* y, const G* g, const G* u, int64_t begin, int64_t end) {
  int64_t at = begin;
  for (; at + 2 * LANES <= end; at += 2 * LANES) put_two(cold, y + at, gated(get_two(g + at), get_two(u + at)));
  each_group(at, end, [&](int64_t i, int64_t n) { put(cold, y + i, gated(get(g + i, n), get(u + i, n)), n); });
}
template <class G>
static void make_range(bool cold, bf16* y, const G* g, const G* u, int64_t begin, int64_t end) {
  float made[ROUNDED_PIECE];
  for (int64_t at = begin; at < end; at += ROUNDED_PIECE) {
    const int64_t count = smaller(ROUNDED_PIECE, end - at);
    make_range(false, made, g + at, u + at, 0, count);
    each_group(0, count, [&](int64_t i, int64_t n) { put(cold, y + at + i, get(made + i, n), n); });
  }
}

template <class D, class G>
static void make_gradients(bool cold, float* dgate, float* dup, const D* dy, const G* g, const G* u, int64_t begin,
                           int64_t end) {
  int64_t at = begin;
  for (; at + 2 * LANES <= end; at += 2 * LANES) {
    const auto made = gradients(get_two(dy + at), get_two(g + at), get_two(u + at));
    put_two(cold, dup + at, made.up);
    put_two(cold, dgate + at, made.gate);
  }
  each_group(at, end, [&](int64_t i, int64_t n) {
    const auto made = gradients(get(dy + i, n), get(g + i, n), get(u + i, n));
    put(cold, dup + i, made.up, n);
    put(cold, dgate + i, made.gate, n);
  });
}
template <class D, class G>
static void make_gradients(bool cold, bf16* dgate, bf16* dup, const D* dy, const G* g, const G* u, int64_t begin,
                           int64_t end) {
  float gates[ROUNDED_PIECE], ups[ROUNDED_PIECE];
  for (int64_t at = begin; at < end; at += ROUNDED_PIECE) {
    const int64_t count = smaller(ROUNDED_PIECE, end - at);
    make_gradients(false, gates, ups, dy + at, g + at, u + at, 0, count);
    each_group(0, count, [&](int64_t i, int64_t n) {
      put(cold, dup + at + i, get(ups + i, n), n);
      put(cold, dgate + at + i, get(gates + i, n), n);
    });
  }
}

int swiglu_forward(const pt_context* ctx, pt_tensor y, pt_tensor gate, pt_tensor up) {
  if (refuse_mixed(ctx, "gate", gate, "up", up)) return 1;
  const bool apart = y.data != gate.data && y.data != up.data;
  with_float(gate, [&](auto g) {
    const auto u = static_cast<decltype(g)>(up.data);
    with_float(y, [&](auto to) {
      const bool cold = is_cold(y) && apart;
      parallel_elements(ctx, elements(y), [=](int64_t begin, int64_t end) { make_range(cold, to, g, u, begin, end); });
    });
  });
  return 0;
}

int swiglu_backward(const pt_context* ctx, pt_tensor dgate, pt_tensor dup, pt_tensor dy, pt_tensor gate, pt_tensor up) {
  if (refuse_mixed(ctx, "gate", gate, "up", up) || refuse_mixed(ctx, "dgate", dgate, "dup", dup)) return 1;
  with_float(gate, [&](auto g) {
    const auto u = static_cast<decltype(g)>(up.data);
    with_float(dgate, [&](auto to_gate) {
      const auto to_up = static_cast<decltype(to_gate)>(dup.data);
      with_float(dy, [&](auto from) {
        const bool cold = is_cold(dgate) && is_cold(dup);
        parallel_elements(ctx, elements(dy), [=](int64_t begin, int64_t end) {
          make_gradients(cold, to_gate, to_up, from, g, u, begin, end);
        });
      });
    });
  });
  return 0;
}

}  // namespace PT_NAMESPACE
