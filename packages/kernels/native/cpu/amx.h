// Tiles of Intel's AMX: eight registers of 16 rows of 64 bytes, and the one instruction that matters here, TDPBF16PS: C (16 x 16 fp32)
// += A (16 rows of 32 bf16) B (16 pairs of rows of 16 bf16, a pair's two elements side by side). Two classes with the same members:
// AmxTiles is the processor's, SoftwareTiles computes the same bits in C++, so that all the code around the instructions runs on
// machines without AMX (the cpu path amx_emulated, for tests). A thread holds one object for as long as it uses tiles.
//
// TDPBF16PS, per element of C: even = a chain of 16 fused multiply-adds over the first elements of the pairs in ascending order from +0,
// odd = the same over the second ones, C = C + (even + odd); rounded to nearest, subnormals read and made are zero (Intel 64 and
// IA-32 Architectures Software Developer's Manual, volume 2, TDPBF16PS).
#pragma once
#include "backend.h"
#include "bf16.h"

#if defined(PT_AVX512)
namespace PT_NAMESPACE {

constexpr int64_t TILE_BYTES = 1024;

// Inline assembly: gcc 12's _tile_loadconfig declares 8 bytes of its 64 as read, and its _tile_loadd no memory at all, so that stores
// before them are dropped. The compiler itself never touches these registers.
class AmxTiles {
 public:
  AmxTiles() {
    alignas(64) uint8_t config[64] = {};
    config[0] = 1;  // palette
    for (int t = 0; t < 8; t++) config[16 + 2 * t] = 64, config[48 + t] = 16;
    __asm__ volatile("ldtilecfg %0" ::"m"(config));
  }
  ~AmxTiles() { __asm__ volatile("tilerelease" ::: "memory"); }
  AmxTiles(const AmxTiles&) = delete;
  AmxTiles& operator=(const AmxTiles&) = delete;

  template <int T>
  __attribute__((always_inline)) void zero() {
    __asm__ volatile("tilezero %%tmm%c0" ::"i"(T));
  }
  // Rows `stride` bytes apart.
  template <int T>
  __attribute__((always_inline)) void load(const void* from, int64_t stride) {
    __asm__ volatile("tileloadd (%0,%1,1), %%tmm%c2" ::"r"(from), "r"(stride), "i"(T) : "memory");
  }
  template <int T>
  __attribute__((always_inline)) void store(void* to, int64_t stride) const {
    __asm__ volatile("tilestored %%tmm%c2, (%0,%1,1)" ::"r"(to), "r"(stride), "i"(T) : "memory");
  }
  template <int C, int A, int B>
  __attribute__((always_inline)) void dot() {
    __asm__ volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0" ::"i"(C), "i"(A), "i"(B));
  }
};

// Its members are calls: it is not there for its speed, and inlined it would be a third of what attention takes to compile.
class SoftwareTiles {
 public:
  SoftwareTiles() {}
  SoftwareTiles(const SoftwareTiles&) = delete;
  SoftwareTiles& operator=(const SoftwareTiles&) = delete;

  template <int T>
  __attribute__((noinline)) void zero() {
    memset(tile_[T], 0, TILE_BYTES);
  }
  template <int T>
  __attribute__((noinline)) void load(const void* from, int64_t stride) {
    for (int i = 0; i < 16; i++) memcpy(tile_[T] + 16 * i, static_cast<const char*>(from) + i * stride, 64);
  }
  template <int T>
  __attribute__((noinline)) void store(void* to, int64_t stride) const {
    for (int i = 0; i < 16; i++) memcpy(static_cast<char*>(to) + i * stride, tile_[T] + 16 * i, 64);
  }
  template <int C, int A, int B>
  __attribute__((noinline)) void dot() {
    const FlushSubnormals flush;  // the instruction does not ask what is set
    for (int row = 0; row < 16; row++) {
      f32x16 even = splat(0.0f), odd = splat(0.0f);
      for (int pair = 0; pair < 16; pair++) {
        const uint32_t a = tile_[A][16 * row + pair];
        const Words b = *reinterpret_cast<const Words*>(tile_[B] + 16 * pair);
        even = fma(splat(float_of(a << 16)), {reinterpret_cast<__m512>(b << 16)}, even);
        odd = fma(splat(float_of(a & 0xffff0000u)), {reinterpret_cast<__m512>(b & 0xffff0000u)}, odd);
      }
      void* c = tile_[C] + 16 * row;
      _mm512_store_ps(c, add({_mm512_load_ps(c)}, add(even, odd)).v);
    }
  }

 private:
  static float float_of(uint32_t bits) {
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
  }
  alignas(64) uint32_t tile_[8][256];
};

}  // namespace PT_NAMESPACE
#endif

namespace PT_NAMESPACE {

// Products are summed by lanes.
struct NoTiles {};
template <class Tiles>
constexpr bool HAS_TILES = true;
template <>
constexpr bool HAS_TILES<NoTiles> = false;

template <class T>
struct Type {
  using type = T;
};
// f(Type<the class of tiles that the device has, or NoTiles>()): the one place where they are chosen.
template <class F>
PT_INLINE auto with_tiles([[maybe_unused]] const pt_context* ctx, const F& f) {
#if defined(PT_AVX512)
  if (tile_source(ctx) == TileSource::processor) return f(Type<AmxTiles>());
  if (tile_source(ctx) == TileSource::software) return f(Type<SoftwareTiles>());
#endif
  return f(Type<NoTiles>());
}

}  // namespace PT_NAMESPACE
