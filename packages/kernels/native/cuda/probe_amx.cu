// cpu/probe_amx.cpp with tensor cores in place of AMX's tiles: as many products of bf16 tiles as `iterations` rounds of each of y's numbers are there
// (4 * 16 * 16 * 32 multiply-adds a round), shared out among all warps of the device. A number of y gets what one of them ends with.
#include "tensor_cores.h"

namespace pt_cuda {
namespace {

constexpr int THREADS = 256, CHAINS = 4;
constexpr int64_t ROUND = 4 * 16 * 16 * 32 / (16 * 8 * 16);  // instructions
#if defined(PT_EMULATED)
constexpr int64_t BLOCKS = 1;
#else
constexpr int64_t BLOCKS = 4 * 264;
#endif

__global__ void probe_tiles_kernel(float* y, int64_t count, int64_t rounds) {
  const int64_t thread = static_cast<int64_t>(blockIdx.x) * THREADS + threadIdx.x;
  const uint32_t ones = pack(0x1p-7f, 0x1p-7f), a[4] = {ones, ones, ones, ones}, b[2] = {ones, ones};
  float sums[CHAINS][4] = {};
  for (int64_t round = 0; round < rounds; round++)
#pragma unroll
    for (int c = 0; c < CHAINS; c++) multiply_tiles(sums[c], a, b);
  float sum = 0.0f;
#pragma unroll
  for (int c = 0; c < CHAINS; c++) sum = sum + sums[c][c];
  if (thread < count || sum < 0.0f) y[thread % count] = sum;  // as in probe_fma.cu
}

}  // namespace

int probe_amx_forward(const pt_context* ctx, pt_tensor y, int64_t iterations) {
  if (iterations < 0 || iterations > int64_t{1} << 40) {
    ctx->fail(ctx, "iterations is %lld, expected 0 to 2^40", static_cast<long long>(iterations));
    return 1;
  }
  const int64_t count = elements(y);
  if (count == 0) return 0;
  const double each = static_cast<double>(iterations) * static_cast<double>(count * ROUND) /
                      static_cast<double>(BLOCKS * (THREADS / 32) * CHAINS);
  return launch<probe_tiles_kernel>(ctx, {count_of(BLOCKS), THREADS}, f32(y), count, static_cast<int64_t>(each) + 1);
}

}  // namespace pt_cuda
