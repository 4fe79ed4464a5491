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
  const bool cold = is_cold(y, columns) && (residual.data == nullptr || is_cold(sum, columns));
  with_float(weight, [&](auto w) {
    with_float(y, [&](auto out) {
      with_flag(residual.data != nullptr, [&](auto has_residual) {
        parallel_rows(ctx, x.dims[0], columns, [=](int64_t m) {
          const float* const from = f32(x) + m * columns;
          const float* const other = has_residual.value ? f32(residual) + m * columns : nullptr;
          // With a residual added twice rather than read back: the row is in the nearest cache, and its sum need not be.
          const auto at = [&](int64_t c, int64_t n) {
            const f32x16 v = get(from + c, n);
            return has_residual.value ? add(v, get(other + c, n)) : v;
          };
          f32x16 squares = splat(0.0f);
          each_group(0, columns, [&](int64_t c, int64_t n) {
            if (!has_residual.value) fetch(from + columns + c);
            const f32x16 v = at(c, n);
            squares = fma(v, v, squares);
          });
          const float mean = reduce_add(squares) / static_cast<float>(columns);
          const float r = 1.0f / __builtin_sqrtf(mean + floor);
          f32(rstd)[m] = r;
          const auto to = out + m * columns;
          float* const total = has_residual.value ? f32(sum) + m * columns : nullptr;
          each_group(0, columns, [&](int64_t c, int64_t n) {
            const f32x16 v = at(c, n);
            if (has_residual.value) put(cold, total + c, v, n);
            put(cold, to + c, mul(mul(v, splat(r)), get(w + c, n)), n);
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

  // All columns of dweight over these tokens in their order, four for each time the sums are fetched.
  void add(int64_t first_token, int64_t end_token) const {
    int64_t m = first_token;
    for (; m + 4 <= end_token; m += 4) add_tokens<4>(m);
    for (; m < end_token; m++) add_tokens<1>(m);
  }
  template <int COUNT>
  void add_tokens(int64_t first) const {
    const float* const s = x + first * columns;
    const D* const d = dy + first * columns;
    each_group(0, columns, [&](int64_t c, int64_t n) {
      f32x16 sum = get(sums + c, n);
      for (int m = 0; m < COUNT; m++)
        sum = fma(get(d + m * columns + c, n), mul(get(s + m * columns + c, n), splat(rstd[first + m])), sum);
      put(sums + c, sum, n);
    });
  }
};

template <class D>
Chain<D> chain_of(float* sums, D* dy, const float* x, const float* rstd, int64_t columns) {
  return {sums, dy, x, rstd, columns};
}

}  // namespace

// dweight's chain over tokens beside the threads that make dx, piece by piece. A piece joins the chain as soon as those before it have,
// by whoever is there: mostly the thread that has just read it, from its own caches. Nobody waits.
struct Arrivals {
  int64_t next = 0;
  int32_t busy = 0;
  int32_t* ready;

  // `piece` of `count` is there; add(p) for all pieces whose turn has come.
  template <class Add>
  void arrive(int64_t piece, int64_t count, const Add& add) {
    __atomic_store_n(&ready[piece], 1, __ATOMIC_SEQ_CST);
    while (!__atomic_exchange_n(&busy, 1, __ATOMIC_SEQ_CST)) {
      int64_t p = next;
      for (; p < count && __atomic_load_n(&ready[p], __ATOMIC_SEQ_CST); p++) add(p);
      next = p;
      __atomic_store_n(&busy, 0, __ATOMIC_SEQ_CST);
      // What arrived while this thread was busy found it so and left: looked for once more.
      if (p == count || !__atomic_load_n(&ready[p], __ATOMIC_SEQ_CST)) return;
    }
  }
};

int rms_norm_backward(const pt_context* ctx, pt_tensor dx, pt_tensor dweight, pt_tensor dy, pt_tensor dsum, pt_tensor x,
                      pt_tensor weight, pt_tensor rstd) {
  const int64_t tokens = x.dims[0], columns = x.dims[1];
  if (columns == 0) return 0;
  const int64_t piece = piece_of(ctx, tokens, columns), pieces = ceil_div(tokens, piece);
  Arrivals arrivals;
  arrivals.ready = static_cast<int32_t*>(ctx->scratch(ctx, (pieces + 1) * static_cast<int64_t>(sizeof(int32_t))));
  if (!arrivals.ready) return 1;
  for (int64_t p = 0; p < pieces; p++) arrivals.ready[p] = 0;
  const bool joined = dsum.data != nullptr, cold = is_cold(dx, columns);
  with_float(weight, [&](auto w) {
    with_float(dy, [&](auto from) {
      const auto row = [=](int64_t m) {
        const float* const s = f32(x) + m * columns;
        const auto d = from + m * columns;
        const float* const extra = joined ? f32(dsum) + m * columns : nullptr;
        f32x16 dot = splat(0.0f);
        each_group(0, columns,
                   [&](int64_t c, int64_t n) { dot = fma(mul(get(d + c, n), get(w + c, n)), get(s + c, n), dot); });
        const float r = f32(rstd)[m];
        const f32x16 scale = splat(r), t = splat((reduce_add(dot) * r) / static_cast<float>(columns));
        float* const to = f32(dx) + m * columns;
        each_group(0, columns, [&](int64_t c, int64_t n) {
          const f32x16 normal = mul(get(s + c, n), scale), g = mul(get(d + c, n), get(w + c, n));
          f32x16 v = mul(scale, fma(negate(normal), t, g));
          if (joined) v = add(v, get(extra + c, n));
          put(cold, to + c, v, n);
        });
      };
      if (!dweight.data) {
        parallel_rows(ctx, tokens, columns, row);
        return;
      }
      const auto chain = chain_of(f32(dweight), from, f32(x), f32(rstd), columns);
      parallel(ctx, pieces, [&](int64_t i, int32_t) {
        const auto end_of = [&](int64_t p) { return smaller(tokens, (p + 1) * piece); };
        for (int64_t m = i * piece; m < end_of(i); m++) row(m);
        stream_end();
        arrivals.arrive(i, pieces, [&](int64_t p) { chain.add(p * piece, end_of(p)); });
      });
    });
  });
  return 0;
}

}  // namespace PT_NAMESPACE
