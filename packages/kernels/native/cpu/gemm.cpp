// A panel of B (WIDTH columns) is copied into scratch with its inner dimension outermost; a register tile of up to TILE_ROWS rows
// of A runs along it. The tile's accumulators are members of nested structs: gcc 12 spills arrays of vectors (0.75 of the
// machine's peak instead of 0.93). Block sizes suit 48 KB of L1 and 2 MB of L2 a core.
#include "gemm.h"

namespace PT_NAMESPACE {
namespace {

#if defined(PT_AVX512)
constexpr int TILE_ROWS = 14;
constexpr int WIDTH = 32;
struct Wide {
  f32x16 left, right;
};
PT_INLINE Wide load_wide(const float* p) { return {load(p), load(p + 16)}; }
PT_INLINE void store_wide(float* p, Wide x) { store(p, x.left), store(p + 16, x.right); }
PT_INLINE Wide load_first_wide(const float* p, int64_t n) {
  return n > 16 ? Wide{load(p), load_first(p + 16, n - 16)} : Wide{load_first(p, n), splat(0.0f)};
}
PT_INLINE void store_first_wide(float* p, Wide x, int64_t n) {
  if (n > 16)
    store(p, x.left), store_first(p + 16, x.right, n - 16);
  else
    store_first(p, x.left, n);
}
PT_INLINE Wide splat_wide(float x) { return {splat(x), splat(x)}; }
PT_INLINE Wide add(Wide x, Wide y) { return {add(x.left, y.left), add(x.right, y.right)}; }
PT_INLINE Wide fma(float x, Wide y, Wide z) {
  const f32x16 s = splat(x);
  return {fma(s, y.left, z.left), fma(s, y.right, z.right)};
}
#else
#if defined(PT_AVX2)
constexpr int TILE_ROWS = 6;
#else
constexpr int TILE_ROWS = 4;
#endif
constexpr int WIDTH = 16;
typedef f32x16 Wide;
PT_INLINE Wide load_wide(const float* p) { return load(p); }
PT_INLINE void store_wide(float* p, Wide x) { store(p, x); }
PT_INLINE Wide load_first_wide(const float* p, int64_t n) { return load_first(p, n); }
PT_INLINE void store_first_wide(float* p, Wide x, int64_t n) { store_first(p, x, n); }
PT_INLINE Wide splat_wide(float x) { return splat(x); }
PT_INLINE Wide fma(float x, Wide y, Wide z) { return fma(splat(x), y, z); }
#endif

constexpr int64_t DEPTH_BLOCK = 1024;         // of the inner dimension, for tall products
constexpr int64_t PANEL_FLOATS = 256 * 1024;  // of packed B: half of L2
constexpr int64_t FLAT_ROWS = 2 * TILE_ROWS;  // up to here one panel at a time, in L1
constexpr int64_t FLAT_DEPTH_BLOCK = 8192 / WIDTH;
static_assert(DEPTH_BLOCK % SUM_BLOCK == 0 && FLAT_DEPTH_BLOCK % SUM_BLOCK == 0,
              "sums begin at multiples of SUM_BLOCK");
constexpr int64_t ROW_GAP = 16;  // between copied rows of A, so that they fall into different sets of L1
static_assert((PANEL_FLOATS + TILE_ROWS * (DEPTH_BLOCK + ROW_GAP) + 16) * 4 <= PRODUCT_SCRATCH, "scratch");

// ---- the register tile ----

template <int R>
struct Rows {
  Rows<R - 1> above;
  Wide last;
};
template <>
struct Rows<0> {};

// Where the rows of A begin: three rows share a pointer, which keeps 14 of them addressable with few registers.
struct RowPointers {
  const float *p0, *p3, *p6, *p9, *p12;
};
template <int R>
PT_INLINE const float* row_pointer(const RowPointers& p, int64_t stride) {
  const float* base = R < 3 ? p.p0 : R < 6 ? p.p3 : R < 9 ? p.p6 : R < 12 ? p.p9 : p.p12;
  return base + (R % 3) * stride;
}

template <int R>
PT_INLINE void step_rows(Rows<R>& rows, const RowPointers& p, int64_t stride, Wide b) {
  if constexpr (R > 0) {
    step_rows<R - 1>(rows.above, p, stride, b);
    rows.last = fma(*row_pointer<R - 1>(p, stride), b, rows.last);
  }
}
template <int R>
PT_INLINE void step_packed(Rows<R>& rows, const float* a, Wide b) {
  if constexpr (R > 0) {
    step_packed<R - 1>(rows.above, a, b);
    rows.last = fma(a[R - 1], b, rows.last);
  }
}
template <int R>
PT_INLINE void start_rows(Rows<R>& rows, const float* c, int64_t c_row, int64_t columns, bool from_c) {
  if constexpr (R > 0) {
    start_rows<R - 1>(rows.above, c, c_row, columns, from_c);
    const float* p = c + (R - 1) * c_row;
    rows.last = !from_c ? splat_wide(0.0f) : columns == WIDTH ? load_wide(p) : load_first_wide(p, columns);
  }
}
template <int R>
PT_INLINE void finish_rows(const Rows<R>& rows, float* c, int64_t c_row, int64_t columns, bool add_c,
                           const float* bias) {
  if constexpr (R > 0) {
    finish_rows<R - 1>(rows.above, c, c_row, columns, add_c, bias);
    float* p = c + (R - 1) * c_row;
    Wide x = rows.last;
    if (add_c) x = add(columns == WIDTH ? load_wide(p) : load_first_wide(p, columns), x);
    if (bias) x = add(x, columns == WIDTH ? load_wide(bias) : load_first_wide(bias, columns));
    if (columns == WIDTH)
      store_wide(p, x);
    else
      store_first_wide(p, x, columns);
  }
}

struct Tile {
  float* c;
  int64_t c_row;
  int64_t columns;  // of this panel that exist
  const float* a;   // rows a_row apart and contiguous along depth; or packed, (depth, R)
  int64_t a_row;
  const float* b;  // (depth, WIDTH)
  int64_t depth;
  bool from_c;        // the chain starts from the stored C, not from +0
  bool add_c;         // the finished chain is added to the stored C
  const float* bias;  // in the last block of the inner dimension, or null
};

template <int R, bool PACKED>
__attribute__((noinline)) void run_tile(const Tile& t) {
  Rows<R> rows;
  start_rows<R>(rows, t.c, t.c_row, t.columns, t.from_c);
  const float* b = t.b;
  if constexpr (PACKED) {
    const float* a = t.a;
    for (int64_t k = 0; k < t.depth; k++) {
      step_packed<R>(rows, a, load_wide(b));
      a += R;
      b += WIDTH;
    }
  } else {
    const int64_t stride = t.a_row;
    RowPointers p = {t.a, R > 3 ? t.a + 3 * stride : nullptr, R > 6 ? t.a + 6 * stride : nullptr,
                     R > 9 ? t.a + 9 * stride : nullptr, R > 12 ? t.a + 12 * stride : nullptr};
    for (int64_t k = 0; k < t.depth; k++) {
      step_rows<R>(rows, p, stride, load_wide(b));
      p.p0++, p.p3++, p.p6++, p.p9++, p.p12++;
      b += WIDTH;
    }
  }
  finish_rows<R>(rows, t.c, t.c_row, t.columns, t.add_c, t.bias);
}

template <bool PACKED, int R = TILE_ROWS>
PT_INLINE void run_tile_of(int64_t rows, const Tile& t) {
  if (R == 1 || rows == R)
    run_tile<R, PACKED>(t);
  else if constexpr (R > 1)
    run_tile_of<PACKED, R - 1>(rows, t);
}

// ---- packing ----

// to[i * WIDTH + j] = from[j * from_row + i] for i, j in [0, 16): four floats of every row at a time, 4 x 4 inside 128-bit lanes.
PT_INLINE void transpose16(float* to, const float* from, int64_t from_row) {
#if defined(PT_AVX512)
  for (int q = 0; q < 16; q += 4) {
    __m512 r[4];  // lane l of r[j] holds row 4 l + j
    for (int j = 0; j < 4; j++) {
      const float* p = from + j * from_row + q;
      r[j] = _mm512_castps128_ps512(_mm_loadu_ps(p));
      r[j] = _mm512_mask_broadcast_f32x4(r[j], 0x00f0, _mm_loadu_ps(p + 4 * from_row));
      r[j] = _mm512_mask_broadcast_f32x4(r[j], 0x0f00, _mm_loadu_ps(p + 8 * from_row));
      r[j] = _mm512_mask_broadcast_f32x4(r[j], 0xf000, _mm_loadu_ps(p + 12 * from_row));
    }
    const __m512d a = _mm512_castps_pd(_mm512_unpacklo_ps(r[0], r[1])),
                  b = _mm512_castps_pd(_mm512_unpackhi_ps(r[0], r[1]));
    const __m512d c = _mm512_castps_pd(_mm512_unpacklo_ps(r[2], r[3])),
                  d = _mm512_castps_pd(_mm512_unpackhi_ps(r[2], r[3]));
    _mm512_storeu_pd(to + q * WIDTH, _mm512_unpacklo_pd(a, c));
    _mm512_storeu_pd(to + (q + 1) * WIDTH, _mm512_unpackhi_pd(a, c));
    _mm512_storeu_pd(to + (q + 2) * WIDTH, _mm512_unpacklo_pd(b, d));
    _mm512_storeu_pd(to + (q + 3) * WIDTH, _mm512_unpackhi_pd(b, d));
  }
#elif defined(PT_AVX2)
  for (int half = 0; half < 16; half += 8) {
    for (int q = 0; q < 16; q += 4) {
      __m256 r[4];  // lane l of r[j] holds row half + 4 l + j
      for (int j = 0; j < 4; j++) {
        const float* p = from + (half + j) * from_row + q;
        r[j] = _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(p)), _mm_loadu_ps(p + 4 * from_row), 1);
      }
      const __m256d a = _mm256_castps_pd(_mm256_unpacklo_ps(r[0], r[1])),
                    b = _mm256_castps_pd(_mm256_unpackhi_ps(r[0], r[1]));
      const __m256d c = _mm256_castps_pd(_mm256_unpacklo_ps(r[2], r[3])),
                    d = _mm256_castps_pd(_mm256_unpackhi_ps(r[2], r[3]));
      _mm256_storeu_ps(to + q * WIDTH + half, _mm256_castpd_ps(_mm256_unpacklo_pd(a, c)));
      _mm256_storeu_ps(to + (q + 1) * WIDTH + half, _mm256_castpd_ps(_mm256_unpackhi_pd(a, c)));
      _mm256_storeu_ps(to + (q + 2) * WIDTH + half, _mm256_castpd_ps(_mm256_unpacklo_pd(b, d)));
      _mm256_storeu_ps(to + (q + 3) * WIDTH + half, _mm256_castpd_ps(_mm256_unpackhi_pd(b, d)));
    }
  }
#else
  for (int i = 0; i < 16; i++)
    for (int j = 0; j < 16; j++) to[i * WIDTH + j] = from[j * from_row + i];
#endif
}

