// What attention's forward and backward share: products of small blocks whose every element is one chain of fused
// multiply-adds in ascending order, wherever tiles begin; transposition; the cutting of sequences into pieces of work.
#pragma once
#pragma GCC diagnostic ignored "-Wuninitialized"  // gcc 12: the undefined operands in its own AVX-512 header
#include "cpu.h"

namespace PT_NAMESPACE {

constexpr int64_t KEY_BLOCK = 64;

// The tile of one product: as many rows and vectors of columns as the registers hold.
#if defined(PT_AVX512)
constexpr int TILE_ROWS = 6, TILE_VECTORS = 4;
#else
constexpr int TILE_ROWS = 6, TILE_VECTORS = 1;
#endif

PT_INLINE int64_t round_up(int64_t n) { return ceil_div(n, LANES) * LANES; }

// c[r, n] = chain(a[r, k] * b[k, n], k ascending), from zero or going on from c. a[r, k] lies at a[r * a_row + k * a_k].
template <int R, int V>
static void product_tile(float* c, int64_t ldc, const float* a, int64_t a_row, int64_t a_k, const float* b, int64_t ldb,
                         int64_t depth, bool from_zero) {
  f32x16 sum[R][V];
#pragma GCC unroll 8
  for (int r = 0; r < R; r++)
#pragma GCC unroll 8
    for (int v = 0; v < V; v++) sum[r][v] = from_zero ? splat(0.0f) : load(c + r * ldc + v * LANES);
  for (int64_t k = 0; k < depth; k++) {
    f32x16 column[V];
#pragma GCC unroll 8
    for (int v = 0; v < V; v++) column[v] = load(b + k * ldb + v * LANES);
#pragma GCC unroll 8
    for (int r = 0; r < R; r++) {
      const f32x16 x = splat(a[r * a_row + k * a_k]);
#pragma GCC unroll 8
      for (int v = 0; v < V; v++) sum[r][v] = fma(x, column[v], sum[r][v]);
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < R; r++)
#pragma GCC unroll 8
    for (int v = 0; v < V; v++) store(c + r * ldc + v * LANES, sum[r][v]);
}

template <int V>
PT_INLINE void product_rows(int64_t rows, float* c, int64_t ldc, const float* a, int64_t a_row, int64_t a_k,
                            const float* b, int64_t ldb, int64_t depth, bool from_zero) {
  switch (rows) {
    case 1:
      return product_tile<1, V>(c, ldc, a, a_row, a_k, b, ldb, depth, from_zero);
    case 2:
      return product_tile<2, V>(c, ldc, a, a_row, a_k, b, ldb, depth, from_zero);
    case 3:
      return product_tile<3, V>(c, ldc, a, a_row, a_k, b, ldb, depth, from_zero);
    case 4:
      return product_tile<4, V>(c, ldc, a, a_row, a_k, b, ldb, depth, from_zero);
    case 5:
      return product_tile<5, V>(c, ldc, a, a_row, a_k, b, ldb, depth, from_zero);
    default:
      return product_tile<6, V>(c, ldc, a, a_row, a_k, b, ldb, depth, from_zero);
  }
}

// At most TILE_ROWS rows; `columns` is a multiple of 16.
static inline void product(int64_t rows, int64_t columns, float* c, int64_t ldc, const float* a, int64_t a_row,
                           int64_t a_k, const float* b, int64_t ldb, int64_t depth, bool from_zero) {
  int64_t n = 0;
  for (; n + TILE_VECTORS * LANES <= columns; n += TILE_VECTORS * LANES)
    product_rows<TILE_VECTORS>(rows, c + n, ldc, a, a_row, a_k, b + n, ldb, depth, from_zero);
  for (; n < columns; n += LANES) product_rows<1>(rows, c + n, ldc, a, a_row, a_k, b + n, ldb, depth, from_zero);
}

// A product whose row r has its own depth[r], ascending: what rows share in one tile, then each row goes on alone.
static inline void product_to_depth(int64_t rows, int64_t columns, float* c, int64_t ldc, const float* a, int64_t a_row,
                                    const float* b, int64_t ldb, const int64_t* depth, bool from_zero) {
  const int64_t shared = depth[0];
  product(rows, columns, c, ldc, a, a_row, 1, b, ldb, shared, from_zero);
  for (int64_t r = 1; r < rows; r++)
    if (depth[r] > shared)
      product(1, columns, c + r * ldc, ldc, a + r * a_row + shared, a_row, 1, b + shared * ldb, ldb, depth[r] - shared,
              false);
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

// to[c, r] = from[r, c], to's rows KEY_BLOCK wide; columns from `rows` on become zero.
static inline void transpose(float* to, const float* from, int64_t stride, int64_t rows, int64_t columns) {
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
      for (int i = 0; i < 4; i++) memcpy(to + (c + i) * KEY_BLOCK + r, &x[i], sizeof x[i]);
    }
    for (; c < columns; c++)
      for (int i = 0; i < 4; i++) to[c * KEY_BLOCK + r + i] = f[i * stride + c];
  }
  for (; r < KEY_BLOCK; r++)
    for (int64_t c = 0; c < columns; c++) to[c * KEY_BLOCK + r] = r < rows ? from[r * stride + c] : 0.0f;
}

// Rows as the right side of a product: where they lie if they are whole vectors, else copied, padded with zeros. Rows a multiple
// of 1 KiB apart are copied too: they would share a few sets of the first-level cache.
struct Rows {
  const float* data;
  int64_t stride;
};
static inline Rows dense_rows(float* copy, const float* from, int64_t stride, int64_t rows, int64_t columns) {
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

// A range of work: the queries of sequence `sequence` from `first` (counted in the call) on.
struct Piece {
  int32_t sequence, first;
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

// The pieces of all sequences, `tile` queries each (the last of a sequence fewer). Returns how many; null pieces: only counts.
static inline int64_t cut(Piece* pieces, const int32_t* starts, int64_t sequences, int64_t tile) {
  int64_t n = 0;
  for (int64_t s = 0; s < sequences; s++)
    for (int64_t i = 0; i < starts[s + 1] - starts[s]; i += tile, n++)
      if (pieces) pieces[n] = {static_cast<int32_t>(s), static_cast<int32_t>(i)};
  return n;
}

}  // namespace PT_NAMESPACE
