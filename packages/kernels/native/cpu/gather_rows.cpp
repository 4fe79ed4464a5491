// y[r] = x[rows[r]]. Backward: dx is zero, then dx[rows[r]] += dy[r] in the order of r (a row may be picked twice).
#include "rows.h"

namespace PT_NAMESPACE {

int gather_rows_forward(const pt_context* ctx, pt_tensor y, pt_tensor x, pt_tensor rows) {
  if (refuse_bf16(ctx, "y", y, "x", x)) return 1;
  if (check_rows(ctx, rows, x.dims[0], "rows", "x")) return 1;
  copy_rows(ctx, f32(y), f32(x), i32(rows), y.dims[0], y.dims[1]);
  return 0;
}

int gather_rows_backward(const pt_context* ctx, pt_tensor dx, pt_tensor dy, pt_tensor rows) {
  if (check_rows(ctx, rows, dx.dims[0], "rows", "dx")) return 1;
  float* to = f32(dx);
  parallel_ranges(ctx, elements(dx), 1 << 16,
                  [=](int64_t begin, int64_t end) { memset(to + begin, 0, (end - begin) * sizeof(float)); });
  add_rows(ctx, to, f32(dy), i32(rows), dy.dims[0], dy.dims[1]);
  return 0;
}

}  // namespace PT_NAMESPACE
