// Matrix products in fp32: C = A B or C += A B, where each element of C is ONE chain of fused multiply-adds along the inner
// dimension, in ascending order, from +0 (or from the stored C where it accumulates). Blocking stores and reloads the chain
// exactly and the inner dimension is never padded, so neither the shape around an element nor the number of threads changes
// its bits.
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

struct Product {
  float* c;  // (rows, columns), its rows c_row floats apart
  int64_t c_row;
  Matrix a;  // (rows, depth)
  Matrix b;  // (depth, columns)
  int64_t rows, columns, depth;
  bool accumulate;
  const float* bias;  // (columns), added once to each finished chain; or null
};

constexpr int64_t PRODUCT_SCRATCH = 1152 * 1024;  // bytes that multiply() needs, 64-byte aligned, its own per thread

void multiply(const Product& product, void* scratch);

// On all compute threads. Nonzero when there is no memory for scratch (the context said so).
int multiply_parallel(const pt_context* ctx, const Product& product);

}  // namespace PT_NAMESPACE
