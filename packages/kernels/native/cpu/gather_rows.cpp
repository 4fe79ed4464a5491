// y[r] = x[rows[r]], in one dtype. Backward: dx is zero, then dx[rows[r]] += dy[r] in the order of r (a row may be picked twice).
#include "rows.h"

namespace PT_NAMESPACE {

int gather_rows_forward(const pt_context* ctx, pt_tensor y, pt_tensor x, pt_tensor rows) {
  if (refuse_mixed(ctx, "y", y, "x", x)) return 1;
  if (check_rows(ctx, rows, x.dims[0], "rows", "x")) return 1;
  with_float(x, [&](auto from) { pick_rows(ctx, y, static_cast<decltype(from)>(y.data), from, i32(rows)); });
  return 0;
}

int gather_rows_backward(const pt_context* ctx, pt_tensor dx, pt_tensor dy, pt_tensor rows) {
  if (check_rows(ctx, rows, dx.dims[0], "rows", "dx")) return 1;
  // For each row of dx the list of those r that picked it, in ascending order: first[m], then next[r], ended by -1.
  const int64_t count = dy.dims[0], total = dx.dims[0], columns = dx.dims[1];
  int32_t* const first =
      static_cast<int32_t*>(ctx->scratch(ctx, (total + count + 1) * static_cast<int64_t>(sizeof(int32_t))));
  if (!first) return 1;
  int32_t* const next = first + total;
  for (int64_t m = 0; m < total; m++) first[m] = -1;
  for (int64_t r = count - 1; r >= 0; r--) {
    next[r] = first[i32(rows)[r]];
    first[i32(rows)[r]] = static_cast<int32_t>(r);
  }
  float* const to = f32(dx);
  const float* const from = f32(dy);
  const bool cold = is_cold(dx, columns);
  parallel_rows(ctx, total, columns, [=](int64_t m) {
    const int32_t after = m + 2 < total ? first[m + 2] : -1;
    const float* const ahead = from + (after < 0 ? 0 : after) * columns;
    each_group(0, columns, [&](int64_t c, int64_t n) {
      fetch(ahead + c);
      f32x16 sum = splat(0.0f);
      for (int32_t r = first[m]; r >= 0; r = next[r]) sum = add(sum, get(from + r * columns + c, n));
      put(cold, to + m * columns + c, sum, n);
    });
  });
  return 0;
}

}  // namespace PT_NAMESPACE
