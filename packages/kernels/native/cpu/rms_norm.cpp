// s = x (+ residual); y = (s * rstd) * weight, rstd = 1 / sqrt(mean(s^2) + eps). Zhang & Sennrich 2019 (arXiv 1910.07467).
// The sum of squares: lane l takes columns l, l+16, ... as one chain fma(s, s, lane) from zero, then the tree of simd.h, then / C.
//
// Backward, with x the normalised input s, n = s * rstd, g = dy * weight:
//   dx = rstd * fma(-n, t, g) (+ dsum),  t = (sum(g * s) * rstd) / C, the sum by lanes fma(g, s, lane) and the tree;
//   dweight[c] = fma(dy, n, dweight[c]), one chain in token order from the stored value.
// In fp32; y is rounded to its dtype where it is stored, weight and dy are read in theirs.
#include "elementwise.h"

namespace PT_NAMESPACE {

int rms_norm_forward(const pt_context* ctx, pt_tensor y, pt_tensor rstd, pt_tensor sum, pt_tensor x, pt_tensor residual,
                     pt_tensor weight, double eps) {
  if ((sum.data == nullptr) != (residual.data == nullptr)) {
    ctx->fail(ctx, "sum and residual come together: %s is missing", sum.data ? "residual" : "sum");
    return 1;
  }
  const int64_t columns = x.dims[1];
  const float floor = static_cast<float>(eps);
  with_float(weight, [&](auto w) {
    with_float(y, [&](auto out) {
      with_flag(residual.data != nullptr, [&](auto has_residual) {
        with_flag(is_cold(y, columns) && (!has_residual.value || is_cold(sum, columns)), [&](auto cold) {
          parallel_rows(ctx, x.dims[0], columns, [=](int64_t m) {
            const float *const from = f32(x) + m * columns, *const other = f32(residual) + m * columns;
            // With a residual added twice rather than read back: the row is in the nearest cache, and its sum need not be.
            const auto at = [&](int64_t c, int64_t n) {
              const f32x16 v = get(from + c, n);
              return has_residual.value ? add(v, get(other + c, n)) : v;
            };
            f32x16 squares = splat(0.0f);
            each_group(0, columns, [&](int64_t c, int64_t n) {
              const f32x16 v = at(c, n);
              squares = fma(v, v, squares);
            });
            const float mean = reduce_add(squares) / static_cast<float>(columns);
            const float r = 1.0f / __builtin_sqrtf(mean + floor);
            f32(rstd)[m] = r;
            const auto to = out + m * columns;
            float* const total = f32(sum) + m * columns;
            each_group(0, columns, [&](int64_t c, int64_t n) {
              const f32x16 v = at(c, n);
              if (has_residual.value) put(cold, total + c, v, n);
              put(cold, to + c, mul(mul(v, splat(r)), get(w + c, n)), n);
            });
          });
        });
      });
    });
  });
  return 0;
}

namespace {

template <class D>
struct Chain {
  float* sums;
  const D* dy;
  const float *x, *rstd;
  int64_t columns;

  // Columns [begin, begin + 32) of dweight, over these tokens in their order.
  void add(int64_t begin, int64_t first_token, int64_t end_token) const {
    const int64_t count = smaller(2 * LANES, columns - begin);
    const int64_t first = smaller(LANES, count), second = count - first;
    f32x16 a = get(sums + begin, first), b = load_first(sums + begin + first, second);
    for (int64_t m = first_token; m < end_token; m++) {
      const float* s = x + m * columns + begin;
      const D* d = dy + m * columns + begin;
      const f32x16 r = splat(rstd[m]);
      a = fma(get(d, first), mul(get(s, first), r), a);
      if (second) b = fma(get(d + first, second), mul(get(s + first, second), r), b);
    }
    put(sums + begin, a, first);
    store_first(sums + begin + first, b, second);
  }
};

template <class D>
Chain<D> chain_of(float* sums, D* dy, const float* x, const float* rstd, int64_t columns) {
  return {sums, dy, x, rstd, columns};
}

}  // namespace

// Bytes of x and dy that the second level of one core's caches keeps between the two uses of a token.
constexpr int64_t BLOCK_BYTES = 512 << 10;

int rms_norm_backward(const pt_context* ctx, pt_tensor dx, pt_tensor dweight, pt_tensor dy, pt_tensor dsum, pt_tensor x,
                      pt_tensor weight, pt_tensor rstd) {
  const int64_t tokens = x.dims[0], columns = x.dims[1];
  if (columns == 0) return 0;
  with_float(weight, [&](auto w) {
    with_float(dy, [&](auto from) {
      with_flag(dsum.data != nullptr, [&](auto has_sum) {
        with_flag(is_cold(dx, columns), [&](auto cold) {
          const auto row = [=](int64_t m) {
            const float* const s = f32(x) + m * columns;
            const auto d = from + m * columns;
            f32x16 dot = splat(0.0f);
            each_group(0, columns,
                       [&](int64_t c, int64_t n) { dot = fma(mul(get(d + c, n), get(w + c, n)), get(s + c, n), dot); });
            const float r = f32(rstd)[m];
            const f32x16 scale = splat(r), t = splat((reduce_add(dot) * r) / static_cast<float>(columns));
            float* const to = f32(dx) + m * columns;
            const float* const extra = f32(dsum) + m * columns;
            each_group(0, columns, [&](int64_t c, int64_t n) {
              const f32x16 normal = mul(get(s + c, n), scale), g = mul(get(d + c, n), get(w + c, n));
              f32x16 v = mul(scale, fma(negate(normal), t, g));
              if (has_sum.value) v = add(v, get(extra + c, n));
              put(cold, to + c, v, n);
            });
          };
          if (!dweight.data) {
            parallel_rows(ctx, tokens, columns, row);
            return;
          }
          // Block by block of tokens, so that x and dy come from memory once: threads take the last block's dweight by columns (a
          // chain over tokens cannot be split), then this block's dx by rows.
          const auto chain = chain_of(f32(dweight), from, f32(x), f32(rstd), columns);
          const int64_t strips = ceil_div(columns, 2 * LANES);
          const int64_t wanted = ctx->threads * BLOCK_BYTES / (8 * columns), block = wanted > 16 ? wanted : 16;
          for (int64_t begin = 0; begin < tokens + block; begin += block) {
            const int64_t last = begin - block, rows = smaller(block, tokens - begin);
            const int64_t before = begin > 0 ? strips : 0;
            const int64_t piece = rows > 0 ? piece_of(ctx, rows, columns) : 1,
                          pieces = rows > 0 ? ceil_div(rows, piece) : 0;
            parallel(ctx, before + pieces, [&](int64_t i, int32_t) {
              if (i < before) {
                chain.add(i * 2 * LANES, last, smaller(begin, tokens));
                return;
              }
              const int64_t first = begin + (i - before) * piece, end = smaller(first + piece, begin + rows);
              for (int64_t m = first; m < end; m++) row(m);
              stream_end();
            });
          }
        });
      });
    });
  });
  return 0;
}

}  // namespace PT_NAMESPACE