// `columns` columns of B from `b` on (element (k, j) at b[k + j * stride]) into panels (depth, WIDTH), one after the other.
void pack_from_columns(float* to, const float* b, int64_t stride, int64_t depth, int64_t columns) {
  for (int64_t j = 0; j < columns; j += 16) {
    float* group = to + j / WIDTH * WIDTH * depth + j % WIDTH;
    const float* from = b + j * stride;
    const int64_t n = smaller(16, columns - j);
    int64_t k = 0;
    if (n == 16)
      for (; k + 16 <= depth; k += 16) {
        for (int64_t i = 16; i < 32; i++) __builtin_prefetch(from + k + i * stride, 0, 2);  // of the next group
        transpose16(group + k * WIDTH, from + k, stride);
      }
    for (; k < depth; k++)
      for (int64_t i = 0; i < 16; i++) group[k * WIDTH + i] = i < n ? from[k + i * stride] : 0.0f;
  }
}

// The same where element (k, j) lies at b[k * stride + j].
void pack_from_rows(float* to, const float* b, int64_t stride, int64_t depth, int64_t columns) {
  const int64_t whole = columns / WIDTH * WIDTH;
  for (int64_t k = 0; k < depth; k++) {
    const float* from = b + k * stride;
    float* line = to + k * WIDTH;
    for (int64_t j = 0; j < whole; j += WIDTH) store_wide(line + j * depth, load_wide(from + j));
    if (whole < columns) store_wide(line + whole * depth, load_first_wide(from + whole, columns - whole));
  }
}

