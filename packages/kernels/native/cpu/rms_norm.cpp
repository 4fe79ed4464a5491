// s = x (+ residual); y = (s * rstd) * weight, rstd = 1 / sqrt(mean(s^2) + eps). Zhang & Sennrich 2019 (arXiv 1910.07467).
// The sum of squares: lane l takes columns l, l+16, ... as one chain fma(s, s, lane) from zero, then the tree of simd.h, then / C.
//
// Backward, with x the normalised input s, n = s * rstd, g = dy * weight:
//   dx = rstd * fma(-n, t, g) (+ dsum),  t = (sum(g * s) * rstd) / C, the sum by lanes fma(g, s, lane) and the tree;
//   dweight[c] = fma(dy, n, dweight[c]), one chain in token order from the stored value.
#include "cpu.h"

namespace PT_NAMESPACE {

// body(column, n) for each group of n = 16 columns, fewer in the last.
template <class Body>
PT_INLINE void each_group(int64_t columns, const Body& body) {
  int64_t c = 0;
  for (; c + LANES <= columns; c += LANES) body(c, static_cast<int64_t>(LANES));
  if (c < columns) body(c, columns - c);
}
PT_INLINE f32x16 get(const float* p, int64_t n) { return n == LANES ? load(p) : load_first(p, n); }
PT_INLINE void put(float* p, f32x16 a, int64_t n) {
  if (n == LANES)
    store(p, a);
  else
    store_first(p, a, n);
}

int rms_norm_forward(const pt_context* ctx, pt_tensor y, pt_tensor rstd, pt_tensor sum, pt_tensor x, pt_tensor residual,
                     pt_tensor weight, double eps) {
  if (refuse_bf16(ctx, "y", y, "weight", weight)) return 1;
  if ((sum.data == nullptr) != (residual.data == nullptr)) {
    ctx->fail(ctx, "sum and residual come together: %s is missing", sum.data ? "residual" : "sum");
    return 1;
  }
  const int64_t columns = x.dims[1];
  const float* w = f32(weight);
  parallel_ranges(ctx, x.dims[0], 4, [=](int64_t begin, int64_t end) {
    for (int64_t m = begin; m < end; m++) {
      const float* s = f32(x) + m * columns;
      f32x16 squares = splat(0.0f);
      if (residual.data) {
        float* total = f32(sum) + m * columns;
        const float* other = f32(residual) + m * columns;
        each_group(columns, [&](int64_t c, int64_t n) {
          const f32x16 v = add(get(s + c, n), get(other + c, n));
          put(total + c, v, n);
          squares = fma(v, v, squares);
        });
        s = total;
      } else {
        each_group(columns, [&](int64_t c, int64_t n) {
          const f32x16 v = get(s + c, n);
          squares = fma(v, v, squares);
        });
      }
      const float mean = reduce_add(squares) / static_cast<float>(columns);
      const float r = 1.0f / __builtin_sqrtf(mean + static_cast<float>(eps));
      f32(rstd)[m] = r;
      float* to = f32(y) + m * columns;
      each_group(columns,
                 [&](int64_t c, int64_t n) { put(to + c, mul(mul(get(s + c, n), splat(r)), get(w + c, n)), n); });
    }
  });
  return 0;
}

int rms_norm_backward(const pt_context* ctx, pt_tensor dx, pt_tensor dweight, pt_tensor dy, pt_tensor dsum, pt_tensor x,
                      pt_tensor weight, pt_tensor rstd) {
  if (refuse_bf16(ctx, "dy", dy, "weight", weight)) return 1;
  const int64_t tokens = x.dims[0], columns = x.dims[1];
  const float *w = f32(weight), *r = f32(rstd);
  if (dweight.data)
    parallel_ranges(ctx, columns, 2 * LANES, [=](int64_t begin, int64_t end) {
      const int64_t first = smaller(LANES, end - begin), second = end - begin - first;
      float* to = f32(dweight) + begin;
      f32x16 a = get(to, first), b = load_first(to + first, second);
      for (int64_t m = 0; m < tokens; m++) {
        const float *s = f32(x) + m * columns + begin, *d = f32(dy) + m * columns + begin;
        a = fma(get(d, first), mul(get(s, first), splat(r[m])), a);
        if (second) b = fma(get(d + first, second), mul(get(s + first, second), splat(r[m])), b);
      }
      put(to, a, first);
      store_first(to + first, b, second);
    });
  parallel_ranges(ctx, tokens, 4, [=](int64_t begin, int64_t end) {
    for (int64_t m = begin; m < end; m++) {
      const float *s = f32(x) + m * columns, *d = f32(dy) + m * columns;
      f32x16 dot = splat(0.0f);
      each_group(columns,
                 [&](int64_t c, int64_t n) { dot = fma(mul(get(d + c, n), get(w + c, n)), get(s + c, n), dot); });
      const f32x16 scale = splat(r[m]), t = splat((reduce_add(dot) * r[m]) / static_cast<float>(columns));
      float* to = f32(dx) + m * columns;
      const float* extra = dsum.data ? f32(dsum) + m * columns : nullptr;
      each_group(columns, [&](int64_t c, int64_t n) {
        const f32x16 normal = mul(get(s + c, n), scale), g = mul(get(d + c, n), get(w + c, n));
        f32x16 v = mul(scale, fma(negate(normal), t, g));
        if (extra) v = add(v, get(extra + c, n));
        put(to + c, v, n);
      });
    }
  });
  return 0;
}

}  // namespace PT_NAMESPACE
