// Blocks of a bf16 product on fp32 lanes: the order of TDPBF16PS by fused multiply-adds, for machines without AMX. Both factors are
// widened as they are packed, and each block of 32 along the inner dimension is laid down with its 16 even elements first: a
// register tile then runs one chain over the even ones, parks it, runs the odd ones, and adds both to its totals, which lie in L1.
// Accumulators are members of nested structs: gcc 12 spills arrays of vectors.
#pragma once
#include "gemm_bf16_block.h"

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
PT_INLINE Wide zero_wide() { return {splat(0.0f), splat(0.0f)}; }
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
PT_INLINE Wide zero_wide() { return splat(0.0f); }
PT_INLINE Wide fma(float x, Wide y, Wide z) { return fma(splat(x), y, z); }
#endif

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
PT_INLINE void start(Rows<R>& rows) {
  if constexpr (R > 0) {
    start<R - 1>(rows.above);
    rows.last = zero_wide();
  }
}
template <int R>
PT_INLINE void step(Rows<R>& rows, const RowPointers& p, int64_t stride, Wide b) {
  if constexpr (R > 0) {
    step<R - 1>(rows.above, p, stride, b);
    rows.last = fma(*row_pointer<R - 1>(p, stride), b, rows.last);
  }
}
template <int R>
PT_INLINE void park(const Rows<R>& rows, float* to) {
  if constexpr (R > 0) {
    park<R - 1>(rows.above, to);
    store_wide(to + (R - 1) * WIDTH, rows.last);
  }
}
template <int R>
PT_INLINE void add_block(float* total, const float* even, const Rows<R>& odd) {
  if constexpr (R > 0) {
    add_block<R - 1>(total, even, odd.above);
    float* t = total + (R - 1) * WIDTH;
    store_wide(t, add(load_wide(t), add(load_wide(even + (R - 1) * WIDTH), odd.last)));
  }
}
// A chain of 16 steps from +0.
template <int R>
PT_INLINE void run_chain(Rows<R>& rows, RowPointers& p, int64_t stride, const float*& b) {
  start<R>(rows);
  for (int k = 0; k < 16; k++) {
    step<R>(rows, p, stride, load_wide(b));
    p.p0++, p.p3++, p.p6++, p.p9++, p.p12++;
    b += WIDTH;
  }
}

// total (R, WIDTH) += A B over `depth`, a multiple of 32.
template <int R>
__attribute__((noinline)) void run_tile(float* total, const float* a, int64_t a_row, const float* b, int64_t depth) {
  alignas(64) float even[R * WIDTH];
  RowPointers p = {a, R > 3 ? a + 3 * a_row : a, R > 6 ? a + 6 * a_row : a, R > 9 ? a + 9 * a_row : a,
                   R > 12 ? a + 12 * a_row : a};
  for (int64_t k = 0; k < depth; k += 32) {
    Rows<R> rows;
    run_chain<R>(rows, p, a_row, b);
    park<R>(rows, even);
    run_chain<R>(rows, p, a_row, b);
    add_block<R>(total, even, rows);
  }
}
template <int R = TILE_ROWS>
PT_INLINE void run_tile_of(int64_t rows, float* total, const float* a, int64_t a_row, const float* b, int64_t depth) {
  if (R == 1 || rows == R)
    run_tile<R>(total, a, a_row, b, depth);
  else if constexpr (R > 1)
    run_tile_of<R - 1>(rows, total, a, a_row, b, depth);
}

// ---- packing ----

