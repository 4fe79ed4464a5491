// Matrix products in fp32. Each element of C = A B is a sum over blocks of SUM_BLOCK along the inner dimension, which begin at its
// multiples: a block is ONE chain of fused multiply-adds in ascending order from +0, and block sums are added in ascending order.
// (One chain over all of it would be simpler; its rounding errors grow faster: see ARCHITECTURE.md, "Matrix products".) Where C is
// a parameter's gradient it is one chain over everything that starts from the stored C. The inner dimension is never padded, so
// neither the shape around an element nor the number of threads changes its bits.
#pragma once
#include "cpu.h"

namespace PT_NAMESPACE {

// Element (i, j) lies at data[i * row + j * column]; one of the two strides is 1.
struct Matrix {
  const float* data;
  int64_t row, column;
};
PT_INLINE Matrix row_major(const float* data, int64_t columns) { return {data, columns, 1}; }
PT_INLINE Matrix transposed(const float* data, int64_t columns) { return {data, 1, columns}; }

constexpr int64_t SUM_BLOCK = 256;

enum class Sum {
  blocks,       // C = A B, by blocks
  more_blocks,  // C += A B, by blocks: goes on with a sum whose parts so far were multiples of SUM_BLOCK deep
  chain,        // C += A B, one chain from the stored C
};

struct Product {
  float* c;  // (rows, columns), its rows c_row floats apart
  int64_t c_row;
  Matrix a;  // (rows, depth)
  Matrix b;  // (depth, columns)
  int64_t rows, columns, depth;
  Sum sum;
  const float* bias;  // (columns), added once to each finished sum; or null
};

// Into how many parts the columns of a product of few rows are cut, whose B comes from memory: each part waits for its first columns.
PT_INLINE int64_t streamed_parts(int64_t columns, int64_t threads) {
  const int64_t each = columns / threads / 448;
  return threads * (each < 1 ? 1 : smaller(each, 4));
}

constexpr int64_t PRODUCT_SCRATCH = 2560 * 1024;  // bytes that multiply() needs, 64-byte aligned, its own per thread

void multiply(const Product& product, void* scratch);

// Scratch for multiply_parallel, taken once an op; null when there is no memory (the context said so).
PT_INLINE void* parallel_scratch(const pt_context* ctx) { return ctx->scratch(ctx, ctx->threads * PRODUCT_SCRATCH); }

// On all compute threads: `count` products, at most MOST_TOGETHER, in one go.
constexpr int64_t MOST_TOGETHER = 3;
void multiply_parallel(const pt_context* ctx, const Product* products, int64_t count, void* scratch);
PT_INLINE void multiply_parallel(const pt_context* ctx, const Product& product, void* scratch) {
  multiply_parallel(ctx, &product, 1, scratch);
}

}  // namespace PT_NAMESPACE
