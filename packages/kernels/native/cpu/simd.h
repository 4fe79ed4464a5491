// Sixteen fp32 lanes, the one vector width of this library, in three spellings: AVX-512 (one register), AVX2 (two) and plain
// C++ (GCC/Clang vector extensions: four NEON registers on ARM). Every function gives the same bits in all three, so an op
// written with them once is written for all: IEEE add, mul, div, sqrt and fused multiply-add, compare-and-select max, and a
// fixed reduction tree. Each cpu/*.cpp is compiled once per path (PT_PATH); the files therefore use no inline code of the
// standard library, which the linker could take from the wrong path.
#pragma once
#include <stdint.h>
#include <string.h>

#ifndef PT_PATH
#error "compile with -DPT_PATH=avx512|avx2|plain"
#endif
#define PT_CONCAT2(a, b) a##b
#define PT_CONCAT(a, b) PT_CONCAT2(a, b)
#define PT_NAMESPACE PT_CONCAT(pt_cpu_, PT_PATH)
#define PT_INLINE static inline __attribute__((always_inline))
// What is long where multiply-adds are emulated: inlined there it would be most of what the compiler does, and a call is little beside it.
#if defined(PT_AVX512) || defined(PT_AVX2) || defined(__aarch64__) || defined(__FP_FAST_FMAF)
#define PT_LONG PT_INLINE
#else
#define PT_LONG static inline __attribute__((noinline))
#endif

#if defined(PT_AVX512) || defined(PT_AVX2)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