// Rows of A that lie along the inner dimension (element (i, k) at a[i + k * stride]) as (depth, rows). Each store writes 16
// floats, the next one overwrites what was too much.
void pack_rows(float* to, const float* a, int64_t stride, int64_t depth, int64_t rows) {
  for (int64_t k = 0; k < depth; k++) {
    store(to + k * rows, load_first(a + k * stride, rows));
    __builtin_prefetch(a + k * stride + 2 * rows - 1, 0, 2);  // of the next tile
  }
}

// ---- blocks ----

struct Block {
  int64_t column, columns;  // of C
  int64_t k, depth;         // of the inner dimension
};

void pack_b(float* panels, const Matrix& b, const Block& block) {
  const float* from = b.data + block.k * b.row + block.column * b.column;
  if (b.column == 1)
    pack_from_rows(panels, from, b.row, block.depth, block.columns);
  else
    pack_from_columns(panels, from, b.column, block.depth, block.columns);
}

// All rows of A against the packed panels of a block. a_copy: room for the rows of one tile.
void run_tiles(const Product& p, const Block& block, const float* panels, float* a_copy) {
  const int64_t tiles = ceil_div(p.rows, TILE_ROWS);
  const bool packed = p.a.column != 1;
  // Rows whose distance is a multiple of 2 KB meet in few sets of L1.
  const bool copied = !packed && p.a.row % 512 == 0 && p.rows > FLAT_ROWS;
  Tile tile;
  tile.c_row = p.c_row;
  tile.from_c = p.sum == Sum::chain;
  const int64_t chain = tile.from_c ? block.depth : SUM_BLOCK;
  for (int64_t i = 0, row = 0; i < tiles; i++) {
    const int64_t rows = p.rows / tiles + (i < p.rows % tiles);
    const float* a = p.a.data + row * p.a.row + block.k * p.a.column;
    tile.a_row = p.a.row;
    if (packed) {
      pack_rows(a_copy, a, p.a.column, block.depth, rows);
      a = a_copy;
    } else if (copied) {
      tile.a_row = DEPTH_BLOCK + ROW_GAP;
      for (int64_t r = 0; r < rows; r++) memcpy(a_copy + r * tile.a_row, a + r * p.a.row, block.depth * sizeof(float));
      a = a_copy;
    }
    int64_t k = 0;
    do {
      tile.a = a + k * (packed ? rows : 1);
      tile.depth = smaller(chain, block.depth - k);
      tile.add_c = p.sum == Sum::more_blocks || (p.sum == Sum::blocks && block.k + k > 0);
      const bool last = block.k + k + tile.depth == p.depth;
      for (int64_t j = 0; j < block.columns; j += WIDTH) {
        const int64_t column = block.column + j;
        tile.c = p.c + row * p.c_row + column;
        tile.columns = smaller(WIDTH, block.columns - j);
        tile.b = panels + j * block.depth + k * WIDTH;
        tile.bias = p.bias && last ? p.bias + column : nullptr;
        if (packed)
          run_tile_of<true>(rows, tile);
        else
          run_tile_of<false>(rows, tile);
      }
      k += tile.depth;
    } while (k < block.depth);
    row += rows;
  }
}

}  // namespace

