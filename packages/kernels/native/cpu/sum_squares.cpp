// total = sum of x^2 in double. Blocks of 4,096 elements; in a block lane l takes elements l, l+16, ... (multiply, then add), then
// the tree of simd.h (l with l+8, l+4, l+2, l+1); block results are added in block order. The blocks do not depend on the threads.
#include "cpu.h"

namespace PT_NAMESPACE {

constexpr int64_t SUM_BLOCK = 4096;

static double block_sum(const float* x, int64_t n) {
  double lanes[LANES] = {};
  int64_t i = 0;
  for (; i + LANES <= n; i += LANES)
    for (int l = 0; l < LANES; l++) lanes[l] += static_cast<double>(x[i + l]) * static_cast<double>(x[i + l]);
  for (int l = 0; i + l < n; l++) lanes[l] += static_cast<double>(x[i + l]) * static_cast<double>(x[i + l]);
  for (int width = LANES / 2; width > 0; width /= 2)
    for (int l = 0; l < width; l++) lanes[l] += lanes[l + width];
  return lanes[0];
}

int sum_squares_forward(const pt_context* ctx, pt_tensor total, pt_tensor x) {
  if (refuse_bf16(ctx, "x", x)) return 1;
  const int64_t n = elements(x), blocks = ceil_div(n, SUM_BLOCK);
  double* sums = static_cast<double*>(ctx->scratch(ctx, (blocks + 1) * static_cast<int64_t>(sizeof(double))));
  if (!sums) return 1;
  parallel_ranges(ctx, blocks, 8, [=](int64_t begin, int64_t end) {
    for (int64_t b = begin; b < end; b++)
      sums[b] = block_sum(f32(x) + b * SUM_BLOCK, smaller(SUM_BLOCK, n - b * SUM_BLOCK));
  });
  double sum = 0;
  for (int64_t b = 0; b < blocks; b++) sum += sums[b];
  f64(total)[0] = sum;
  return 0;
}

}  // namespace PT_NAMESPACE