namespace PT_NAMESPACE {

constexpr int LANES = 16;

// Whether there are stores past the caches (stream).
#if defined(PT_AVX512) || defined(PT_AVX2)
constexpr bool STREAMS = true;
#else
constexpr bool STREAMS = false;
#endif

// bf16: the upper half of an f32. Read exactly; written rounded to nearest, ties to even, a NaN quiet, subnormals kept. Not the
// instruction VCVTNEPS2BF16: it takes subnormals for zero.
using bf16 = uint16_t;
PT_INLINE bf16 round_bf16(float x) {
  uint32_t u;
  memcpy(&u, &x, sizeof u);
  const bool nan = (u & 0x7fffffffu) > 0x7f800000u;
  return static_cast<bf16>(nan ? (u >> 16) | 0x40u : (u + 0x7fffu + ((u >> 16) & 1u)) >> 16);
}
PT_INLINE float widen_bf16(bf16 x) {
  const uint32_t u = static_cast<uint32_t>(x) << 16;
  float y;
  memcpy(&y, &u, sizeof y);
  return y;
}

#if defined(PT_AVX512)

struct f32x16 {
  __m512 v;
};
PT_INLINE __mmask16 first_lanes(int64_t n) { return static_cast<__mmask16>((1u << n) - 1u); }
PT_INLINE f32x16 load(const float* p) { return {_mm512_loadu_ps(p)}; }
PT_INLINE void store(float* p, f32x16 a) { _mm512_storeu_ps(p, a.v); }
PT_INLINE f32x16 load_first(const float* p, int64_t n) { return {_mm512_maskz_loadu_ps(first_lanes(n), p)}; }
PT_INLINE void store_first(float* p, f32x16 a, int64_t n) { _mm512_mask_storeu_ps(p, first_lanes(n), a.v); }
PT_INLINE f32x16 splat(float x) { return {_mm512_set1_ps(x)}; }
PT_INLINE f32x16 add(f32x16 a, f32x16 b) { return {_mm512_add_ps(a.v, b.v)}; }
PT_INLINE f32x16 sub(f32x16 a, f32x16 b) { return {_mm512_sub_ps(a.v, b.v)}; }
PT_INLINE f32x16 mul(f32x16 a, f32x16 b) { return {_mm512_mul_ps(a.v, b.v)}; }
PT_INLINE f32x16 div(f32x16 a, f32x16 b) { return {_mm512_div_ps(a.v, b.v)}; }
PT_INLINE f32x16 sqrt(f32x16 a) { return {_mm512_sqrt_ps(a.v)}; }
PT_INLINE f32x16 fma(f32x16 a, f32x16 b, f32x16 c) { return {_mm512_fmadd_ps(a.v, b.v, c.v)}; }
// a > b ? a : b, lane by lane: b where either is NaN.
PT_INLINE f32x16 max(f32x16 a, f32x16 b) { return {_mm512_max_ps(a.v, b.v)}; }
// a < b ? a : b, lane by lane: b where either is NaN.
PT_INLINE f32x16 min(f32x16 a, f32x16 b) { return {_mm512_min_ps(a.v, b.v)}; }
// Lanes 0..n-1 of a, the others `fill`.
PT_INLINE f32x16 keep_first(f32x16 a, int64_t n, float fill) {
  return {_mm512_mask_blend_ps(first_lanes(n), _mm512_set1_ps(fill), a.v)};
}
// The lowest lane in which they are equal, or LANES.
PT_INLINE int first_equal(f32x16 a, f32x16 b) {
  return __builtin_ctz(_mm512_cmp_ps_mask(a.v, b.v, _CMP_EQ_OQ) | 1u << LANES);
}
// x * 2^n, rounded once where that is subnormal, for lanes of n that hold whole numbers in [-252, 254].
PT_INLINE f32x16 scale_by_power(f32x16 x, f32x16 n) { return {_mm512_scalef_ps(x.v, n.v)}; }
PT_INLINE f32x16 widen_bf16(__m256i x) {
  return {_mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(x), 16))};
}
PT_INLINE __m256i round_bf16(f32x16 x) {
  const __m512i u = _mm512_castps_si512(x.v), high = _mm512_srli_epi32(u, 16);
  const __m512i odd = _mm512_and_si512(high, _mm512_set1_epi32(1));
  const __m512i rounded = _mm512_srli_epi32(_mm512_add_epi32(_mm512_add_epi32(u, _mm512_set1_epi32(0x7fff)), odd), 16);
  const __mmask16 nan = _mm512_cmp_ps_mask(x.v, x.v, _CMP_UNORD_Q);
  return _mm512_cvtepi32_epi16(_mm512_mask_or_epi32(rounded, nan, high, _mm512_set1_epi32(0x40)));
}
// Stores past the caches: p aligned to the 16 elements; stream_end() before another thread may read them.
PT_INLINE void stream(float* p, f32x16 a) { _mm512_stream_ps(p, a.v); }
PT_INLINE void stream(bf16* p, f32x16 a) { _mm256_stream_si256(reinterpret_cast<__m256i*>(p), round_bf16(a)); }
PT_INLINE void stream_end() { _mm_sfence(); }
PT_INLINE f32x16 load_bf16(const bf16* p) {
  return widen_bf16(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
}
PT_INLINE void store_bf16(bf16* p, f32x16 a) { _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), round_bf16(a)); }
PT_INLINE f32x16 load_bf16_first(const bf16* p, int64_t n) {
  return widen_bf16(_mm256_maskz_loadu_epi16(first_lanes(n), p));
}
PT_INLINE void store_bf16_first(bf16* p, f32x16 a, int64_t n) {
  _mm256_mask_storeu_epi16(p, first_lanes(n), round_bf16(a));
}

#elif defined(PT_AVX2)

