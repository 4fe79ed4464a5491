// cpu/add.cpp
#include "lanes.h"

namespace pt_cuda {
namespace {

struct Add {
  float* y;
  const float *a, *b;
  template <int N>
  __device__ void at(int64_t i) const {
    put<N>(y + i, map([](float p, float q) { return p + q; }, get<N>(a + i), get<N>(b + i)));
  }
};

}  // namespace

int add_forward(const pt_context* ctx, pt_tensor y, pt_tensor a, pt_tensor b) {
  return each(ctx, elements(y), wide(f32(y), f32(a), f32(b)), Add{f32(y), f32(a), f32(b)});
}

}  // namespace pt_cuda
