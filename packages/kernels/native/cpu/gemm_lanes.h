// The vectors of the products' register tiles: WIDTH columns, up to TILE_ROWS rows; and the transposition that packing needs.
#pragma once
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
#endif
PT_INLINE f32x16 fma(float x, f32x16 y, f32x16 z) { return fma(splat(x), y, z); }

// to[i * to_row + j] = from[j * from_row + i] for i in [0, 16) and j in [0, to_row), or a few more of j, which the next i overwrites:
// four floats of every row at a time, 4 x 4 inside 128-bit lanes.
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
  for (int half = 0; half < 16 && half < to_row; half += 8) {
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

}  // namespace PT_NAMESPACE