struct f32x16 {
  __m256 a, b;
};
PT_INLINE __m256i first_lanes(int64_t n) {
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(n)), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
PT_INLINE f32x16 load(const float* p) { return {_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)}; }
PT_INLINE void store(float* p, f32x16 x) {
  _mm256_storeu_ps(p, x.a);
  _mm256_storeu_ps(p + 8, x.b);
}
PT_INLINE f32x16 load_first(const float* p, int64_t n) {
  return {_mm256_maskload_ps(p, first_lanes(n)), _mm256_maskload_ps(p + 8, first_lanes(n - 8))};
}
PT_INLINE void store_first(float* p, f32x16 x, int64_t n) {
  _mm256_maskstore_ps(p, first_lanes(n), x.a);
  _mm256_maskstore_ps(p + 8, first_lanes(n - 8), x.b);
}
PT_INLINE f32x16 splat(float x) { return {_mm256_set1_ps(x), _mm256_set1_ps(x)}; }
PT_INLINE f32x16 add(f32x16 x, f32x16 y) { return {_mm256_add_ps(x.a, y.a), _mm256_add_ps(x.b, y.b)}; }
PT_INLINE f32x16 sub(f32x16 x, f32x16 y) { return {_mm256_sub_ps(x.a, y.a), _mm256_sub_ps(x.b, y.b)}; }
PT_INLINE f32x16 mul(f32x16 x, f32x16 y) { return {_mm256_mul_ps(x.a, y.a), _mm256_mul_ps(x.b, y.b)}; }
PT_INLINE f32x16 div(f32x16 x, f32x16 y) { return {_mm256_div_ps(x.a, y.a), _mm256_div_ps(x.b, y.b)}; }
PT_INLINE f32x16 sqrt(f32x16 x) { return {_mm256_sqrt_ps(x.a), _mm256_sqrt_ps(x.b)}; }
PT_INLINE f32x16 fma(f32x16 x, f32x16 y, f32x16 z) {
  return {_mm256_fmadd_ps(x.a, y.a, z.a), _mm256_fmadd_ps(x.b, y.b, z.b)};
}
PT_INLINE f32x16 max(f32x16 x, f32x16 y) { return {_mm256_max_ps(x.a, y.a), _mm256_max_ps(x.b, y.b)}; }
PT_INLINE f32x16 min(f32x16 x, f32x16 y) { return {_mm256_min_ps(x.a, y.a), _mm256_min_ps(x.b, y.b)}; }
PT_INLINE f32x16 keep_first(f32x16 x, int64_t n, float fill) {
  const __m256 f = _mm256_set1_ps(fill);
  return {_mm256_blendv_ps(f, x.a, _mm256_castsi256_ps(first_lanes(n))),
          _mm256_blendv_ps(f, x.b, _mm256_castsi256_ps(first_lanes(n - 8)))};
}
PT_INLINE int first_equal(f32x16 x, f32x16 y) {
  const int low = _mm256_movemask_ps(_mm256_cmp_ps(x.a, y.a, _CMP_EQ_OQ));
  const int high = _mm256_movemask_ps(_mm256_cmp_ps(x.b, y.b, _CMP_EQ_OQ));
  return __builtin_ctz(low | high << 8 | 1u << LANES);
}
PT_INLINE __m256 power_of_two_half(__m256 n) {
  const __m256i e = _mm256_add_epi32(_mm256_cvttps_epi32(n), _mm256_set1_epi32(127));
  return _mm256_castsi256_ps(_mm256_slli_epi32(e, 23));
}
PT_INLINE f32x16 power_of_two(f32x16 n) { return {power_of_two_half(n.a), power_of_two_half(n.b)}; }
PT_INLINE __m256 widen_bf16(__m128i x) { return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(x), 16)); }
// The rounded upper half in the lower 16 bits of each lane.
PT_INLINE __m256i round_bf16(__m256 x) {
  const __m256i u = _mm256_castps_si256(x), high = _mm256_srli_epi32(u, 16);
  const __m256i odd = _mm256_and_si256(high, _mm256_set1_epi32(1));
  const __m256i rounded = _mm256_srli_epi32(_mm256_add_epi32(_mm256_add_epi32(u, _mm256_set1_epi32(0x7fff)), odd), 16);
  const __m256i quiet = _mm256_or_si256(high, _mm256_set1_epi32(0x40));
  return _mm256_blendv_epi8(rounded, quiet, _mm256_castps_si256(_mm256_cmp_ps(x, x, _CMP_UNORD_Q)));
}
PT_INLINE f32x16 load_bf16(const bf16* p) {
  const __m128i* from = reinterpret_cast<const __m128i*>(p);
  return {widen_bf16(_mm_loadu_si128(from)), widen_bf16(_mm_loadu_si128(from + 1))};
}
PT_INLINE __m256i round_bf16(f32x16 x) {
  // The pack works on each half of a register: quarters 0, 2 are x.a's, 1, 3 x.b's.
  return _mm256_permute4x64_epi64(_mm256_packus_epi32(round_bf16(x.a), round_bf16(x.b)), 0xd8);
}
PT_INLINE void store_bf16(bf16* p, f32x16 x) { _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), round_bf16(x)); }
// Stores past the caches: p aligned to the 16 elements; stream_end() before another thread may read them.
PT_INLINE void stream(float* p, f32x16 x) {
  _mm256_stream_ps(p, x.a);
  _mm256_stream_ps(p + 8, x.b);
}
PT_INLINE void stream(bf16* p, f32x16 x) { _mm256_stream_si256(reinterpret_cast<__m256i*>(p), round_bf16(x)); }
PT_INLINE void stream_end() { _mm_sfence(); }

