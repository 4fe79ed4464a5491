// How products of a few rows read the other factor: WIDTH of its columns, which lie along the inner dimension, are one block; the next block is
// fetched line by line as it lies in memory while this one is computed, because memory gives most when it is read in order.
#pragma once
#include "gemm_lanes.h"

namespace PT_NAMESPACE {

#if defined(PT_AVX512)
constexpr int64_t GEMV_ROWS = 4;

struct Ahead {
  const char* at;
  int64_t left, column, gap;  // bytes to the end of this column; of a column; from there to the next one

  // A block: `bytes` of each column, columns `stride` bytes apart.
  Ahead(const void* block, int64_t bytes, int64_t stride)
      : at(static_cast<const char*>(block)), left(bytes), column(bytes), gap(stride - bytes) {}
  // As much as a step reads: a line of each column.
  __attribute__((always_inline)) void fetch() {
    if (left >= 64 * WIDTH || gap == 0) {
      for (int64_t i = 0; i < WIDTH; i++) __builtin_prefetch(at + 64 * i, 0, 3);
      at += 64 * WIDTH;
      left -= 64 * WIDTH;
      return;
    }
    for (int64_t i = 0; i < WIDTH; i++) {
      __builtin_prefetch(at, 0, 3);
      at += 64;
      left -= 64;
      if (left <= 0) {
        at += left + gap;
        left = column;
      }
    }
  }
};

// Words q to q + 3 of WIDTH columns, `stride` words apart: a step each.
template <class Step>
PT_INLINE void four_steps(const float* columns, int64_t stride, int64_t q, const Step& step) {
  const float* right = columns + 16 * stride;
  const FourWords x = turn_four_words(q, [&](int i, int64_t at) { return _mm_loadu_ps(columns + i * stride + at); });
  const FourWords y = turn_four_words(q, [&](int i, int64_t at) { return _mm_loadu_ps(right + i * stride + at); });
  step(Wide{{x.w0}, {y.w0}});
  step(Wide{{x.w1}, {y.w1}});
  step(Wide{{x.w2}, {y.w2}});
  step(Wide{{x.w3}, {y.w3}});
}
#else
constexpr int64_t GEMV_ROWS = 0;  // 16 registers are too few
#endif

// Columns at multiples of 4 KB would meet in one set of L1.
PT_INLINE bool suits_gemv(int64_t rows, int64_t stride_bytes) { return rows <= GEMV_ROWS && stride_bytes % 4096 != 0; }

}  // namespace PT_NAMESPACE