// to[i * to_row + j] = from[j * 16 + i] for i, j in [0, 16).
PT_INLINE void transpose16(float* to, int64_t to_row, const float* from, int64_t from_row) {
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
    _mm512_storeu_pd(to + q * to_row, _mm512_unpacklo_pd(a, c));
    _mm512_storeu_pd(to + (q + 1) * to_row, _mm512_unpackhi_pd(a, c));
    _mm512_storeu_pd(to + (q + 2) * to_row, _mm512_unpacklo_pd(b, d));
    _mm512_storeu_pd(to + (q + 3) * to_row, _mm512_unpackhi_pd(b, d));
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
      _mm256_storeu_ps(to + q * to_row + half, _mm256_castpd_ps(_mm256_unpacklo_pd(a, c)));
      _mm256_storeu_ps(to + (q + 1) * to_row + half, _mm256_castpd_ps(_mm256_unpackhi_pd(a, c)));
      _mm256_storeu_ps(to + (q + 2) * to_row + half, _mm256_castpd_ps(_mm256_unpacklo_pd(b, d)));
      _mm256_storeu_ps(to + (q + 3) * to_row + half, _mm256_castpd_ps(_mm256_unpackhi_pd(b, d)));
    }
  }
#else
  for (int i = 0; i < 16; i++)
    for (int j = 0; j < 16; j++) to[i * to_row + j] = from[j * from_row + i];
#endif
}

// 16 elements as the product takes them, from f32 or bf16; or the first n, then zeros.
PT_INLINE f32x16 load_rounded(const float* p) { return to_bf16_and_back(load(p)); }
PT_INLINE f32x16 load_rounded(const bf16* p) { return load_bf16(p); }
PT_INLINE f32x16 load_rounded_first(const float* p, int64_t n) { return to_bf16_and_back(load_first(p, n)); }
PT_INLINE f32x16 load_rounded_first(const bf16* p, int64_t n) { return load_bf16_first(p, n); }

// `lines` lines that lie along the inner dimension, `stride` elements apart, into lines of to_row floats: each block of 32 with its
// even elements first, zeros past `depth`.
template <class T>
void widen_lines(float* to, int64_t to_row, const T* from, int64_t stride, int64_t lines, int64_t depth) {
  for (int64_t i = 0; i < lines; i++, to += to_row, from += stride)
    for (int64_t k = 0; k < depth; k += 32) {
      alignas(64) bf16 block[32];
      const bf16* pairs = block;
      const int64_t n = depth - k;
      if constexpr (sizeof(T) == 4) {
        store_bf16(block, n >= 16 ? load(from + k) : load_first(from + k, n));
        store_bf16(block + 16, n >= 32 ? load(from + k + 16) : load_first(from + k + 16, n > 16 ? n - 16 : 0));
      } else if (n >= 32) {
        pairs = from + k;
      } else {
        memset(block, 0, sizeof block);
        memcpy(block, from + k, n * sizeof(bf16));
      }
      store(to + k, load_even(pairs));
      store(to + k + 16, load_odd(pairs));
    }
}

// The same of lines that lie across: element k of line i at from[k * stride + i]. To one line for each i (`to_row` floats apart).
template <class T>
void turn_lines(float* to, int64_t to_row, const T* from, int64_t stride, int64_t lines, int64_t depth) {
  for (int64_t i = 0; i < lines; i += 16) {
    const int64_t n = smaller(16, lines - i);
    for (int64_t k = 0; k < depth; k += 32)
      for (int64_t odd = 0; odd < 2; odd++) {
        alignas(64) float square[256];
        for (int64_t j = 0; j < 16; j++) {
          const int64_t at = k + 2 * j + odd;
          store(square + 16 * j, at >= depth ? splat(0.0f)
                                 : n == 16   ? load_rounded(from + at * stride + i)
                                             : load_rounded_first(from + at * stride + i, n));
        }
        transpose16(to + i * to_row + k + 16 * odd, to_row, square, 16);
      }
  }
}