void multiply(const Product& p, void* scratch) {
  const bool flat = p.rows <= FLAT_ROWS;
  const int64_t depth_blocks = p.depth == 0 ? 1 : ceil_div(p.depth, flat ? FLAT_DEPTH_BLOCK : DEPTH_BLOCK);
  const int64_t multiple = p.sum == Sum::chain ? 16 : SUM_BLOCK;
  const int64_t depth = p.depth == 0 ? multiple : ceil_div(ceil_div(p.depth, depth_blocks), multiple) * multiple;
  const int64_t strip = flat ? WIDTH : PANEL_FLOATS / depth / WIDTH * WIDTH;
  float* panels = static_cast<float*>(scratch);
  for (int64_t column = 0; column < p.columns; column += strip) {
    for (int64_t i = 0; i < depth_blocks; i++) {
      const Block block = {column, smaller(strip, p.columns - column), i * depth, smaller(depth, p.depth - i * depth)};
      pack_b(panels, p.b, block);
      run_tiles(p, block, panels, panels + PANEL_FLOATS);
    }
  }
}

int multiply_parallel(const pt_context* ctx, const Product& p) {
  if (p.rows == 0 || p.columns == 0) return 0;
  char* scratch = static_cast<char*>(ctx->scratch(ctx, ctx->threads * PRODUCT_SCRATCH));
  if (!scratch) return 1;
  // Strips of 8 panels, as many as threads can share evenly; narrow products are split by rows too, which packs B again for each.
  const int64_t panels = ceil_div(p.columns, WIDTH);
  const int64_t wanted = 4 * ctx->threads;
  const int64_t column_parts = smaller(panels, ceil_div(ceil_div(panels, 8), wanted) * wanted);
  const int64_t row_parts =
      p.rows <= FLAT_ROWS ? 1 : smaller(ceil_div(p.rows, 16 * TILE_ROWS), ceil_div(wanted, column_parts));
  parallel(ctx, column_parts * row_parts, [&](int64_t i, int32_t thread) {
    const int64_t column_part = i / row_parts, row_part = i % row_parts;
    const int64_t column = column_part * panels / column_parts * WIDTH;
    const int64_t row = row_part * p.rows / row_parts;
    Product part = p;
    part.c += row * p.c_row + column;
    part.a.data += row * p.a.row;
    part.b.data += column * p.b.column;
    part.rows = (row_part + 1) * p.rows / row_parts - row;
    part.columns = smaller(p.columns, (column_part + 1) * panels / column_parts * WIDTH) - column;
    if (p.bias) part.bias += column;
    multiply(part, scratch + thread * PRODUCT_SCRATCH);
  });
  return 0;
}

}  // namespace PT_NAMESPACE
