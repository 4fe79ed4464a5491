// A linear map: y = x weight^T + bias, with x (M, K), weight (N, K), bias (N). Backward: dx = dy weight (=), dweight += dy^T x,
// dbias += column sums of dy as it is given; the last two are chains over tokens in ascending order that start from the stored gradient.
// The bias is added once, after the sum along K. How sums are made: gemm.h; with a bf16 weight: linear_bf16.cpp.
#include "linear.h"

#include "elementwise.h"

namespace PT_NAMESPACE {

int linear_maps(const pt_context* ctx, const LinearMap* maps, int64_t count, pt_tensor x) {
  const pt_tensor weight = maps[0].weight;
  if (!is_bf16(weight))
    for (int64_t i = 0; i < count; i++)
      if (refuse_bf16_beside(ctx, "weight", "y", maps[i].y, "x", x, "bias", maps[i].bias)) return 1;
  void* scratch = linear_scratch(ctx, weight);
  if (!scratch) return 1;
  if (is_bf16(weight)) return linear_maps_bf16(ctx, maps, count, x, scratch);
  const int64_t M = x.dims[0], K = x.dims[1];
  Product products[MOST_TOGETHER];
  for (int64_t i = 0; i < count; i++) {
    const int64_t N = maps[i].weight.dims[0];
    products[i] = {
        f32(maps[i].y),   N, row_major(f32(x), K), row_major(f32(maps[i].weight), K).transposed(), M, N, K, Sum::blocks,
        f32(maps[i].bias)};
  }
  multiply_parallel(ctx, products, count, scratch);
  return 0;
}

template <class T>
static void add_column_sums(const pt_context* ctx, float* sums, const T* x, int64_t rows, int64_t columns) {
  parallel_ranges(ctx, columns, 4 * LANES, [=](int64_t begin, int64_t end) {
    for (int64_t row = 0; row < rows; row++)
      each_group(begin, end,
                 [&](int64_t c, int64_t n) { put(sums + c, add(get(sums + c, n), get(x + row * columns + c, n)), n); });
  });
}

int linear_gradients(const pt_context* ctx, pt_tensor dx, pt_tensor dweight, pt_tensor dbias, pt_tensor dy, pt_tensor x,
                     pt_tensor weight, void* scratch) {
  if (!is_bf16(weight) && refuse_bf16_beside(ctx, "weight", "dx", dx, "dy", dy, "x", x)) return 1;
  const int64_t M = x.dims[0], N = weight.dims[0], K = weight.dims[1];
  if (dbias.data) with_float(dy, [&](auto from) { add_column_sums(ctx, f32(dbias), from, M, N); });
  if (is_bf16(weight)) return linear_gradients_bf16(ctx, dx, dweight, dy, x, weight, scratch);
  if (dx.data)
    multiply_parallel(
        ctx, {f32(dx), K, row_major(f32(dy), N), row_major(f32(weight), K), M, K, N, Sum::blocks, nullptr}, scratch);
  if (dweight.data)
    multiply_parallel(
        ctx, {f32(dweight), K, row_major(f32(dy), N).transposed(), row_major(f32(x), K), N, K, M, Sum::chain, nullptr},
        scratch);
  return 0;
}

int linear_forward(const pt_context* ctx, pt_tensor y, pt_tensor x, pt_tensor weight, pt_tensor bias) {
  const LinearMap map = {y, weight, bias};
  return linear_maps(ctx, &map, 1, x);
}

int linear_backward(const pt_context* ctx, pt_tensor dx, pt_tensor dweight, pt_tensor dbias, pt_tensor dy, pt_tensor x,
                    pt_tensor weight) {
  void* scratch = linear_scratch(ctx, weight);
  return !scratch || linear_gradients(ctx, dx, dweight, dbias, dy, x, weight, scratch);
}

}  // namespace PT_NAMESPACE
