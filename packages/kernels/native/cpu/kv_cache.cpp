// The paged cache of attention_cached: keys [P, G, D, B], values [P, G, B, D]; a page holds B consecutive tokens of one sequence. Keys
// lie across, as scores are made of them: turned once when they are written, not at every step that reads them. write puts
// token m's key and value at slots[m] = page * B + place in the page, rounded where the cache is bf16; copy copies whole pages,
// sources[r] to targets[r], in the order of r. Threads own key-value heads, so a slot or page that is named twice keeps its last value.
#include "elementwise.h"
#include "rows.h"

namespace PT_NAMESPACE {

int kv_cache_write_forward(const pt_context* ctx, pt_tensor keys, pt_tensor values, pt_tensor k, pt_tensor v,
                           pt_tensor slots) {
  const int64_t heads = keys.dims[1], size = keys.dims[2], page_keys = keys.dims[3];
  if (refuse_mixed(ctx, "keys", keys, "values", values) || refuse_mixed(ctx, "k", k, "v", v)) return 1;
  if (check_rows(ctx, slots, keys.dims[0] * page_keys, "slots", "the cache", "slots")) return 1;
  with_float(keys, [&](auto to_keys) {
    const auto to_values = static_cast<decltype(to_keys)>(values.data);
    with_float(k, [&](auto from_keys) {
      const auto from_values = static_cast<decltype(from_keys)>(v.data);
      parallel(ctx, heads, [=](int64_t g, int32_t) {
        for (int64_t m = 0; m < slots.dims[0]; m++) {
          const int64_t page = i32(slots)[m] / page_keys, place = i32(slots)[m] % page_keys;
          const int64_t head = (page * heads + g) * page_keys * size, from = (m * heads + g) * size;
          for (int64_t d = 0; d < size; d++)
            put_one(to_keys + head + d * page_keys + place, get_one(from_keys + from + d));
          const auto value = to_values + head + place * size;
          each_group(0, size, [&](int64_t d, int64_t n) { put(value + d, get(from_values + from + d, n), n); });
        }
      });
    });
  });
  return 0;
}

int kv_cache_copy_forward(const pt_context* ctx, pt_tensor keys, pt_tensor values, pt_tensor sources,
                          pt_tensor targets) {
  const int64_t heads = keys.dims[1], slice = keys.dims[2] * keys.dims[3];
  if (refuse_mixed(ctx, "keys", keys, "values", values)) return 1;
  if (check_rows(ctx, sources, keys.dims[0], "sources", "the cache", "pages")) return 1;
  if (check_rows(ctx, targets, keys.dims[0], "targets", "the cache", "pages")) return 1;
  with_float(keys, [&](auto keys_at) {
    const auto values_at = static_cast<decltype(keys_at)>(values.data);
    parallel(ctx, heads, [=](int64_t g, int32_t) {
      for (int64_t r = 0; r < sources.dims[0]; r++) {
        const int64_t from = (i32(sources)[r] * heads + g) * slice, to = (i32(targets)[r] * heads + g) * slice;
        memmove(keys_at + to, keys_at + from, static_cast<size_t>(slice) * sizeof *keys_at);
        memmove(values_at + to, values_at + from, static_cast<size_t>(slice) * sizeof *values_at);
      }
    });
  });
  return 0;
}

}  // namespace PT_NAMESPACE
