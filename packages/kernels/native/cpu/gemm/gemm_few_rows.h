// Products of few rows with a B whose columns lie along the inner dimension: y = x w^T of a few tokens. gemm.cpp would spend its time
// packing B; here the columns of B are read where they lie, as the rows of C^T = B^T A^T, and the rows of A become lanes.
#pragma once
#include "gemm.h"

namespace PT_NAMESPACE {

constexpr int64_t FEW_ROWS = 256;
#if defined(PT_AVX512)
constexpr int64_t FEWEST_ROWS = 0;
#else
constexpr int64_t FEWEST_ROWS = 2;
#endif
constexpr int64_t FEW_ROWS_DEPTH = 16384;

// One or two rows fill too few lanes, except where there are enough (and see gemv.h). Columns at multiples of 4 KB would meet in one set
// of L1.
PT_INLINE bool has_few_rows(const Product& p) {
  return p.sum == Sum::blocks && p.rows > FEWEST_ROWS && p.rows <= FEW_ROWS && p.depth > 0 &&
         p.depth <= FEW_ROWS_DEPTH && p.a.column == 1 && p.b.row == 1 && p.b.column % 1024 != 0;
}

void multiply_few_rows(const Product& product, void* scratch);

}  // namespace PT_NAMESPACE