#else

typedef float float_lanes __attribute__((vector_size(64)));
typedef int32_t int_lanes __attribute__((vector_size(64)));

struct f32x16 {
  float_lanes v;
};
PT_INLINE f32x16 load(const float* p) {
  f32x16 r;
  memcpy(&r, p, sizeof r);
  return r;
}
PT_INLINE void store(float* p, f32x16 a) { memcpy(p, &a, sizeof a); }
PT_INLINE f32x16 load_first(const float* p, int64_t n) {
  f32x16 r = {};
  for (int64_t i = 0; i < n && i < LANES; i++) r.v[i] = p[i];
  return r;
}
PT_INLINE void store_first(float* p, f32x16 a, int64_t n) {
  for (int64_t i = 0; i < n && i < LANES; i++) p[i] = a.v[i];
}
typedef uint32_t word_lanes __attribute__((vector_size(64)));
typedef bf16 bf16_lanes __attribute__((vector_size(32)));
PT_INLINE f32x16 load_bf16(const bf16* p) {
  bf16_lanes x;
  memcpy(&x, p, sizeof x);
  const word_lanes u = __builtin_convertvector(x, word_lanes) << 16;
  return {(float_lanes)u};
}
PT_INLINE void store_bf16(bf16* p, f32x16 a) {
  const word_lanes u = (word_lanes)a.v, high = u >> 16;
  const word_lanes nan = (word_lanes)((u & 0x7fffffffu) > 0x7f800000u);
  const word_lanes rounded = (u + 0x7fffu + (high & 1u)) >> 16;
  const bf16_lanes x = __builtin_convertvector((nan & (high | 0x40u)) | (~nan & rounded), bf16_lanes);
  memcpy(p, &x, sizeof x);
}
PT_INLINE void stream(float* p, f32x16 a) { store(p, a); }
PT_INLINE void stream(bf16* p, f32x16 a) { store_bf16(p, a); }
PT_INLINE void stream_end() {}
PT_INLINE f32x16 splat(float x) { return {float_lanes{} + x}; }
PT_INLINE f32x16 add(f32x16 a, f32x16 b) { return {a.v + b.v}; }
PT_INLINE f32x16 sub(f32x16 a, f32x16 b) { return {a.v - b.v}; }
PT_INLINE f32x16 mul(f32x16 a, f32x16 b) { return {a.v * b.v}; }
PT_INLINE f32x16 div(f32x16 a, f32x16 b) { return {a.v / b.v}; }
PT_INLINE f32x16 sqrt(f32x16 a) {
  f32x16 r;
  for (int i = 0; i < LANES; i++) r.v[i] = __builtin_sqrtf(a.v[i]);
  return r;
}
#if defined(__aarch64__)
// Written out: of a loop over the lanes gcc makes sixteen scalar multiply-adds.
PT_INLINE f32x16 fma(f32x16 a, f32x16 b, f32x16 c) {
  union {
    float_lanes whole;
    float32x4_t quarter[4];
  } x = {a.v}, y = {b.v}, z = {c.v};
  for (int i = 0; i < 4; i++) z.quarter[i] = vfmaq_f32(z.quarter[i], x.quarter[i], y.quarter[i]);
  return {z.whole};
}
#elif defined(__FP_FAST_FMAF)
PT_INLINE f32x16 fma(f32x16 a, f32x16 b, f32x16 c) {
  f32x16 r;
  for (int i = 0; i < LANES; i++) r.v[i] = __builtin_fmaf(a.v[i], b.v[i], c.v[i]);
  return r;
}
#else
// No fused multiply-add in this instruction set: the product of two floats is exact in double; the sum with c is rounded to
// odd there (Boldo & Melquiond, "Emulation of FMA and correctly rounded sums: proved algorithms using rounding to odd", 2008),
// after which the rounding to float is the only one that counts.
typedef double double_lanes __attribute__((vector_size(64)));
typedef int64_t long_lanes __attribute__((vector_size(64)));
typedef float float_half __attribute__((vector_size(32)));
PT_INLINE float_half fma_half(float_half a, float_half b, float_half c) {
  const double_lanes p = __builtin_convertvector(a, double_lanes) * __builtin_convertvector(b, double_lanes);
  const double_lanes z = __builtin_convertvector(c, double_lanes);
  const double_lanes s = p + z;
  const double_lanes t = s - p;
  const double_lanes error = (p - (s - t)) + (z - t);
  // Inexact and even: step one unit towards the error, which makes it odd. (An infinite or NaN sum has a NaN error: left alone.)
  const long_lanes bits = (long_lanes)s;
  const long_lanes inexact = (error < 0) | (error > 0);
  const long_lanes even = (bits & 1) - 1;
  const long_lanes away = ~((bits ^ (long_lanes)error) >> 63);  // all ones where sum and error agree in sign
  const long_lanes step = (away & 1) - (~away & 1);
  const long_lanes odd = bits + (step & inexact & even);
  return __builtin_convertvector((double_lanes)odd, float_half);
}
PT_LONG f32x16 fma(f32x16 a, f32x16 b, f32x16 c) {
  union {
    float_lanes whole;
    float_half half[2];
  } x = {a.v}, y = {b.v}, z = {c.v};
  z.half[0] = fma_half(x.half[0], y.half[0], z.half[0]);
  z.half[1] = fma_half(x.half[1], y.half[1], z.half[1]);
  return {z.whole};
}
#endif
PT_INLINE f32x16 max(f32x16 a, f32x16 b) { return {a.v > b.v ? a.v : b.v}; }
PT_INLINE f32x16 min(f32x16 a, f32x16 b) { return {a.v < b.v ? a.v : b.v}; }
PT_INLINE f32x16 keep_first(f32x16 a, int64_t n, float fill) {
  for (int64_t i = n < 0 ? 0 : n; i < LANES; i++) a.v[i] = fill;
  return a;
}
PT_INLINE int first_equal(f32x16 a, f32x16 b) {
  int i = 0;
  while (i < LANES && a.v[i] != b.v[i]) i++;
  return i;
}
PT_INLINE f32x16 power_of_two(f32x16 n) {
  const int_lanes e = (__builtin_convertvector(n.v, int_lanes) + 127) << 23;
  return {(float_lanes)e};
}

