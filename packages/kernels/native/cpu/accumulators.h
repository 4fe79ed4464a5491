// What register tiles are made of, in products and in attention: rows of accumulators, the rows of the factor whose numbers they are multiplied
// by, and how the two chains of a block of bf16 join.
#pragma once
#include "cpu.h"

namespace PT_NAMESPACE {

// Nested structs, not arrays: gcc 12 spills arrays of vectors (0.75 of the machine's peak instead of 0.97). Lanes: what a row is a vector of;
// of several vectors it is such a nest itself.
template <int R, class Lanes>
struct Nest {
  Nest<R - 1, Lanes> above;
  Lanes last;
};
template <class Lanes>
struct Nest<0, Lanes> {};

PT_INLINE void clear(f32x16& x) { x = splat(0.0f); }
template <int R, class Lanes>
PT_INLINE void clear(Nest<R, Lanes>& rows) {
  if constexpr (R > 0) {
    clear(rows.above);
    clear(rows.last);
  }
}
PT_INLINE void multiply_add(f32x16& sum, f32x16 x, f32x16 y) { sum = fma(x, y, sum); }
template <int V>
PT_INLINE void multiply_add(Nest<V, f32x16>& sum, f32x16 x, const Nest<V, f32x16>& y) {
  if constexpr (V > 0) {
    multiply_add(sum.above, x, y.above);
    multiply_add(sum.last, x, y.last);
  }
}

// Where rows stand, `stride` apart: three share a pointer, which keeps 14 of them addressable with few registers.
struct RowPointers {
  const float *p0, *p3, *p6, *p9, *p12;
  int64_t stride;
  __attribute__((always_inline)) void next() { p0++, p3++, p6++, p9++, p12++; }
  template <int R>
  __attribute__((always_inline)) const float* pointer() const {
    const float* base = R < 3 ? p0 : R < 6 ? p3 : R < 9 ? p6 : R < 12 ? p9 : p12;
    return base + (R % 3) * stride;
  }
  template <int R>
  __attribute__((always_inline)) float at() const {
    return *pointer<R>();
  }
  // The rows from the r-th on.
  __attribute__((always_inline)) RowPointers from(int64_t r) const {
    const int64_t by = r * stride;
    return {p0 + by, p3 + by, p6 + by, p9 + by, p12 + by, stride};
  }
};
// Of R rows: the other pointers take no register.
template <int R>
PT_INLINE RowPointers row_pointers(const float* a, int64_t stride) {
  return {a,
          R > 3 ? a + 3 * stride : a,
          R > 6 ? a + 6 * stride : a,
          R > 9 ? a + 9 * stride : a,
          R > 12 ? a + 12 * stride : a,
          stride};
}
// Each row's number, at<r>() of `left`, times `lanes`.
template <int R, class Lanes, class Left>
PT_INLINE void step_rows(Nest<R, Lanes>& rows, const Left& left, const Lanes& lanes) {
  if constexpr (R > 0) {
    step_rows(rows.above, left, lanes);
    multiply_add(rows.last, splat(left.template at<R - 1>()), lanes);
  }
}

// The end of a block of 32 along the inner dimension, as TDPBF16PS (amx.h) has it: total = total + (even + odd), rows of totals `stride` apart.
PT_INLINE void join_chains(f32x16 even, f32x16 odd, float* total, int64_t, bool from_zero) {
  store(total, add(from_zero ? splat(0.0f) : load(total), add(even, odd)));
}
template <int R, class Lanes>
PT_INLINE void join_chains(const Nest<R, Lanes>& even, const Nest<R, Lanes>& odd, float* total, int64_t stride,
                           bool from_zero) {
  if constexpr (R > 0) {
    join_chains(even.above, odd.above, total, stride, from_zero);
    join_chains(even.last, odd.last, total + (R - 1) * stride, LANES, from_zero);
  }
}

}  // namespace PT_NAMESPACE
