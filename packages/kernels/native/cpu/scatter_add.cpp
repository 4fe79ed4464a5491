// y[rows[r]] += x[r] in the order of r: how the gradient of looked-up rows joins the whole table's.
#include "rows.h"

namespace PT_NAMESPACE {

int scatter_add_forward(const pt_context* ctx, pt_tensor y, pt_tensor x, pt_tensor rows) {
  if (check_rows(ctx, rows, y.dims[0], "rows", "y")) return 1;
  add_rows(ctx, f32(y), f32(x), i32(rows), x.dims[0], x.dims[1]);
  return 0;
}

}  // namespace PT_NAMESPACE
