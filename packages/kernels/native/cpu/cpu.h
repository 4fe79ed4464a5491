// What every cpu/*.cpp sees: the lanes of simd.h, the ABI, and how work is spread over threads. An op's threads own parts of its
// output, never parts of a sum, so the number of threads cannot change a bit.
#pragma once
#include "../abi/kernels.h"
#include "simd.h"

namespace PT_NAMESPACE {

PT_INLINE float* f32(pt_tensor t) { return static_cast<float*>(t.data); }
PT_INLINE bf16* bf(pt_tensor t) { return static_cast<bf16*>(t.data); }
PT_INLINE bool is_bf16(pt_tensor t) { return t.data != nullptr && t.dtype == PT_BF16; }
PT_INLINE double* f64(pt_tensor t) { return static_cast<double*>(t.data); }
PT_INLINE int32_t* i32(pt_tensor t) { return static_cast<int32_t*>(t.data); }
PT_INLINE int64_t elements(pt_tensor t) {
  int64_t n = 1;
  for (int i = 0; i < t.rank; i++) n *= t.dims[i];
  return n;
}
PT_INLINE int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
PT_INLINE int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }

// A number that templates can take: body(count) gets its value from decltype(count)::value.
template <int N>
struct Count {
  static constexpr int value = N;
};
// body(Count<n>()) for n in [1, MOST].
template <int MOST, class Body>
PT_INLINE void with_count(int64_t n, const Body& body) {
  if (MOST == 1 || n == MOST)
    body(Count<MOST>());
  else if constexpr (MOST > 1)
    with_count<MOST - 1>(n, body);
}

// body(i, thread) for i in [0, count) on all compute threads: an op's arithmetic, which a dry device leaves out.
template <class Body>
static inline void parallel(const pt_context* ctx, int64_t count, const Body& body) {
  if (ctx->dry) return;
  ctx->parallel(
      ctx, count, [](void* arg, int64_t i, int32_t thread) { (*static_cast<const Body*>(arg))(i, thread); },
      const_cast<Body*>(&body));
}

// body(begin, end) over [0, count) in pieces of `grain`; for elementwise work, where pieces are independent.
template <class Body>
static inline void parallel_ranges(const pt_context* ctx, int64_t count, int64_t grain, const Body& body) {
  const int64_t pieces = ceil_div(count, grain);
  parallel(ctx, pieces, [&](int64_t i, int32_t) { body(i * grain, smaller(count, (i + 1) * grain)); });
}

// Fails an op whose two tensors of f32 or bf16 must be of one dtype.
static inline int refuse_mixed(const pt_context* ctx, const char* first, pt_tensor a, const char* second, pt_tensor b) {
  if (a.dtype == b.dtype) return 0;
  ctx->fail(ctx, "%s is %s and %s is %s, expected one dtype", first, is_bf16(a) ? "bf16" : "f32", second,
            is_bf16(b) ? "bf16" : "f32");
  return 1;
}

// Fails an op that reads an f32 weight and was given bf16 beside it.
static inline int refuse_bf16_beside(const pt_context*, const char*) { return 0; }
template <class... Rest>
static inline int refuse_bf16_beside(const pt_context* ctx, const char* weight, const char* name, pt_tensor t,
                                     const Rest&... rest) {
  if (!is_bf16(t)) return refuse_bf16_beside(ctx, weight, rest...);
  ctx->fail(ctx, "%s is bf16, but %s is f32", name, weight);
  return 1;
}

#define OP(name, ...) pt_##name name;
#include "../abi/ops.def"
#undef OP

}  // namespace PT_NAMESPACE