// B's columns into panels of WIDTH, (depth, WIDTH) each, the inner dimension in the order of widen_lines. Columns along the inner
// dimension:
template <class T>
void panels_from_columns(float* to, const T* from, int64_t stride, int64_t columns, int64_t depth) {
  const int64_t padded = ceil_div(depth, 32) * 32;
  for (int64_t j = 0; j < columns; j += 16) {
    float* group = to + j / WIDTH * WIDTH * padded + j % WIDTH;
    const int64_t n = smaller(16, columns - j);
    for (int64_t k = 0; k < depth; k += 32) {
      alignas(64) float square[16 * 32];
      widen_lines(square, 32, from + j * stride + k, stride, n, smaller(32, depth - k));
      if (n < 16) memset(square + n * 32, 0, (16 - n) * 32 * sizeof(float));
      transpose16(group + k * WIDTH, WIDTH, square, 32);
      transpose16(group + (k + 16) * WIDTH, WIDTH, square + 16, 32);
    }
  }
}
// and across it:
template <class T>
void panels_from_rows(float* to, const T* from, int64_t stride, int64_t columns, int64_t depth) {
  const int64_t padded = ceil_div(depth, 32) * 32;
  for (int64_t k = 0; k < padded; k++) {
    const int64_t at = k / 32 * 32 + k % 2 * 16 + k % 32 / 2;
    for (int64_t j = 0; j < columns; j += 16) {
      float* line = to + j / WIDTH * WIDTH * padded + at * WIDTH + j % WIDTH;
      const int64_t n = columns - j;
      store(line, k >= depth ? splat(0.0f)
                  : n >= 16  ? load_rounded(from + k * stride + j)
                             : load_rounded_first(from + k * stride + j, n));
    }
  }
}

// ---- blocks ----

struct LaneKernel {
  static constexpr int64_t PANEL_WIDTH = WIDTH;
  static constexpr int64_t FLAT_ROWS = 2 * TILE_ROWS;  // up to here one panel at a time, in L1
  static constexpr int64_t ROW_GAP = 16;  // floats between lines of A, which fall into different sets of L1 then
  static int64_t line_floats(int64_t depth) { return ceil_div(depth, 32) * 32 + ROW_GAP; }
  static int64_t a_bytes(int64_t rows, int64_t depth) { return ceil_div(rows, 16) * 16 * line_floats(depth) * 4; }
  static int64_t b_bytes(int64_t columns, int64_t depth) {
    return ceil_div(columns, WIDTH) * WIDTH * ceil_div(depth, 32) * 32 * 4;
  }

  void pack_a(void* to, const Factor& a, int64_t rows, int64_t depth) const {
    float* lines = static_cast<float*>(to);
    const auto* wide = static_cast<const float*>(a.data);
    const auto* narrow = static_cast<const bf16*>(a.data);
    const int64_t line = line_floats(depth);
    if (a.column == 1)
      a.wide ? widen_lines(lines, line, wide, a.row, rows, depth)
             : widen_lines(lines, line, narrow, a.row, rows, depth);
    else
      a.wide ? turn_lines(lines, line, wide, a.column, rows, depth)
             : turn_lines(lines, line, narrow, a.column, rows, depth);
  }
  void pack_b(void* to, const Factor& b, int64_t columns, int64_t depth) const {
    float* panels = static_cast<float*>(to);
    const auto* wide = static_cast<const float*>(b.data);
    const auto* narrow = static_cast<const bf16*>(b.data);
    if (b.column == 1)
      b.wide ? panels_from_rows(panels, wide, b.row, columns, depth)
             : panels_from_rows(panels, narrow, b.row, columns, depth);
    else
      b.wide ? panels_from_columns(panels, wide, b.column, columns, depth)
             : panels_from_columns(panels, narrow, b.column, columns, depth);
  }

  void run(const BlockBf16& block, const void* a, const void* b) const {
    const int64_t line = line_floats(block.depth), depth = ceil_div(block.depth, 32) * 32;
    const int64_t tiles = ceil_div(block.rows, TILE_ROWS);
    alignas(64) float total[TILE_ROWS * WIDTH];
    for (int64_t i = 0; i < tiles; i++) {
      const int64_t row = i * block.rows / tiles, rows = (i + 1) * block.rows / tiles - row;  // spread evenly
      for (int64_t j = 0; j < block.columns; j += WIDTH) {
        const int64_t columns = smaller(WIDTH, block.columns - j);
        start_totals(block, row, rows, j, columns, total, WIDTH);
        run_tile_of(rows, total, static_cast<const float*>(a) + row * line, line,
                    static_cast<const float*>(b) + j * depth, depth);
        finish_totals(block, row, rows, j, columns, total, WIDTH);
      }
    }
  }
};

}  // namespace
}  // namespace PT_NAMESPACE
