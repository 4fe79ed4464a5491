// How elementwise kernels and those that work row by row walk memory: groups of 16 lanes, pieces for the threads, element types, and
// stores past the caches. Nothing here touches a value, so neither piece nor store can change a bit.
#pragma once
#include "cpu.h"

namespace PT_NAMESPACE {

// body(i, n) for the groups from begin to end: n = LANES elements at i, fewer in the last.
template <class Body>
PT_INLINE void each_group(int64_t begin, int64_t end, const Body& body) {
  int64_t i = begin;
  for (; i + LANES <= end; i += LANES) body(i, static_cast<int64_t>(LANES));
  if (i < end) body(i, end - i);
}
template <class T>
PT_INLINE f32x16 get(const T* p, int64_t n) {
  return n == LANES ? load(p) : load_first(p, n);
}
template <class T>
PT_INLINE void put(T* p, f32x16 a, int64_t n) {
  if (n == LANES)
    store(p, a);
  else
    store_first(p, a, n);
}
// Two groups at once.
template <class T>
PT_INLINE f32x32 get_two(const T* p) {
  return {load(p), load(p + LANES)};
}
PT_INLINE float get_one(const float* p) { return *p; }
PT_INLINE float get_one(const bf16* p) { return widen_bf16(*p); }
PT_INLINE void put_one(float* p, float x) { *p = x; }
PT_INLINE void put_one(bf16* p, float x) { *p = round_bf16(x); }

// f(pointer of the tensor's own element type), for FLOAT parameters of ops.def.
template <class F>
PT_INLINE void with_float(pt_tensor t, const F& f) {
  if (is_bf16(t))
    f(bf(t));
  else
    f(f32(t));
}

struct yes {
  static constexpr bool value = true;
};
struct no {
  static constexpr bool value = false;
};
template <class F>
PT_INLINE void with_flag(bool flag, const F& f) {
  if (flag)
    f(yes{});
  else
    f(no{});
}

// An output beyond this size has left every cache before anybody reads it: it is stored past them, which spares reading what will be
// overwritten. What is smaller, or was an input just now, is better kept.
constexpr int64_t COLD_BYTES = 32 << 20;
// Whether y's rows, of `columns` elements, may be stored so: its groups must be aligned.
PT_INLINE bool is_cold(pt_tensor y, int64_t columns = LANES) {
  const int64_t size = is_bf16(y) ? 2 : 4;
  return STREAMS && elements(y) * size > COLD_BYTES && columns % LANES == 0 &&
         reinterpret_cast<uintptr_t>(y.data) % static_cast<uintptr_t>(LANES * size) == 0;
}
// A branch that a loop always takes the same way costs next to nothing; a kernel of its own for either way cost much to compile.
template <class T>
PT_INLINE void put(bool cold, T* p, f32x16 a, int64_t n) {
  if (STREAMS && cold && n == LANES)
    stream(p, a);
  else
    put(p, a, n);
}
template <class T>
PT_INLINE void put_two(bool cold, T* p, f32x32 x) {
  put(cold, p, x.a, LANES);
  put(cold, p + LANES, x.b, LANES);
}

// The processor fetches ahead along a row; where the next one lies it does not know. Asking for what is not there is harmless.
template <class T>
PT_INLINE void fetch(const T* p) {
  __builtin_prefetch(p);
}

// Pieces: small enough that threads end together, large enough that taking one costs nothing and memory is read in long runs. What
// takes less time than waking a thread is one piece.
constexpr int64_t PIECE = 1 << 15, ALONE = 1 << 13;
PT_INLINE int64_t piece_of(const pt_context* ctx, int64_t count, int64_t size) {
  if (count * size <= ALONE) return count > 0 ? count : 1;
  const int64_t share = ceil_div(count, 4 * ctx->threads), most = PIECE / size;
  const int64_t piece = smaller(share, most);
  return piece > 0 ? piece : 1;
}

// body(begin, end) over `count` elements, begin a multiple of 16.
template <class Body>
static inline void parallel_elements(const pt_context* ctx, int64_t count, const Body& body) {
  parallel_ranges(ctx, count, ceil_div(piece_of(ctx, count, 1), LANES) * LANES, [&](int64_t begin, int64_t end) {
    body(begin, end);
    stream_end();
  });
}
// body(row) over rows of `columns` elements.
template <class Body>
static inline void parallel_rows(const pt_context* ctx, int64_t rows, int64_t columns, const Body& body) {
  parallel_ranges(ctx, rows, piece_of(ctx, rows, columns > 0 ? columns : 1), [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; row++) body(row);
    stream_end();
  });
}

}  // namespace PT_NAMESPACE
