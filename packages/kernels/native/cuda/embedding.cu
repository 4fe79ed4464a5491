// cpu/embedding.cpp
#include "rows.h"

namespace pt_cuda {

int embedding_forward(const pt_context* ctx, pt_tensor y, pt_tensor table, pt_tensor ids) {
  if (check_rows(ctx, ids, table.dims[0], "ids", "the table")) return 1;
  return with_float(table,
                    [&](const auto* from) { return pick_rows(ctx, f32(y), from, i32(ids), y.dims[0], y.dims[1]); });
}

int embedding_backward(const pt_context* ctx, pt_tensor drows, pt_tensor dy, pt_tensor slots) {
  if (check_rows(ctx, slots, drows.dims[0], "slots", "drows")) return 1;
  return add_rows(ctx, f32(drows), f32(dy), i32(slots), dy.dims[0], dy.dims[1]);
}

}  // namespace pt_cuda
