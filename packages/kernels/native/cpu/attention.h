// What attention's forward and backward share: products of small blocks whose every element is one chain of fused
// multiply-adds in ascending order, wherever tiles begin; transposition; the cutting of sequences into pieces of work.
// A product leaves out what a row does not see: a zero in its place would change a sum of -0, or of infinite or NaN values.
#pragma once
#include "accumulators.h"
#include "bf16.h"

namespace PT_NAMESPACE {

constexpr int64_t KEY_BLOCK = 64;

#define PT_MEMBER inline __attribute__((always_inline))
// The tile of one product: as many rows and vectors of columns as the registers hold.
#if defined(PT_AVX512)
constexpr int SCORE_ROWS = 6, SCORE_VECTORS = 4;
#else
constexpr int SCORE_ROWS = 6, SCORE_VECTORS = 1;
#endif
// Of fewer rows: a query's alone, whose chains would otherwise wait for each other.
constexpr int FEW_ROWS = 3, FEW_ROWS_VECTORS = SCORE_VECTORS < 2 ? 2 : SCORE_VECTORS;

PT_INLINE int64_t round_up(int64_t n) { return ceil_div(n, LANES) * LANES; }

template <class T>
constexpr bool IS_BF16 = sizeof(T) == sizeof(bf16);

// V vectors of columns; R rows of them.
template <int V>
using Columns = Nest<V, f32x16>;
template <int R, int V>
using Sums = Nest<R, Columns<V>>;

template <int V>
PT_INLINE void load_columns(Columns<V>& x, const float* p) {
  if constexpr (V > 0) {
    load_columns<V - 1>(x.above, p);
    x.last = load(p + (V - 1) * LANES);
  }
}

// The left operand of a product, a[r, k]: rows `stride` apart and contiguous along k, or columns KEY_BLOCK apart, contiguous along r.
using Along = RowPointers;
PT_INLINE Along along(const float* a, int64_t stride) { return row_pointers<SCORE_ROWS>(a, stride); }
struct Across {
  const float* p;
  PT_MEMBER Across from(int64_t r) const { return {p + r}; }
  PT_MEMBER void next() { p += KEY_BLOCK; }
  template <int R>
  PT_MEMBER float at() const {
    return p[R];
  }
};

// Rows whose range has not ended at k.
template <int R, int V, class Left>
PT_INLINE void step_until(Sums<R, V>& sums, const Left& a, const Columns<V>& b, int64_t k, const int64_t* end) {
  if constexpr (R > 0) {
    step_until<R - 1, V>(sums.above, a, b, k, end);
    if (k < end[R - 1]) multiply_add(sums.last, splat(a.template at<R - 1>()), b);
  }
}
// Rows up to the k-th.
template <int R, int V, class Left>
PT_INLINE void step_first(Sums<R, V>& sums, const Left& a, const Columns<V>& b, int64_t k) {
  if constexpr (R > 0) {
    step_first<R - 1, V>(sums.above, a, b, k);
    if (R - 1 <= k) multiply_add(sums.last, splat(a.template at<R - 1>()), b);
  }
}
template <int R, int V>
PT_INLINE void start_sums(Sums<R, V>& sums, const float* c, int64_t stride) {
  if constexpr (R > 0) {
    start_sums<R - 1, V>(sums.above, c, stride);
    if (c)
      load_columns<V>(sums.last, c + (R - 1) * stride);
    else
      clear(sums.last);
  }
}
template <int R, int V, class Finish>
PT_INLINE void finish_columns(const Columns<V>& x, const Finish& finish) {
  if constexpr (V > 0) {
    finish_columns<R, V - 1>(x.above, finish);
    finish(R - 1, (V - 1) * LANES, x.last);
  }
}
template <int R, int V, class Finish>
PT_INLINE void finish_sums(const Sums<R, V>& sums, const Finish& finish) {
  if constexpr (R > 0) {
    finish_sums<R - 1, V>(sums.above, finish);
    finish_columns<R, V>(sums.last, finish);
  }
}

// What becomes of a finished sum: it is stored,
struct Store {
  float* c;
  int64_t stride;
  PT_MEMBER void operator()(int64_t r, int64_t column, f32x16 x) const { store(c + r * stride + column, x); }
  PT_MEMBER Store from(int64_t column) const { return {c + column, stride}; }
};
// or joined with what was summed before: fma(x, enter[r], c * keep[r]).
struct Join {
  float* c;
  int64_t stride;
  const float *keep, *enter;
  PT_MEMBER void operator()(int64_t r, int64_t column, f32x16 x) const {
    float* to = c + r * stride + column;
    store(to, fma(x, splat(enter[r]), mul(load(to), splat(keep[r]))));
  }
  PT_MEMBER Join from(int64_t column) const { return {c + column, stride, keep, enter}; }
};

struct Right {
  const float* data;
  int64_t stride;
};

// chain(a[r, k] * b[k, n], k ascending) for k up to end[r], ends ascending; from zero, or going on from c.
template <int R, int V, class Finish>
__attribute__((noinline)) static void run_to_ends(Along a, Right b, const int64_t* end, const float* c, int64_t stride,
                                                  const Finish& finish) {
  Sums<R, V> sums;
  start_sums<R, V>(sums, c, stride);
  Columns<V> column;
  int64_t k = 0;
  for (; k < end[0]; k++, b.data += b.stride, a.next()) {
    load_columns<V>(column, b.data);
    step_rows(sums, a, column);
  }
  for (; k < end[R - 1]; k++, b.data += b.stride, a.next()) {
    load_columns<V>(column, b.data);
    step_until<R, V>(sums, a, column, k, end);
  }
  finish_sums<R, V>(sums, finish);
}
// The same for k up to `depth`, going on from c; staggered: row r begins at k = r.
template <int R, int V>
__attribute__((noinline)) static void run_on(Across a, Right b, int64_t depth, bool staggered, const Store& c) {
  Sums<R, V> sums;
  start_sums<R, V>(sums, c.c, c.stride);
  Columns<V> column;
  int64_t k = 0;
  for (; staggered && k < R - 1; k++, b.data += b.stride, a.next()) {
    load_columns<V>(column, b.data);
    step_first<R, V>(sums, a, column, k);
  }
  for (; k < depth; k++, b.data += b.stride, a.next()) {
    load_columns<V>(column, b.data);
    step_rows(sums, a, column);
  }
  finish_sums<R, V>(sums, c);
}

// visit(V, column): tiles of V vectors over `columns`, a multiple of 16.
template <int V, class Visit>
PT_INLINE void each_width(int64_t column, int64_t columns, const Visit& visit) {
  for (; column + V * LANES <= columns; column += V * LANES) visit(Count<V>(), column);
  if constexpr (V > 1) each_width<V / 2>(column, columns, visit);
}

// At most SCORE_ROWS rows; `columns` is a multiple of 16. c: null to begin from zero.
template <class Finish>
static inline void product_to_ends(int64_t rows, int64_t columns, const Along& a, const Right& b, const int64_t* end,
                                   const float* c, int64_t stride, const Finish& finish) {
  const auto product = [&](auto count, auto width, int64_t n) {
    run_to_ends<decltype(count)::value, decltype(width)::value>(a, {b.data + n, b.stride}, end, c ? c + n : nullptr,
                                                                stride, finish.from(n));
  };
  if (rows <= FEW_ROWS)
    each_width<FEW_ROWS_VECTORS>(0, columns, [&](auto width, int64_t n) {
      with_count<FEW_ROWS>(rows, [&](auto count) { product(count, width, n); });
    });
  else
    each_width<SCORE_VECTORS>(0, columns, [&](auto width, int64_t n) {
      with_count<SCORE_ROWS>(rows, [&](auto count) { product(count, width, n); });
    });
}
static inline void product_on(int64_t rows, int64_t columns, const Across& a, const Right& b, int64_t depth,
                              bool staggered, const Store& c) {
  each_width<SCORE_VECTORS>(0, columns, [&](auto width, int64_t n) {
    with_count<SCORE_ROWS>(rows, [&](auto count) {
      run_on<decltype(count)::value, decltype(width)::value>(a, {b.data + n, b.stride}, depth, staggered, c.from(n));
    });
  });
}

// ---- bf16: the order of AMX's TDPBF16PS, of widened numbers ----
//
// c[r, n] = c[r, n] + (even + odd) for each block of 32 along k, even and odd being chains of 16 over its even and odd k, from +0.
// What does not exist or is not seen is +0 on the left and takes part, which changes no sum as long as the right side is finite: where it
// may not be, product_of_seen leaves out what is not seen. Subnormals count as zero. Callers hold a FlushSubnormals.

constexpr int64_t SUM_PAIRS = 16;
#if defined(PT_AVX512)
constexpr int PAIR_ROWS = 6, PAIR_VECTORS = 2;
#else
constexpr int PAIR_ROWS = 3, PAIR_VECTORS = 1;
#endif
PT_INLINE int64_t round_up_pairs(int64_t n) { return ceil_div(n, 2 * SUM_PAIRS) * 2 * SUM_PAIRS; }

template <int R, int V, class Left>
__attribute__((noinline)) static void run_pairs(Left a, Right b, int64_t depth, float* c, int64_t stride,
                                                bool from_zero) {
  for (int64_t k = 0; k < depth; k += 2 * SUM_PAIRS) {
    Sums<R, V> even, odd;
    clear(even);
    clear(odd);
    for (int64_t i = 0; i < SUM_PAIRS; i++) {
      Columns<V> column;
      load_columns<V>(column, b.data);
      step_rows(even, a, column);
      a.next();
      load_columns<V>(column, b.data + b.stride);
      step_rows(odd, a, column);
      a.next();
      b.data += 2 * b.stride;
    }
    join_chains(even, odd, c, stride, from_zero && k == 0);
  }
}
// Any number of rows; `columns` is a multiple of 16, `depth` of 32.
template <class Left>
static inline void product_of_pairs(int64_t rows, int64_t columns, const Left& a, const Right& b, int64_t depth,
                                    float* c, int64_t stride, bool from_zero) {
  for (int64_t r = 0; r < rows; r += PAIR_ROWS)
    each_width<PAIR_VECTORS>(0, columns, [&](auto width, int64_t n) {
      with_count<PAIR_ROWS>(smaller(PAIR_ROWS, rows - r), [&](auto count) {
        run_pairs<decltype(count)::value, decltype(width)::value>(a.from(r), {b.data + n, b.stride}, depth,
                                                                  c + r * stride + n, stride, from_zero);
      });
    });
}

// The same, of each row r only k from begin(r) up to end(r): for a right side that is not finite. Rare, so that a row at a time will do.
template <class Left, class Begin, class End>
static inline void product_of_seen(int64_t rows, int64_t columns, const Left& a, const Right& b, int64_t depth,
                                   const Begin& begin, const End& end, float* c, int64_t stride, bool from_zero) {
  const FlushSubnormals flush;
  for (int64_t r = 0; r < rows; r++)
    for (int64_t n = 0; n < columns; n += LANES) {
      f32x16 total = from_zero ? splat(0.0f) : load(c + r * stride + n);
      Left left = a.from(r);
      for (int64_t k = 0; k < depth;) {
        f32x16 even = splat(0.0f), odd = splat(0.0f);
        for (int64_t i = 0; i < 2 * SUM_PAIRS; i++, k++, left.next()) {
          if (k < begin(r) || k >= end(r)) continue;
          f32x16& sum = i % 2 == 0 ? even : odd;
          sum = fma(splat(left.template at<0>()), load(b.data + k * b.stride + n), sum);
        }
        total = add(total, add(even, odd));
      }
      store(c + r * stride + n, total);
    }
}
// Whether one of `count` numbers, a multiple of 16, is infinite or NaN: zero times it is not zero.
static inline bool any_infinite(const float* x, int64_t count) {
  f32x16 sum = splat(0.0f);
  for (int64_t i = 0; i < count; i += LANES) sum = add(sum, mul(load(x + i), splat(0.0f)));
  return reduce_add(sum) != 0.0f;
}

template <class T, class Body>
PT_INLINE void with_flushing(const Body& body) {
  if constexpr (IS_BF16<T>) {
    const FlushSubnormals flush;
    body();
  } else {
    body();
  }
}

// Rows of `size` numbers, widened, with zeros behind them to `padded`, and rows of zeros up to `all`.
template <class T>
static inline void get_rows(float* to, int64_t padded, const T* from, int64_t stride, int64_t rows, int64_t size,
                            int64_t all) {
  for (int64_t r = 0; r < rows; r++) {
    const T* x = from + r * stride;
    float* y = to + r * padded;
    int64_t d = 0;
    for (; d + LANES <= size; d += LANES) store(y + d, load(x + d));
    if (d < size) store(y + d, load_first(x + d, size - d)), d += LANES;
    for (; d < padded; d += LANES) store(y + d, splat(0.0f));
  }
  if (rows < all) memset(to + rows * padded, 0, (all - rows) * padded * sizeof(float));
}

typedef float quad __attribute__((vector_size(16)));
PT_INLINE quad load_quad(const float* p) {
  quad x;
  memcpy(&x, p, sizeof x);
  return x;
}
PT_INLINE void transpose_quads(quad* x) {
#if defined(__clang__)
#define PT_SHUFFLE(a, b, i, j, k, l) __builtin_shufflevector(a, b, i, j, k, l)
#else
  typedef int32_t order __attribute__((vector_size(16)));
#define PT_SHUFFLE(a, b, i, j, k, l) __builtin_shuffle(a, b, order{i, j, k, l})
#endif
  const quad a = PT_SHUFFLE(x[0], x[1], 0, 4, 1, 5), b = PT_SHUFFLE(x[2], x[3], 0, 4, 1, 5);
  const quad c = PT_SHUFFLE(x[0], x[1], 2, 6, 3, 7), d = PT_SHUFFLE(x[2], x[3], 2, 6, 3, 7);
  x[0] = PT_SHUFFLE(a, b, 0, 1, 4, 5);
  x[1] = PT_SHUFFLE(a, b, 2, 3, 6, 7);
  x[2] = PT_SHUFFLE(c, d, 0, 1, 4, 5);
  x[3] = PT_SHUFFLE(c, d, 2, 3, 6, 7);
#undef PT_SHUFFLE
}

// Not inlined: a call is nothing beside a block, and its copies were half of what attention_backward.cpp took to compile.
// to[c, r] = from[r, c], to's rows `to_stride` apart; columns from `rows` to `all` become zero.
__attribute__((noinline)) static void transpose(float* to, const float* from, int64_t stride, int64_t rows,
                                                int64_t columns, int64_t to_stride = KEY_BLOCK,
                                                int64_t all = KEY_BLOCK) {
  int64_t r = 0;
  for (; r + 4 <= rows; r += 4) {
    const float* f = from + r * stride;
    int64_t c = 0;
    for (; c + 4 <= columns; c += 4) {
      quad x[4];
#pragma GCC unroll 4
      for (int i = 0; i < 4; i++) x[i] = load_quad(f + i * stride + c);
      transpose_quads(x);
#pragma GCC unroll 4
      for (int i = 0; i < 4; i++) memcpy(to + (c + i) * to_stride + r, &x[i], sizeof x[i]);
    }
    const int64_t rest = columns - c;  // three at most
    for (int64_t e = 0; e < 3; e++)
      for (int i = 0; e < rest && i < 4; i++) to[(c + e) * to_stride + r + i] = f[i * stride + c + e];
  }
  for (int64_t c = 0; c < columns && r < all; c++) {
    float* line = to + c * to_stride + r;
    const float* f = from + r * stride + c;
    for (int i = 0; i < 3; i++)
      if (r + i < rows) line[i] = f[i * stride];
    if (rows < all) memset(to + c * to_stride + rows, 0, static_cast<size_t>(all - rows) * sizeof(float));
  }
}

// Rows as the right side of a product: where they lie if they are whole vectors, else copied, padded with zeros. Rows a multiple
// of 1 KiB apart are copied too: they would share a few sets of the first-level cache.
static inline Right dense_rows(float* copy, const float* from, int64_t stride, int64_t rows, int64_t columns) {
  const int64_t padded = round_up(columns);
  if (columns == padded && (stride == padded || stride % 256 != 0)) return {from, stride};
  for (int64_t r = 0; r < rows; r++) {
    memcpy(copy + r * padded, from + r * stride, columns * sizeof(float));
    memset(copy + r * padded + columns, 0, (padded - columns) * sizeof(float));
  }
  return {copy, padded};
}

// Carves buffers from one thread's scratch, each aligned to a cache line.
struct Carver {
  float* next;
  float* take(int64_t floats) {
    float* p = next;
    next += round_up(floats);
    return p;
  }
};

static inline int check_heads(const pt_context* ctx, int64_t heads, int64_t groups) {
  if (groups > 0 && heads > 0 && heads % groups == 0) return 0;
  ctx->fail(ctx, "%lld query heads cannot share %lld key-value heads evenly", static_cast<long long>(heads),
            static_cast<long long>(groups));
  return 1;
}

static inline int check_starts(const pt_context* ctx, const int32_t* starts, int64_t sequences, int64_t rows) {
  for (int64_t s = 0; s <= sequences; s++) {
    const bool wrong = s == 0 ? starts[0] != 0 : starts[s] < starts[s - 1];
    if (wrong || (s == sequences && starts[s] != rows)) {
      ctx->fail(ctx, "starts[%lld] is %d: starts must begin with 0, never fall and end with the %lld rows",
                static_cast<long long>(s), static_cast<int>(starts[s]), static_cast<long long>(rows));
      return 1;
    }
  }
  return 0;
}

}  // namespace PT_NAMESPACE
