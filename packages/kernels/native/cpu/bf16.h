// What products of bf16 matrices need beside the lanes of simd.h: pairs of bf16, rounding in place, and flushed subnormals.
#pragma once
#include "cpu.h"

namespace PT_NAMESPACE {

// The even and the odd ones of 32 bf16, widened; and lanes rounded to bf16 and widened again (round_bf16 of simd.h).
#if defined(PT_AVX2)
PT_INLINE __m256i even_words(const bf16* p) {
  return _mm256_slli_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)), 16);
}
PT_INLINE __m256i odd_words(const bf16* p) {
  const __m256i upper = _mm256_set1_epi32(static_cast<int32_t>(0xffff0000u));
  return _mm256_and_si256(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)), upper);
}
PT_INLINE f32x16 load_even(const bf16* p) {
  return {_mm256_castsi256_ps(even_words(p)), _mm256_castsi256_ps(even_words(p + 16))};
}
PT_INLINE f32x16 load_odd(const bf16* p) {
  return {_mm256_castsi256_ps(odd_words(p)), _mm256_castsi256_ps(odd_words(p + 16))};
}
PT_INLINE f32x16 to_bf16_and_back(f32x16 x) {
  return {_mm256_castsi256_ps(_mm256_slli_epi32(round_bf16(x.a), 16)),
          _mm256_castsi256_ps(_mm256_slli_epi32(round_bf16(x.b), 16))};
}
#else
typedef uint32_t Words __attribute__((vector_size(64), may_alias));
PT_INLINE Words load_words(const void* p) {
  Words w;
  memcpy(&w, p, sizeof w);
  return w;
}
PT_INLINE f32x16 as_lanes(Words w) {
  f32x16 x;
  memcpy(&x, &w, sizeof x);
  return x;
}
PT_INLINE f32x16 load_even(const bf16* p) { return as_lanes(load_words(p) << 16); }
PT_INLINE f32x16 load_odd(const bf16* p) { return as_lanes(load_words(p) & 0xffff0000u); }
PT_INLINE f32x16 to_bf16_and_back(f32x16 x) {
  Words u;
  memcpy(&u, &x, sizeof u);
  const Words nan = (Words)((u & 0x7fffffffu) > 0x7f800000u);
  const Words rounded = u + 0x7fffu + ((u >> 16) & 1u);
  return as_lanes(((nan & (u | 0x400000u)) | (~nan & rounded)) & 0xffff0000u);
}
#endif

// For its scope, in its thread, subnormal numbers, read or made, count as zero of the same sign. AMX works like that whatever it is
// told; the other paths must be told, and only for as long as a product lasts: everything else keeps its subnormals.
class FlushSubnormals {
 public:
  FlushSubnormals() : before_(read()) { write(before_ | FLUSH); }
  ~FlushSubnormals() { write(before_); }
  FlushSubnormals(const FlushSubnormals&) = delete;
  FlushSubnormals& operator=(const FlushSubnormals&) = delete;

 private:
  // Arithmetic on what is loaded and stored inside the scope stays there: the compiler moves no access to memory over these.
#if defined(__x86_64__)
  typedef uint32_t State;
  static constexpr State FLUSH = 0x8040;  // flush to zero, denormals are zero
  static State read() { return __builtin_ia32_stmxcsr(); }
  static void write(State state) {
    __asm__ volatile("" ::: "memory");
    __builtin_ia32_ldmxcsr(state);
    __asm__ volatile("" ::: "memory");
  }
#elif defined(__aarch64__)
  typedef uint64_t State;
  static constexpr State FLUSH = 1u << 24;
  static State read() {
    State state;
    __asm__ volatile("mrs %0, fpcr" : "=r"(state));
    return state;
  }
  static void write(State state) { __asm__ volatile("msr fpcr, %0" ::"r"(state) : "memory"); }
#else
#error "how are subnormals flushed to zero here?"
#endif
  const State before_;
};

}  // namespace PT_NAMESPACE
