// How products of a few rows read the other factor, whose columns lie one after the other: WIDTH of them are a block, and the next one is
// fetched line by line as it lies in memory while this one is computed, because memory gives most when it is read in order.
#pragma once
#include "gemm_lanes.h"

namespace PT_NAMESPACE {

#if defined(PT_AVX512)
constexpr int64_t GEMV_ROWS = 4;

// As much of the next block as a step reads of this one: a line of each column.
PT_INLINE void fetch_ahead(const char*& next) {
  for (int64_t i = 0; i < WIDTH; i++) __builtin_prefetch(next + 64 * i, 0, 3);
  next += 64 * WIDTH;
}

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

// `bytes` a column. At multiples of 4 KB columns would meet in one set of L1.
PT_INLINE bool suits_gemv(int64_t rows, int64_t bytes) { return rows > 0 && rows <= GEMV_ROWS && bytes % 4096 != 0; }

}  // namespace PT_NAMESPACE