#endif

#if !defined(PT_AVX512)
PT_INLINE f32x16 load_bf16_first(const bf16* p, int64_t n) {
  bf16 x[LANES] = {};
  for (int64_t i = 0; i < n && i < LANES; i++) x[i] = p[i];
  return load_bf16(x);
}
PT_INLINE void store_bf16_first(bf16* p, f32x16 a, int64_t n) {
  bf16 x[LANES];
  store_bf16(x, a);
  for (int64_t i = 0; i < n && i < LANES; i++) p[i] = x[i];
}
// x * 2^n, rounded once where that is subnormal, for lanes of n that hold whole numbers in [-252, 254]: in two steps.
PT_INLINE f32x16 scale_by_power(f32x16 x, f32x16 n) {
  const f32x16 magic = splat(12582912.0f);  // 1.5 * 2^23: adding it rounds to the nearest whole number
  const f32x16 half = sub(add(mul(n, splat(0.5f)), magic), magic);
  return mul(mul(x, power_of_two(half)), power_of_two(sub(n, half)));
}
#endif
// The same by the type of what is pointed to, for kernels that are templates over it.
PT_INLINE f32x16 load(const bf16* p) { return load_bf16(p); }
PT_INLINE void store(bf16* p, f32x16 a) { store_bf16(p, a); }
PT_INLINE f32x16 load_first(const bf16* p, int64_t n) { return load_bf16_first(p, n); }
PT_INLINE void store_first(bf16* p, f32x16 a, int64_t n) { store_bf16_first(p, a, n); }

PT_INLINE f32x16 negate(f32x16 a) { return sub(splat(-0.0f), a); }

