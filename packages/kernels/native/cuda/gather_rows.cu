// cpu/gather_rows.cpp. Backward: dx is cleared, then one chain per element in the order of r.
#include "rows.h"

namespace pt_cuda {

int gather_rows_forward(const pt_context* ctx, pt_tensor y, pt_tensor x, pt_tensor rows) {
  if (refuse_mixed(ctx, "y", y, "x", x)) return 1;
  if (check_rows(ctx, rows, x.dims[0], "rows", "x")) return 1;
  return with_float(x, [&](auto* from) {
    return pick_rows(ctx, static_cast<decltype(from)>(y.data), from, i32(rows), y.dims[0], y.dims[1]);
  });
}

int gather_rows_backward(const pt_context* ctx, pt_tensor dx, pt_tensor dy, pt_tensor rows) {
  if (check_rows(ctx, rows, dx.dims[0], "rows", "dx") || fill_forward(ctx, dx, 0.0)) return 1;
  return add_rows(ctx, f32(dx), f32(dy), i32(rows), dy.dims[0], dy.dims[1]);
}

}  // namespace pt_cuda
