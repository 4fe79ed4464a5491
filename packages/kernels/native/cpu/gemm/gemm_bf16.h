// Products of bf16 matrices, summed in fp32 in the order of AMX's TDPBF16PS, on every path. Each element of C = A B is a total over blocks
// of 32 along the inner dimension, which begin at its multiples, in ascending order:
//   even = one chain of 16 fused multiply-adds over k = 0, 2, ..., 30 of the block from +0; odd = the same over k = 1, 3, ..., 31;
//   total = total + (even + odd).
// The total starts from +0 or from the stored C. The inner dimension is padded with +0 to a multiple of 32. Subnormals, read or made, are
// zero. So neither the shape around an element, nor the number of threads, nor the path changes its bits; and a sum over two calls
// that meet at a multiple of 32 is the sum of one.
#pragma once
#include "../bf16.h"
#include "factor.h"

namespace PT_NAMESPACE {

// The tensor, or, where it is f32, a copy rounded to bf16 that lasts as long as the op; data is null when there is no memory (the context
// said so).
pt_tensor as_bf16(const pt_context* ctx, pt_tensor x);

struct ProductBf16 {
  void* c;      // (rows, columns), its rows c_row elements apart
  bool c_wide;  // f32, not bf16 (multiply() takes a bf16 C only where depth is at most 4,096)
  int64_t c_row;
  Factor<bf16> a;  // (rows, depth)
  Factor<bf16> b;  // (depth, columns)
  int64_t rows, columns, depth;
  bool from_c;       // totals start from the stored C (f32), not from +0
  const bf16* bias;  // (columns), added once to each finished total, in fp32; or null
};

constexpr int64_t PRODUCT_BF16_SCRATCH = 5 << 20;  // bytes that multiply() needs, 64-byte aligned, its own per thread

// With the tiles that the context's path has. Subnormals are flushed inside.
void multiply(const pt_context* ctx, const ProductBf16& product, void* scratch);

// Scratch for multiply_parallel, taken once an op; null when there is no memory (the context said so).
void* parallel_scratch_bf16(const pt_context* ctx);

// On all compute threads: `count` products of one A, at most MOST_TOGETHER (gemm.h), those of few rows in one go. Returns nonzero when there is no
// memory for the totals of a bf16 C; an f32 C needs none.
int multiply_parallel(const pt_context* ctx, const ProductBf16* products, int64_t count, void* scratch);
PT_INLINE int multiply_parallel(const pt_context* ctx, const ProductBf16& product, void* scratch) {
  return multiply_parallel(ctx, &product, 1, scratch);
}

}  // namespace PT_NAMESPACE