// The fixed tree of every reduction inside a row: lane i with i+8, then i+4, i+2, i+1.
PT_INLINE float reduce_add(f32x16 a) {
  float x[LANES];
  store(x, a);
  for (int width = 8; width > 0; width /= 2)
    for (int i = 0; i < width; i++) x[i] = x[i] + x[i + width];
  return x[0];
}
PT_INLINE float reduce_max(f32x16 a) {
  float x[LANES];
  store(x, a);
  for (int width = 8; width > 0; width /= 2)
    for (int i = 0; i < width; i++) x[i] = x[i] > x[i + width] ? x[i] : x[i + width];
  return x[0];
}

// Two groups that take each step together: long chains of dependent steps, exp's above all, leave a processor idle one at a time.
struct f32x32 {
  f32x16 a, b;
};
PT_INLINE f32x32 add(f32x32 x, f32x32 y) { return {add(x.a, y.a), add(x.b, y.b)}; }
PT_INLINE f32x32 sub(f32x32 x, f32x32 y) { return {sub(x.a, y.a), sub(x.b, y.b)}; }
PT_INLINE f32x32 mul(f32x32 x, f32x32 y) { return {mul(x.a, y.a), mul(x.b, y.b)}; }
PT_INLINE f32x32 div(f32x32 x, f32x32 y) { return {div(x.a, y.a), div(x.b, y.b)}; }
PT_INLINE f32x32 fma(f32x32 x, f32x32 y, f32x32 z) { return {fma(x.a, y.a, z.a), fma(x.b, y.b, z.b)}; }
PT_INLINE f32x32 max(f32x32 x, f32x32 y) { return {max(x.a, y.a), max(x.b, y.b)}; }
PT_INLINE f32x32 min(f32x32 x, f32x32 y) { return {min(x.a, y.a), min(x.b, y.b)}; }
PT_INLINE f32x32 negate(f32x32 x) { return {negate(x.a), negate(x.b)}; }
PT_INLINE f32x32 scale_by_power(f32x32 x, f32x32 n) { return {scale_by_power(x.a, n.a), scale_by_power(x.b, n.b)}; }
PT_INLINE f32x16 splat_as(f32x16, float x) { return splat(x); }
PT_INLINE f32x32 splat_as(f32x32, float x) { return {splat(x), splat(x)}; }
template <class V>
PT_INLINE V every(float x) {
  return splat_as(V{}, x);
}

// e^x. n = round(x / ln 2); e^r = 1 + r + r^2 q(r) on |r| <= ln(2)/2, q a minimax polynomial of degree 4 (relative error 3.1e-9,
// fitted by reweighted least squares); times 2^n, subnormal results rounded once. Largest
// relative error found: 1.41 * 2^-24, over 3 million arguments. Overflows to infinity above 88.7229, to zero below -103.98; NaN stays NaN.
template <class V>
PT_LONG V exp(V x) {
  x = min(every<V>(90.0f), x);
  x = max(every<V>(-105.0f), x);
  const V magic = every<V>(12582912.0f);  // 1.5 * 2^23: adding it rounds to the nearest whole number
  const V n = sub(fma(x, every<V>(1.44269504f), magic), magic);
  V r = fma(n, every<V>(-0.693145752f), x);  // ln 2 in two pieces (Cody and Waite); the first has 15 bits
  r = fma(n, every<V>(-1.42860677e-6f), r);
  V q = every<V>(0.00138145986f);
  q = fma(q, r, every<V>(0.00836871689f));
  q = fma(q, r, every<V>(0.0416683880f));
  q = fma(q, r, every<V>(0.166665205f));
  q = fma(q, r, every<V>(0.499999934f));
  const V e = add(fma(mul(r, r), q, r), every<V>(1.0f));
  return scale_by_power(e, n);
}
PT_INLINE float exp_one(float x) {
  float lanes[LANES];
  store(lanes, exp(splat(x)));
  return lanes[0];
}
// One fused multiply-add, the same bits as a lane of the vector form.
PT_INLINE float fma_one(float a, float b, float c) {
#if defined(__FP_FAST_FMAF)
  return __builtin_fmaf(a, b, c);
#else
  float lanes[LANES];
  store(lanes, fma(splat(a), splat(b), splat(c)));
  return lanes[0];
#endif
}

}  // namespace PT_NAMESPACE
