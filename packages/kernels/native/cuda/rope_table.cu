// cpu/rope_table.cpp
#include "cuda.h"

namespace pt_cuda {
namespace {

__global__ void rope_table_kernel(float* cosines, float* sines, const int32_t* positions, const double* frequencies,
                                  double scale, int64_t angles, int64_t count) {
  const int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i >= count) return;
  double sine, cosine;
  sincos64(static_cast<double>(positions[i / angles]) * frequencies[i % angles], &sine, &cosine);
  cosines[i] = static_cast<float>(cosine * scale);
  sines[i] = static_cast<float>(sine * scale);
}

}  // namespace

int rope_table_forward(const pt_context* ctx, pt_tensor cosines, pt_tensor sines, pt_tensor positions,
                       pt_tensor frequencies, double scale) {
  constexpr int THREADS = 256;
  const int64_t angles = frequencies.dims[0], count = positions.dims[0] * angles;
  return launch<rope_table_kernel>(ctx, {count_of(ceil_div(count, THREADS)), THREADS}, f32(cosines), f32(sines),
                                   i32(positions), f64(frequencies), scale, angles, count);
}

}  // namespace pt_cuda
