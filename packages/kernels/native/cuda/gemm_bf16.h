// Products of bf16 matrices with fp32 sums, in the order of tensor_cores.h.
#pragma once
#include "gemm.h"

namespace pt_cuda {

// As Operand (gemm.h).
struct OperandBf16 {
  const bf16* data;
  int64_t row, step;
};

struct ProductBf16 {
  void* c;        // (rows, columns), its rows c_row numbers apart
  bool c_narrow;  // bf16, not fp32
  int64_t c_row;
  OperandBf16 a, b;
  int64_t rows, columns, depth;
  const bf16* bias;  // (columns), added once to each finished sum; or null
  bool from_c;       // totals go on from the stored C, whose parts so far were multiples of SUM_BLOCK deep
};

int multiply(const pt_context* ctx, const ProductBf16& product);

// The tensor, or, where it is f32, a copy rounded to bf16 that lasts as long as the op; data is null when there is no memory (the context said so).
pt_tensor as_bf16(const pt_context* ctx, pt_tensor x);

}  // namespace pt_cuda
