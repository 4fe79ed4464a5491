// Products of up to GEMV_ROWS rows with a B whose columns lie along the inner dimension: y = x w^T of one token, or of a few. They take as
// long as B takes to come from memory: here it comes once, in order, and 16 x 16 of it at a time are turned in registers.
#pragma once
#include "gemm.h"

namespace PT_NAMESPACE {

#if defined(PT_AVX512)
constexpr int64_t GEMV_ROWS = 4;
#else
constexpr int64_t GEMV_ROWS = 0;  // 16 registers are too few
#endif

// Columns at multiples of 4 KB would meet in one set of L1.
PT_INLINE bool is_gemv(const Product& p) {
  return p.sum == Sum::blocks && p.rows <= GEMV_ROWS && p.depth > 0 && p.a.column == 1 && p.b.row == 1 &&
         p.b.column % 1024 != 0;
}

void multiply_gemv(const Product& product);

}  // namespace PT_NAMESPACE
