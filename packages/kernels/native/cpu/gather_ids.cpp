// y[r] = x[rows[r]] of whole numbers: the tokens that were just drawn become the next step's input without leaving the device.
#include "rows.h"

namespace PT_NAMESPACE {

int gather_ids_forward(const pt_context* ctx, pt_tensor y, pt_tensor x, pt_tensor rows) {
  if (check_rows(ctx, rows, x.dims[0], "rows", "x")) return 1;
  for (int64_t r = 0; r < y.dims[0]; r++) i32(y)[r] = i32(x)[i32(rows)[r]];
  return 0;
}

}  // namespace PT_NAMESPACE
