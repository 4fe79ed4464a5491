// Products of bf16 matrices, summed in fp32 in the order of AMX's TDPBF16PS, on every path. Each element of C = A B is a total over blocks
// of 32 along the inner dimension, which begin at its multiples, in ascending order:
//   even = one chain of 16 fused multiply-adds over k = 0, 2, ..., 30 of the block from +0; odd = the same over k = 1, 3, ..., 31;
//   total = total + (even + odd).
// The total starts from +0 or from the stored C. The inner dimension is padded with +0 to a multiple of 32. Subnormals, read or made, are
// zero. So neither the shape around an element, nor the number of threads, nor the path changes its bits; and a sum over two calls
// that meet at a multiple of 32 is the sum of one.
#pragma once
#include "bf16.h"

namespace PT_NAMESPACE {

// A matrix of bf16, or of f32 that are rounded to bf16 as they are read. Element (i, j) lies at data[i * row + j * column]; one of the
// two strides is 1.
struct Factor {
  const void* data;
  bool wide;  // f32
  int64_t row, column;

  Factor from(int64_t i, int64_t j) const {
    const int64_t bytes = (i * row + j * column) * (wide ? 4 : 2);
    return {static_cast<const char*>(data) + bytes, wide, row, column};
  }
  Factor transposed() const { return {data, wide, column, row}; }
};
// A tensor of two axes from row `first` on.
PT_INLINE Factor factor(pt_tensor t, int64_t first = 0) {
  return Factor{t.data, t.dtype == PT_F32, t.dims[1], 1}.from(first, 0);
}
PT_INLINE Factor factor(const float* data, int64_t row) { return {data, true, row, 1}; }

struct ProductBf16 {
  void* c;      // (rows, columns), its rows c_row elements apart
  bool c_wide;  // f32, not bf16
  int64_t c_row;
  Factor a;  // (rows, depth)
  Factor b;  // (depth, columns)
  int64_t rows, columns, depth;
  bool from_c;       // totals start from the stored C (f32), not from +0
  const bf16* bias;  // (columns), added once to each finished total, in fp32; or null
};

constexpr int64_t PRODUCT_BF16_SCRATCH = 5 << 20;  // bytes that multiply() needs, 64-byte aligned, its own per thread

// With the tiles that the context's path has. Subnormals are flushed inside.
void multiply(const pt_context* ctx, const ProductBf16& product, void* scratch);

// Scratch for multiply_parallel, taken once an op; null when there is no memory (the context said so).
PT_INLINE void* parallel_scratch_bf16(const pt_context* ctx) {
  return ctx->scratch(ctx, ctx->threads * PRODUCT_BF16_SCRATCH);
}

// On all compute threads.
void multiply_parallel(const pt_context* ctx, const ProductBf16& product, void* scratch);

}  // namespace PT_NAMESPACE
