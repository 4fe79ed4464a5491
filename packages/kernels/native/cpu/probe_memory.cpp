// Measures the machine, not a tensor: the bandwidths that ops beyond the caches are held against. kind 0 reads x (four runs at a time,
// prefetched: what reads fastest; y gets sums, so that nothing is left out), 1 copies x to y past the caches, 2 updates y in place.
#include "elementwise.h"

namespace PT_NAMESPACE {

int probe_memory_forward(const pt_context* ctx, pt_tensor y, pt_tensor x, int64_t kind) {
  if (kind < 0 || kind > 2) {
    ctx->fail(ctx, "kind is %lld, expected 0, 1 or 2", static_cast<long long>(kind));
    return 1;
  }
  const float* const from = f32(x);
  float* const to = f32(y);
  const int64_t n = elements(y) / (4 * LANES) * (4 * LANES), quarter = n / 4;
  if (kind == 0) {
    parallel_elements(ctx, quarter, [=](int64_t begin, int64_t end) {
      const float *const a = from, *const b = a + quarter, *const c = b + quarter, *const d = c + quarter;
      f32x16 p = splat(0.0f), q = p, r = p, s = p;
      for (int64_t i = begin; i < end; i += LANES) {
        __builtin_prefetch(a + i + 512);
        __builtin_prefetch(b + i + 512);
        __builtin_prefetch(c + i + 512);
        __builtin_prefetch(d + i + 512);
        p = add(p, load(a + i));
        q = add(q, load(b + i));
        r = add(r, load(c + i));
        s = add(s, load(d + i));
      }
      to[begin] = reduce_add(add(add(p, q), add(r, s)));
    });
    return 0;
  }
  const bool aligned = reinterpret_cast<uintptr_t>(to) % 64 == 0;
  parallel_elements(ctx, n, [=](int64_t begin, int64_t end) {
    if (kind == 2)
      for (int64_t i = begin; i < end; i += LANES) store(to + i, add(load(to + i), splat(1.0f)));
    else if (aligned)
      for (int64_t i = begin; i < end; i += LANES) stream(to + i, load(from + i));
    else
      for (int64_t i = begin; i < end; i += LANES) store(to + i, load(from + i));
  });
  return 0;
}

}  // namespace PT_NAMESPACE
