// The paged cache of attention_cached: keys [P, G, D, B], values [P, G, B, D]; a page holds B consecutive tokens of one sequence. Keys
// lie across, as scores are made of them: turned once when they are written, not at every step that reads them. write puts
// token m's key and value at slots[m] = page * B + place in the page; copy copies whole pages, sources[r] to targets[r], in the
// order of r. Threads own key-value heads, so a slot or page that is named twice keeps its last value.
#include "rows.h"

namespace PT_NAMESPACE {

int kv_cache_write_forward(const pt_context* ctx, pt_tensor keys, pt_tensor values, pt_tensor k, pt_tensor v,
                           pt_tensor slots) {
  if (refuse_bf16(ctx, "keys", keys, "values", values, "k", k, "v", v)) return 1;
  const int64_t heads = keys.dims[1], size = keys.dims[2], page_keys = keys.dims[3];
  if (check_rows(ctx, slots, keys.dims[0] * page_keys, "slots", "the cache", "slots")) return 1;
  parallel(ctx, heads, [=](int64_t g, int32_t) {
    for (int64_t m = 0; m < slots.dims[0]; m++) {
      const int64_t page = i32(slots)[m] / page_keys, place = i32(slots)[m] % page_keys;
      const int64_t head = (page * heads + g) * page_keys * size, from = (m * heads + g) * size;
      for (int64_t d = 0; d < size; d++) f32(keys)[head + d * page_keys + place] = f32(k)[from + d];
      memcpy(f32(values) + head + place * size, f32(v) + from, size * sizeof(float));
    }
  });
  return 0;
}

int kv_cache_copy_forward(const pt_context* ctx, pt_tensor keys, pt_tensor values, pt_tensor sources,
                          pt_tensor targets) {
  if (refuse_bf16(ctx, "keys", keys, "values", values)) return 1;
  const int64_t heads = keys.dims[1], slice = keys.dims[2] * keys.dims[3];
  if (check_rows(ctx, sources, keys.dims[0], "sources", "the cache", "pages")) return 1;
  if (check_rows(ctx, targets, keys.dims[0], "targets", "the cache", "pages")) return 1;
  parallel(ctx, heads, [=](int64_t g, int32_t) {
    for (int64_t r = 0; r < sources.dims[0]; r++) {
      const int64_t from = (i32(sources)[r] * heads + g) * slice, to = (i32(targets)[r] * heads + g) * slice;
      memmove(f32(keys) + to, f32(keys) + from, slice * sizeof(float));
      memmove(f32(values) + to, f32(values) + from, slice * sizeof(float));
    }
  });
  return 0;
}

}  // namespace PT_NAMESPACE
