// What the products' register tiles share, fp32 and bf16: vectors of WIDTH columns, up to TILE_ROWS rows of accumulators, the rows of the
// other factor; and the transposition that packing needs.
#pragma once
#include "../accumulators.h"
#include "gemm.h"

namespace PT_NAMESPACE {

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
#endif

// ---- what register tiles are made of: accumulators.h ----

template <int R, class Lanes = Wide>
using Rows = Nest<R, Lanes>;

#if defined(PT_AVX512)
PT_INLINE void clear(Wide& x) { x = splat_wide(0.0f); }
PT_INLINE void multiply_add(Wide& sum, f32x16 x, Wide y) {
  sum.left = fma(x, y.left, sum.left);
  sum.right = fma(x, y.right, sum.right);
}
PT_INLINE void join_chains(Wide even, Wide odd, float* total, int64_t, bool from_zero) {
  join_chains(even.left, odd.left, total, LANES, from_zero);
  join_chains(even.right, odd.right, total + LANES, LANES, from_zero);
}
#endif

// Finished sums to C, of whose columns `columns` exist: added to what is stored there, and the bias to that, where asked.
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

// ---- transposition ----

#if defined(PT_AVX512)
struct FourWords {
  __m512 w0, w1, w2, w3;
};
// Words q to q + 3 of 16 lines, a register each: 4 x 4 words inside 128-bit lanes. piece(line, q) gives them of one line.
template <class Piece>
PT_INLINE FourWords turn_four_words(int64_t q, const Piece& piece) {
  __m512 r[4];  // lane l of r[j] holds line 4 l + j
  for (int j = 0; j < 4; j++) {
    r[j] = _mm512_castps128_ps512(piece(j, q));
    r[j] = _mm512_mask_broadcast_f32x4(r[j], 0x00f0, piece(j + 4, q));
    r[j] = _mm512_mask_broadcast_f32x4(r[j], 0x0f00, piece(j + 8, q));
    r[j] = _mm512_mask_broadcast_f32x4(r[j], 0xf000, piece(j + 12, q));
  }
  const __m512d a = _mm512_castps_pd(_mm512_unpacklo_ps(r[0], r[1])),
                b = _mm512_castps_pd(_mm512_unpackhi_ps(r[0], r[1]));
  const __m512d c = _mm512_castps_pd(_mm512_unpacklo_ps(r[2], r[3])),
                d = _mm512_castps_pd(_mm512_unpackhi_ps(r[2], r[3]));
  return {_mm512_castpd_ps(_mm512_unpacklo_pd(a, c)), _mm512_castpd_ps(_mm512_unpackhi_pd(a, c)),
          _mm512_castpd_ps(_mm512_unpacklo_pd(b, d)), _mm512_castpd_ps(_mm512_unpackhi_pd(b, d))};
}
#endif
#if defined(PT_AVX512) || defined(PT_AVX2)
// 16 words of 32 bits from each of `lines` lines, at most 16 (AVX2: 8 at a time), turned: piece(line, w) gives words w to w + 3 of a line;
// put(w, line, x) takes word w of the lines from `line` on, as many as a register holds.
template <class Piece, class Put>
PT_INLINE void turn_words(int64_t lines, const Piece& piece, const Put& put) {
#if defined(PT_AVX512)
  (void)lines;
  for (int q = 0; q < 16; q += 4) {
    const FourWords x = turn_four_words(q, piece);
    put(q, 0, x.w0);
    put(q + 1, 0, x.w1);
    put(q + 2, 0, x.w2);
    put(q + 3, 0, x.w3);
  }
#else
  for (int half = 0; half < 16 && half < lines; half += 8)
    for (int q = 0; q < 16; q += 4) {
      __m256 r[4];  // lane l of r[j] holds line half + 4 l + j
      for (int j = 0; j < 4; j++)
        r[j] = _mm256_insertf128_ps(_mm256_castps128_ps256(piece(half + j, q)), piece(half + j + 4, q), 1);
      const __m256d a = _mm256_castps_pd(_mm256_unpacklo_ps(r[0], r[1])),
                    b = _mm256_castps_pd(_mm256_unpackhi_ps(r[0], r[1]));
      const __m256d c = _mm256_castps_pd(_mm256_unpacklo_ps(r[2], r[3])),
                    d = _mm256_castps_pd(_mm256_unpackhi_ps(r[2], r[3]));
      put(q, half, _mm256_castpd_ps(_mm256_unpacklo_pd(a, c)));
      put(q + 1, half, _mm256_castpd_ps(_mm256_unpackhi_pd(a, c)));
      put(q + 2, half, _mm256_castpd_ps(_mm256_unpacklo_pd(b, d)));
      put(q + 3, half, _mm256_castpd_ps(_mm256_unpackhi_pd(b, d)));
    }
#endif
}
#endif

// to[i * to_row + j] = from[j * from_row + i] for i in [0, 16) and j in [0, to_row), or a few more of j, which the next i overwrites.
PT_INLINE void transpose16(float* to, int64_t to_row, const float* from, int64_t from_row) {
#if defined(PT_AVX512) || defined(PT_AVX2)
  turn_words(
      to_row, [&](int line, int word) { return _mm_loadu_ps(from + line * from_row + word); },
      [&](int word, int line, auto x) {
        float* const at = to + word * to_row + line;
#if defined(PT_AVX512)
        _mm512_storeu_ps(at, x);
#else
        _mm256_storeu_ps(at, x);
#endif
      });
#else
  for (int i = 0; i < 16; i++)
    for (int j = 0; j < 16; j++) to[i * to_row + j] = from[j * from_row + i];
#endif
}

}  // namespace PT_NAMESPACE
