// cpu/probe_fma.cpp: as many multiply-adds as `iterations` rounds of each of y's numbers are there, shared out among all threads of the device, in
// independent chains. A number of y gets what one of them ends with.
#include "lanes.h"

namespace pt_cuda {
namespace {

constexpr int THREADS = 256, CHAINS = 8;
constexpr int64_t ROUND = 24 * 16;  // multiply-adds
#if defined(PT_EMULATED)
constexpr int64_t BLOCKS = 1;
#else
constexpr int64_t BLOCKS = 8 * 264;
#endif

__global__ void probe_fma_kernel(float* y, int64_t count, int64_t rounds) {
  const int64_t thread = static_cast<int64_t>(blockIdx.x) * THREADS + threadIdx.x;
  float chains[CHAINS];
#pragma unroll
  for (int c = 0; c < CHAINS; c++) chains[c] = 0.5f + 0.01f * static_cast<float>(threadIdx.x) + static_cast<float>(c);
  for (int64_t round = 0; round < rounds; round++)
#pragma unroll
    for (int c = 0; c < CHAINS; c++) chains[c] = multiply_add(chains[c], 0.999f, 0.001f);
  float sum = 0.0f;
#pragma unroll
  for (int c = 0; c < CHAINS; c++) sum = sum + chains[c];
  // All threads do the work, as none can know that no sum is this large.
  if (thread < count || sum > 1e30f) y[thread % count] = sum;
}

}  // namespace

int probe_fma_forward(const pt_context* ctx, pt_tensor y, int64_t iterations) {
  if (iterations < 0 || iterations > int64_t{1} << 40) {
    ctx->fail(ctx, "iterations is %lld, expected 0 to 2^40", static_cast<long long>(iterations));
    return 1;
  }
  const int64_t count = elements(y);
  if (count == 0) return 0;
  const double each = static_cast<double>(iterations) * static_cast<double>(count * ROUND) /
                      static_cast<double>(BLOCKS * THREADS * CHAINS);
  return launch<probe_fma_kernel>(ctx, {count_of(BLOCKS), THREADS}, f32(y), count, static_cast<int64_t>(each) + 1);
}

}  // namespace pt_cuda
