// Matrix products in fp32, in the order of cpu/gemm/gemm.h: along the inner dimension blocks of 256 from its multiples, each one chain of
// fused multiply-adds from +0, block sums added in ascending order; a parameter's gradient is one chain from what is stored.
#pragma once
#include "lanes.h"

namespace pt_cuda {

constexpr int64_t SUM_BLOCK = 256;

enum class Sum {
  blocks,       // C = A B
  more_blocks,  // C += A B: goes on with a sum whose parts so far were multiples of SUM_BLOCK deep
  chain,        // C += A B, one chain from the stored C
};

// Element (i, k) of A lies at data[i * row + k * step], of B element (j, k): column j of the product. One of the two strides is 1.
struct Operand {
  const float* data;
  int64_t row, step;
};

struct Product {
  float* c;  // (rows, columns), its rows c_row floats apart
  int64_t c_row;
  Operand a, b;
  int64_t rows, columns, depth;
  const float* bias;  // (columns), added once to each finished sum; or null
};

int multiply(const pt_context* ctx, const Product& product, Sum sum);

// What a total begins with to which the first block's sum is added as to any other: -0, which added to a number is that number. (To tell the first
// block from others cost registers that large tiles do not have.)
PT_SCALAR float before_first(int64_t depth) { return depth > 0 ? -0.0f : 0.0f; }

}  // namespace pt_cuda
