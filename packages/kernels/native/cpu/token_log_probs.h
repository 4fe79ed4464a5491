// The statistics of a row of logits, shared by token_log_probs and sample, whose log-probabilities must be the same bits. A logit is
// z = (x . w) * inverse_temperature. The vocabulary is taken in blocks that start at multiples of VOCABULARY_BLOCK; each is summed
// relative to its own maximum in 16 lanes (lane = column mod 16) and the fixed tree, and blocks merge in ascending order.
//
// A logit of minus infinity has probability 0 and adds nothing but to the mean, alone or as a whole block: sums are relative to the
// lowest finite number where a maximum is minus infinity, and distances stop at FAR, long after exp is 0, because 0 times infinity is
// NaN.
#pragma once
#include "gemm/gemm.h"
#include "gemm/gemm_bf16.h"
#include "math64.h"

namespace PT_NAMESPACE {

constexpr int64_t VOCABULARY_BLOCK = 2048;
constexpr float LOWEST = -3.40282347e38f;
constexpr float FAR = -200.0f;

// x as products with the weight take it: rounded to bf16 where that is bf16. Fails when the two do not go together.
static inline int prepare(const pt_context* ctx, pt_tensor* x, pt_tensor weight) {
  if (!is_bf16(weight)) return refuse_bf16_beside(ctx, "weight", "x", *x);
  *x = as_bf16(ctx, *x);
  return x->data == nullptr;
}

// Products x . w, in fp32, of rows of x [row, row + rows) with rows of the weight [first, first + columns): in the order of bf16 products
// where the weight is bf16, and x then too. scratch: product_scratch(weight) bytes, a thread's own.
PT_INLINE int64_t product_scratch(pt_tensor weight) { return is_bf16(weight) ? PRODUCT_BF16_SCRATCH : PRODUCT_SCRATCH; }
static inline void project(const pt_context* ctx, float* products, int64_t stride, pt_tensor x, int64_t row,
                           int64_t rows, pt_tensor weight, int64_t first, int64_t columns, void* scratch) {
  const int64_t C = x.dims[1];
  if (is_bf16(weight))
    multiply(ctx,
             {products, true, stride, factor<bf16>(x, row), factor<bf16>(weight, first).transposed(), rows, columns, C,
              false, nullptr},
             scratch);
  else
    multiply({products, stride, row_major(f32(x) + row * C, C), row_major(f32(weight) + first * C, C).transposed(),
              rows, columns, C, Sum::blocks, nullptr},
             scratch);
}

struct LogitStatistics {
  float maximum;    // NaN logits are left out of it; the sums hold them
  int64_t argmax;   // lowest index of the largest logit
  double sum;       // of exp(z - maximum)
  double weighted;  // of exp(z - maximum) (z - maximum)
  double total;     // of z
};

// The lowest of `columns` products that times the factor is `value`; 0 if none is (all NaN).
static inline int64_t first_product(const float* products, int64_t columns, float factor, float value) {
  for (int64_t j = 0; j < columns; j += LANES) {
    const int64_t n = columns - j;
    const int lane =
        first_equal(mul(n >= LANES ? load(products + j) : load_first(products + j, n), splat(factor)), splat(value));
    if (lane < smaller(n, LANES)) return j + lane;
  }
  return 0;
}

// Of one block: `columns` products x . w, the first of them for the token `first`.
static inline LogitStatistics block_statistics(const float* products, int64_t columns, int64_t first,
                                               float inverse_temperature) {
  const float infinity = __builtin_inff();
  const f32x16 factor = splat(inverse_temperature);
  f32x16 largest = splat(-infinity);
  for (int64_t j = 0; j < columns; j += LANES) {
    const int64_t n = columns - j;
    const f32x16 z = n >= LANES ? mul(load(products + j), factor)
                                : keep_first(mul(load_first(products + j, n), factor), n, -infinity);
    largest = max(z, largest);
  }
  const float maximum = reduce_max(largest);
  const f32x16 shift = splat(maximum > LOWEST ? maximum : LOWEST);
  f32x16 sum = splat(0.0f), weighted = splat(0.0f), total = splat(0.0f);
  for (int64_t j = 0; j < columns; j += LANES) {
    const int64_t n = columns - j;
    const f32x16 z = mul(n >= LANES ? load(products + j) : load_first(products + j, n), factor);
    const f32x16 distance = max(splat(FAR), sub(z, shift));
    const f32x16 e = exp(distance);
    const f32x16 term = mul(e, distance);
    sum = add(sum, n >= LANES ? e : keep_first(e, n, 0.0f));
    weighted = add(weighted, n >= LANES ? term : keep_first(term, n, 0.0f));
    total = add(total, n >= LANES ? z : keep_first(z, n, 0.0f));
  }
  const int64_t argmax = first_product(products, columns, inverse_temperature, maximum);
  return {maximum, first + argmax, reduce_add(sum), reduce_add(weighted), reduce_add(total)};
}

PT_INLINE float distance_to(float maximum, float x) {
  const float distance = x - (maximum > LOWEST ? maximum : LOWEST);
  return distance < FAR ? FAR : distance;
}

static inline LogitStatistics merge_blocks(const LogitStatistics* blocks, int64_t count) {
  LogitStatistics a = blocks[0];
  for (int64_t i = 1; i < count; i++) {
    const LogitStatistics& b = blocks[i];
    const bool larger = b.maximum > a.maximum;
    const float maximum = larger ? b.maximum : a.maximum;
    const float down_a = distance_to(maximum, a.maximum), down_b = distance_to(maximum, b.maximum);
    const double scale_a = exp_one(down_a), scale_b = exp_one(down_b);
    a.weighted = (a.weighted + a.sum * down_a) * scale_a + (b.weighted + b.sum * down_b) * scale_b;
    a.sum = a.sum * scale_a + b.sum * scale_b;
    a.total = a.total + b.total;
    a.maximum = maximum;
    if (larger) a.argmax = b.argmax;
  }
  return a;
}

PT_INLINE float log_probability(const LogitStatistics& s, float logit) {
  return static_cast<float>(static_cast<double>(logit) - s.maximum - log64(s.sum));
}
PT_INLINE float entropy_of(const LogitStatistics& s) { return static_cast<float>(log64(s.sum) - s.weighted / s.sum); }
PT_INLINE float log_sum_exp_of(const LogitStatistics& s) { return static_cast<float>(s.maximum + log64(s.sum)); }

}  // namespace PT_NAMESPACE
