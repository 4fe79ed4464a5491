// What every way to compute a block of a bf16 product shares: where totals come from and go to.
#pragma once
#include "gemm_bf16.h"

namespace PT_NAMESPACE {
namespace {

// A block of C: (rows, columns), with what it adds to each total.
struct BlockBf16 {
  int64_t rows, columns, depth;
  float* to;  // C, one of the two is null; rows `row` elements apart
  bf16* to_rounded;
  int64_t row;
  bool from_c;       // totals go on from C, which is f32 then; else from +0
  const bf16* bias;  // (columns), with the last of the inner dimension; or null
};

// The totals of a tile of C, between C and `total`, whose rows are `width` floats apart (a multiple of 16).
PT_INLINE void start_totals(const BlockBf16& block, int64_t row, int64_t rows, int64_t column, int64_t columns,
                            float* total, int64_t width) {
  if (!block.from_c) {
    memset(total, 0, rows * width * sizeof(float));
    return;
  }
  for (int64_t i = 0; i < rows; i++) {
    const float* from = block.to + (row + i) * block.row + column;
    for (int64_t j = 0; j < columns; j += 16)
      store(total + i * width + j, columns - j >= 16 ? load(from + j) : load_first(from + j, columns - j));
  }
}
PT_INLINE void finish_totals(const BlockBf16& block, int64_t row, int64_t rows, int64_t column, int64_t columns,
                             const float* total, int64_t width) {
  for (int64_t j = 0; j < columns; j += 16) {
    const int64_t n = columns - j;
    f32x16 bias = splat(0.0f);
    if (block.bias) bias = n >= 16 ? load_bf16(block.bias + column + j) : load_bf16_first(block.bias + column + j, n);
    for (int64_t i = 0; i < rows; i++) {
      f32x16 x = load(total + i * width + j);
      if (block.bias) x = add(x, bias);
      const int64_t at = (row + i) * block.row + column + j;
      if (block.to_rounded)
        n >= 16 ? store_bf16(block.to_rounded + at, x) : store_bf16_first(block.to_rounded + at, x, n);
      else
        n >= 16 ? store(block.to + at, x) : store_first(block.to + at, x, n);
    }
  }
}

}  // namespace
}  // namespace PT_NAMESPACE
