// cpu/kv_cache.cpp. A slot that is named twice keeps its last value: a token that a later one overwrites is not written. Pages are copied by
// threads that own places in a page and walk the copies in their order.
#include "lanes.h"

namespace pt_cuda {
namespace {

constexpr int THREADS = 128;
constexpr int64_t TOKENS = 32;  // of a block: they lie side by side in a page's keys

__global__ void mark_overwritten_kernel(const Note* note, int32_t* overwritten, const int32_t* slots, int64_t tokens) {
  const int64_t m = static_cast<int64_t>(blockIdx.x) * THREADS + threadIdx.x;
  if (failed(note) || m >= tokens) return;
  const int32_t slot = slots[m];
  int32_t found = 0;
  for (int64_t later = m + 1; later < tokens; later++) found |= slots[later] == slot;
  overwritten[m] = found;
}

template <class To, class From>
__global__ void write_kernel(const Note* note, To* keys, To* values, const From* k, const From* v, const int32_t* slots,
                             const int32_t* overwritten, int64_t tokens, int64_t heads, int64_t size,
                             int64_t page_keys) {
  if (failed(note)) return;
  const int64_t g = blockIdx.y, first = blockIdx.x * TOKENS, count = smaller(TOKENS, tokens - first);
  const auto head_of = [&](int64_t m) { return (slots[m] / page_keys * heads + g) * page_keys * size; };
  for (int64_t i = threadIdx.x; i < TOKENS * size; i += THREADS) {
    const int64_t m = first + i % TOKENS, d = i / TOKENS;
    if (m < first + count && !overwritten[m])
      put_one(keys + head_of(m) + d * page_keys + slots[m] % page_keys, get_one(k + (m * heads + g) * size + d));
  }
  for (int64_t i = threadIdx.x; i < count * size; i += THREADS) {
    const int64_t m = first + i / size, d = i % size;
    if (!overwritten[m])
      put_one(values + head_of(m) + slots[m] % page_keys * size + d, get_one(v + (m * heads + g) * size + d));
  }
}

// Words of T, `words` of them a page.
template <class T>
__global__ void copy_pages_kernel(const Note* note, T* keys, T* values, const int32_t* sources, const int32_t* targets,
                                  int64_t copies, int64_t words) {
  const int64_t i = static_cast<int64_t>(blockIdx.x) * THREADS + threadIdx.x;
  if (failed(note) || i >= words) return;
  for (int64_t r = 0; r < copies; r++) {
    const int64_t from = sources[r] * words + i, to = targets[r] * words + i;
    keys[to] = keys[from];
    values[to] = values[from];
  }
}
template <class T>
int copy_pages(const pt_context* ctx, pt_tensor keys, pt_tensor values, pt_tensor sources, pt_tensor targets,
               int64_t bytes) {
  const int64_t words = bytes / static_cast<int64_t>(sizeof(T));
  return launch<copy_pages_kernel<T>>(ctx, {count_of(ceil_div(words, THREADS)), THREADS}, note_of(ctx),
                                      static_cast<T*>(keys.data), static_cast<T*>(values.data), i32(sources),
                                      i32(targets), sources.dims[0], words);
}

}  // namespace

int kv_cache_write_forward(const pt_context* ctx, pt_tensor keys, pt_tensor values, pt_tensor k, pt_tensor v,
                           pt_tensor slots) {
  const int64_t heads = keys.dims[1], size = keys.dims[2], page_keys = keys.dims[3], tokens = slots.dims[0];
  if (refuse_mixed(ctx, "keys", keys, "values", values) || refuse_mixed(ctx, "k", k, "v", v)) return 1;
  if (check_rows(ctx, slots, keys.dims[0] * page_keys, "slots", "the cache", "slots")) return 1;
  auto* overwritten = static_cast<int32_t*>(ctx->scratch(ctx, (tokens + 1) * static_cast<int64_t>(sizeof(int32_t))));
  if (!overwritten || launch<mark_overwritten_kernel>(ctx, {count_of(ceil_div(tokens, THREADS)), THREADS}, note_of(ctx),
                                                      overwritten, i32(slots), tokens))
    return 1;
  return with_float(keys, [&](auto* to) {
    return with_float(k, [&](auto* from) {
      using To = std::remove_pointer_t<decltype(to)>;
      using From = std::remove_pointer_t<decltype(from)>;
      return launch<write_kernel<To, From>>(ctx, {{count_of(ceil_div(tokens, TOKENS)), count_of(heads)}, THREADS},
                                            note_of(ctx), to, static_cast<To*>(values.data), from,
                                            static_cast<From*>(v.data), i32(slots), overwritten, tokens, heads, size,
                                            page_keys);
    });
  });
}

int kv_cache_copy_forward(const pt_context* ctx, pt_tensor keys, pt_tensor values, pt_tensor sources,
                          pt_tensor targets) {
  if (refuse_mixed(ctx, "keys", keys, "values", values)) return 1;
  if (check_rows(ctx, sources, keys.dims[0], "sources", "the cache", "pages")) return 1;
  if (check_rows(ctx, targets, keys.dims[0], "targets", "the cache", "pages")) return 1;
  const int64_t bytes = keys.dims[1] * keys.dims[2] * keys.dims[3] * (is_bf16(keys) ? 2 : 4);
  if (bytes % 16 == 0 && wide(f32(keys), f32(values)))
    return copy_pages<float4>(ctx, keys, values, sources, targets, bytes);
  return copy_pages<uint16_t>(ctx, keys, values, sources, targets, bytes);
}

}  // namespace pt_cuda
