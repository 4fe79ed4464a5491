// The statistics of a row of logits, in the order of cpu/token_log_probs.h: blocks of 2,048 of the vocabulary against their own maxima.
#pragma once
#include "gemm_bf16.h"

namespace pt_cuda {

constexpr int64_t VOCABULARY_BLOCK = 2048;
constexpr float FAR = -200.0f;

// x as products with the weight take it: rounded to bf16 where that is bf16. Fails when the two do not go together.
inline int prepare(const pt_context* ctx, pt_tensor* x, pt_tensor weight) {
  if (!is_bf16(weight)) return refuse_bf16_beside(ctx, "weight", "x", *x);
  *x = as_bf16(ctx, *x);
  return x->data == nullptr;
}
// Products x . w of rows of x from `row` on with rows of the weight from `first` on.
inline int project(const pt_context* ctx, float* products, int64_t stride, pt_tensor x, int64_t row, int64_t rows,
                   pt_tensor weight, int64_t first, int64_t columns) {
  const int64_t C = x.dims[1];
  if (is_bf16(weight))
    return multiply(ctx, ProductBf16{products,
                                     false,
                                     stride,
                                     {bf(x) + row * C, C, 1},
                                     {bf(weight) + first * C, C, 1},
                                     rows,
                                     columns,
                                     C,
                                     nullptr,
                                     false});
  return multiply(
      ctx, {products, stride, {f32(x) + row * C, C, 1}, {f32(weight) + first * C, C, 1}, rows, columns, C, nullptr},
      Sum::blocks);
}

struct LogitStatistics {
  float maximum;
  int64_t argmax;
  double sum, weighted, total;
};

PT_SCALAR float distance_to(float maximum, float x) {
  const float distance = x - (maximum > LOWEST ? maximum : LOWEST);
  return distance < FAR ? FAR : distance;
}

// Of one block by half a warp: `columns` products x . w, the first of them for the token `first`.
PT_SCALAR LogitStatistics block_statistics(const float* products, int64_t columns, int64_t first, float factor) {
  const int64_t lane = threadIdx.x % 16;
  float largest = -__int_as_float(0x7f800000);
  for (int64_t j = lane; j < columns; j += 16) largest = larger(products[j] * factor, largest);
  const float maximum = larger_of_halfwarp(largest), shift = larger(maximum, LOWEST);
  float sum = 0.0f, weighted = 0.0f, total = 0.0f;
  auto found = static_cast<int>(VOCABULARY_BLOCK);
  for (int64_t j = lane; j < columns; j += 16) {
    const float z = products[j] * factor, distance = larger(FAR, z - shift), e = exp_one(distance);
    sum = sum + e;
    weighted = weighted + e * distance;
    total = total + z;
    if (z == maximum && found == VOCABULARY_BLOCK) found = static_cast<int>(j);
  }
#pragma unroll
  for (int width = 8; width > 0; width /= 2) {
    const int other = __shfl_xor_sync(WHOLE_WARP, found, width);
    found = other < found ? other : found;
  }
  return {maximum, first + (found == VOCABULARY_BLOCK ? 0 : found), add_halfwarp(sum), add_halfwarp(weighted),
          add_halfwarp(total)};
}

PT_SCALAR LogitStatistics merge_blocks(const LogitStatistics* blocks, int64_t count) {
  LogitStatistics a = blocks[0];
  for (int64_t i = 1; i < count; i++) {
    const LogitStatistics b = blocks[i];
    const bool is_larger = b.maximum > a.maximum;
    const float maximum = is_larger ? b.maximum : a.maximum;
    const float down_a = distance_to(maximum, a.maximum), down_b = distance_to(maximum, b.maximum);
    const double scale_a = exp_one(down_a), scale_b = exp_one(down_b);
    a.weighted = (a.weighted + a.sum * down_a) * scale_a + (b.weighted + b.sum * down_b) * scale_b;
    a.sum = a.sum * scale_a + b.sum * scale_b;
    a.total = a.total + b.total;
    a.maximum = maximum;
    if (is_larger) a.argmax = b.argmax;
  }
  return a;
}

PT_SCALAR float log_probability(const LogitStatistics& s, float logit) {
  return static_cast<float>(static_cast<double>(logit) - s.maximum - log64(s.sum));
}
PT_SCALAR float entropy_of(const LogitStatistics& s) { return static_cast<float>(log64(s.sum) - s.weighted / s.sum); }
PT_SCALAR float log_sum_exp_of(const LogitStatistics& s) { return static_cast<float>(s.maximum + log64(s.sum)); }

}  // namespace pt_cuda
