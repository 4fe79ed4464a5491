// Rows picked by index, as embedding, gather_rows, scatter_add and kv_cache share them: the check that an index is a row; copies; and
// y[rows[r]] += x[r] as one chain per element in the order of r, where threads own columns, never ranges of r.
#pragma once
#include "elementwise.h"

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

// y[r] = x[rows[r]], from the element type of x to that of `to`, which is y's data.
template <class To, class From>
static inline void pick_rows(const pt_context* ctx, pt_tensor y, To* to, const From* x, const int32_t* rows) {
  const int64_t columns = y.dims[1], last = y.dims[0] - 1;
  const bool cold = is_cold(y, columns);
  parallel_rows(ctx, y.dims[0], columns, [=](int64_t r) {
    const From *const row = x + rows[r] * columns, *const next = x + rows[smaller(r + 2, last)] * columns;
    each_group(0, columns, [&](int64_t c, int64_t n) {
      fetch(next + c);
      put(cold, to + r * columns + c, get(row + c, n), n);
    });
  });
}

static inline void add_rows(const pt_context* ctx, float* y, const float* x, const int32_t* rows, int64_t count,
                            int64_t columns) {
  // Strips as wide as the threads allow: long runs of memory, and still two for each thread.
  const int64_t share = ceil_div(columns, 2 * ctx->threads), strip = ceil_div(share > 64 ? share : 64, LANES) * LANES;
  parallel_ranges(ctx, columns, strip, [=](int64_t begin, int64_t end) {
    for (int64_t r = 0; r < count; r++) {
      float* const to = y + rows[r] * columns;
      const float* const from = x + r * columns;
      const float* const next = y + rows[smaller(r + 4, count - 1)] * columns;
      each_group(begin, end, [&](int64_t c, int64_t n) {
        fetch(next + c);
        fetch(from + 4 * columns + c);
        put(to + c, add(get(to + c, n), get(from + c, n)), n);
      });
    }
  });
}

}  // namespace PT_NAMESPACE
