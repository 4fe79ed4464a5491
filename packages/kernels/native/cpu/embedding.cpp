// y[m] = table[ids[m]], in fp32. Backward adds into the rows that occurred, not into the table: drows[slots[m]] += dy[m], where
// slots[m] says which of the R distinct rows token m used. Per element one chain of adds in token order from the stored value.
#include "rows.h"

namespace PT_NAMESPACE {

int embedding_forward(const pt_context* ctx, pt_tensor y, pt_tensor table, pt_tensor ids) {
  if (check_rows(ctx, ids, table.dims[0], "ids", "the table")) return 1;
  with_float(table, [&](auto from) { pick_rows(ctx, y, f32(y), from, i32(ids)); });
  return 0;
}

int embedding_backward(const pt_context* ctx, pt_tensor drows, pt_tensor dy, pt_tensor slots) {
  if (check_rows(ctx, slots, drows.dims[0], "slots", "drows")) return 1;
  add_rows(ctx, f32(drows), f32(dy), i32(slots), dy.dims[0], dy.dims[1]);
  return 0;
}

}  // namespace PT_NAMESPACE
