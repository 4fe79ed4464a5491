// cpu/fill.cpp
#include "lanes.h"

namespace pt_cuda {
namespace {

template <class T>
struct Fill {
  T* y;
  float value;
  template <int N>
  __device__ void at(int64_t i) const {
    Lanes<N> all;
#pragma unroll
    for (int l = 0; l < N; l++) all.x[l] = value;
    put<N>(y + i, all);
  }
};

}  // namespace

int fill_forward(const pt_context* ctx, pt_tensor y, double value) {
  return with_float(y, [&](auto* to) {
    return each(ctx, elements(y), wide(to), Fill<std::remove_pointer_t<decltype(to)>>{to, static_cast<float>(value)});
  });
}

}  // namespace pt_cuda
