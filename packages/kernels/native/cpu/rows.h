// Rows picked by index, as embedding, gather_rows, scatter_add and kv_cache share them: the check that an index is a row, and
// y[rows[r]] += x[r] as one chain per element in the order of r. Threads own columns, never ranges of r.
#pragma once
#include "cpu.h"

namespace PT_NAMESPACE {

// Fails unless every index is in [0, limit): "ids[3] is 70, but the table has 64 rows".
static inline int check_rows(const pt_context* ctx, pt_tensor rows, int64_t limit, const char* index, const char* table,
                             const char* what = "rows") {
  const int64_t count = elements(rows);
  for (int64_t r = 0; r < count; r++) {
    const int32_t row = i32(rows)[r];
    if (row < 0 || row >= limit) {
      ctx->fail(ctx, "%s[%lld] is %d, but %s has %lld %s", index, static_cast<long long>(r), static_cast<int>(row),
                table, static_cast<long long>(limit), what);
      return 1;
    }
  }
  return 0;
}

constexpr int64_t COLUMN_GRAIN = 64;

static inline void add_rows(const pt_context* ctx, float* y, const float* x, const int32_t* rows, int64_t count,
                            int64_t columns) {
  parallel_ranges(ctx, columns, COLUMN_GRAIN, [=](int64_t begin, int64_t end) {
    for (int64_t r = 0; r < count; r++) {
      float* to = y + rows[r] * columns;
      const float* from = x + r * columns;
      for (int64_t c = begin; c < end; c++) to[c] += from[c];
    }
  });
}

}  // namespace PT_NAMESPACE
