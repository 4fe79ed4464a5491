// cpu/scatter_add.cpp
#include "rows.h"

namespace pt_cuda {

int scatter_add_forward(const pt_context* ctx, pt_tensor y, pt_tensor x, pt_tensor rows) {
  if (check_rows(ctx, rows, y.dims[0], "rows", "y")) return 1;
  return add_rows(ctx, f32(y), f32(x), i32(rows), x.dims[0], x.dims[1]);
}

}  // namespace pt_cuda
