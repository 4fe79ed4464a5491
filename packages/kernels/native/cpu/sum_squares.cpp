// total += sum of x^2 in double. Blocks of 4,096 elements; in a block lane l takes elements l, l+16, ... (multiply, then add), then
// the tree of simd.h (l with l+8, l+4, l+2, l+1); block results are added to the total in block order, so that a sum over one part goes on
// from that over the part before it with the bits of both at once. The blocks do not depend on the threads.
#include "elementwise.h"

// gcc 12 takes the undefined registers of its own headers for mistakes of ours (gcc bug 105593), here by another name than elsewhere.

namespace PT_NAMESPACE {

constexpr int64_t SUM_BLOCK = 4096;

// Eight of the lanes, in double: exact.
typedef double double_half __attribute__((vector_size(64)));
#if defined(PT_AVX512)
PT_INLINE double_half low_half(f32x16 x) { return (double_half)_mm512_cvtps_pd(_mm512_castps512_ps256(x.v)); }
PT_INLINE double_half high_half(f32x16 x) { return (double_half)_mm512_cvtps_pd(_mm512_extractf32x8_ps(x.v, 1)); }
#else
typedef float float_group __attribute__((vector_size(32)));
PT_INLINE double_half half(f32x16 x, int which) {
  float_group parts[2];
  memcpy(parts, &x, sizeof parts);
  return __builtin_convertvector(parts[which], double_half);
}
PT_INLINE double_half low_half(f32x16 x) { return half(x, 0); }
PT_INLINE double_half high_half(f32x16 x) { return half(x, 1); }
#endif

template <class T>
struct BlockSum {
  const T* x;
  double_half low = {}, high = {};
  __attribute__((always_inline)) void step(int64_t i) {
    const f32x16 v = load(x + i);
    const double_half a = low_half(v), b = high_half(v);
    low = low + a * a;
    high = high + b * b;
  }
  __attribute__((always_inline)) double total() const {
    double lanes[LANES];
    memcpy(lanes, &low, sizeof low);
    memcpy(lanes + 8, &high, sizeof high);
    for (int width = LANES / 2; width > 0; width /= 2)
      for (int l = 0; l < width; l++) lanes[l] += lanes[l + width];
    return lanes[0];
  }
};

template <class T>
static double one_block(const T* x, int64_t n) {
  BlockSum<T> sum = {x};
  int64_t i = 0;
  for (; i + LANES <= n; i += LANES) sum.step(i);
  if (i < n) {
    T rest[LANES] = {};  // adds +0 to lanes that are not negative
    memcpy(rest, x + i, static_cast<size_t>(n - i) * sizeof(T));
    sum.x = rest;
    sum.step(0);
  }
  return sum.total();
}

// Four blocks that lie far from each other: memory is read faster in several runs than in one.
template <class T>
static void four_blocks(const T* x, int64_t distance, double* sums, int64_t block, int64_t blocks_apart) {
  BlockSum<T> a = {x}, b = {x + distance}, c = {x + 2 * distance}, d = {x + 3 * distance};
  constexpr int64_t AHEAD = 2048 / sizeof(T);
  for (int64_t i = 0; i < SUM_BLOCK; i += LANES) {
    __builtin_prefetch(a.x + i + AHEAD);
    __builtin_prefetch(b.x + i + AHEAD);
    __builtin_prefetch(c.x + i + AHEAD);
    __builtin_prefetch(d.x + i + AHEAD);
    a.step(i);
    b.step(i);
    c.step(i);
    d.step(i);
  }
  sums[block] = a.total();
  sums[block + blocks_apart] = b.total();
  sums[block + 2 * blocks_apart] = c.total();
  sums[block + 3 * blocks_apart] = d.total();
}

int sum_squares_forward(const pt_context* ctx, pt_tensor total, pt_tensor x) {
  const int64_t n = elements(x), blocks = ceil_div(n, SUM_BLOCK), quarter = n / SUM_BLOCK / 4;
  double* const sums = static_cast<double*>(ctx->scratch(ctx, (blocks + 1) * static_cast<int64_t>(sizeof(double))));
  if (!sums) return 1;
  with_float(x, [&](auto from) {
    const int64_t pieces = ceil_div(quarter, 4), rest = blocks - 4 * quarter;
    parallel(ctx, pieces + rest, [=](int64_t i, int32_t) {
      if (i >= pieces) {
        const int64_t b = 4 * quarter + i - pieces;
        sums[b] = one_block(from + b * SUM_BLOCK, smaller(SUM_BLOCK, n - b * SUM_BLOCK));
        return;
      }
      for (int64_t b = 4 * i; b < smaller(quarter, 4 * i + 4); b++)
        four_blocks(from + b * SUM_BLOCK, quarter * SUM_BLOCK, sums, b, quarter);
    });
  });
  double sum = f64(total)[0];
  for (int64_t b = 0; b < blocks; b++) sum += sums[b];
  f64(total)[0] = sum;
  return 0;
}

}  // namespace PT_NAMESPACE
