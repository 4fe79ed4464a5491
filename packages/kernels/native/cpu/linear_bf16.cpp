// linear with bf16 weights: x, f32 or bf16, and dy are rounded to bf16 as they are read; y is f32 or bf16, gradients are f32. The
// bias (bf16) is added in fp32 to the finished sum. How sums are made: gemm_bf16.h.
#include "linear.h"

namespace PT_NAMESPACE {

int linear_maps_bf16(const pt_context* ctx, const LinearMap* maps, int64_t count, pt_tensor x, void* scratch) {
  const int64_t M = x.dims[0], K = x.dims[1];
  x = as_bf16(ctx, x);
  if (!x.data) return 1;
  ProductBf16 products[MOST_TOGETHER];
  for (int64_t i = 0; i < count; i++) {
    const auto& [y, weight, bias] = maps[i];
    if (bias.data && !is_bf16(bias)) {
      ctx->fail(ctx, "bias is f32, but weight is bf16");
      return 1;
    }
    const int64_t N = weight.dims[0];
    products[i] = {y.data, !is_bf16(y), N, factor<bf16>(x), factor<bf16>(weight).transposed(),
                   M,      N,           K, false,           bf(bias)};
  }
  return multiply_parallel(ctx, products, count, scratch);
}

int linear_gradients_bf16(const pt_context* ctx, pt_tensor dx, pt_tensor dweight, pt_tensor dy, pt_tensor x,
                          pt_tensor weight, void* scratch) {
  const int64_t M = x.dims[0], N = weight.dims[0], K = weight.dims[1];
  if (!dx.data && !dweight.data) return 0;
  dy = as_bf16(ctx, dy);
  if (!dy.data) return 1;
  if (dx.data &&
      multiply_parallel(
          ctx, {dx.data, !is_bf16(dx), K, factor<bf16>(dy), factor<bf16>(weight), M, K, N, false, nullptr}, scratch))
    return 1;
  if (!dweight.data) return 0;
  x = as_bf16(ctx, x);
  if (!x.data) return 1;
  return multiply_parallel(
      ctx, {dweight.data, true, K, factor<bf16>(dy).transposed(), factor<bf16>(x), N, K, M, true, nullptr}, scratch);
}

}  // namespace PT_NAMESPACE
