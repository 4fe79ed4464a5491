// Measures the machine, not a tensor: every compute thread runs `iterations` rounds of 24 fused multiply-adds of 16 lanes in independent
// chains, as many as the registers hold (24 * 16 * 2 floating-point operations a round). The benchmarks divide by its rate.
#include "cpu.h"

namespace PT_NAMESPACE {

int probe_fma_forward(const pt_context* ctx, pt_tensor y, int64_t iterations) {
  if (iterations < 0 || iterations > 1000000000) {
    ctx->fail(ctx, "iterations is %lld, expected 0 to 1000000000", static_cast<long long>(iterations));
    return 1;
  }
  float* out = f32(y);
  const int64_t n = elements(y);
  static const float ramp[LANES] = {0.00f, 0.01f, 0.02f, 0.03f, 0.04f, 0.05f, 0.06f, 0.07f,
                                    0.08f, 0.09f, 0.10f, 0.11f, 0.12f, 0.13f, 0.14f, 0.15f};
  parallel(ctx, ctx->threads, [&](int64_t i, int32_t) {
#if defined(PT_AVX512)
#define PT_CHAINS(X) X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11)
#define PT_ROUND(X) PT_CHAINS(X)
#else
#define PT_CHAINS(X) X(0) X(1) X(2)
#define PT_ROUND(X) PT_CHAINS(X) PT_CHAINS(X) PT_CHAINS(X) PT_CHAINS(X)
#endif
#define PT_DECLARE(k) f32x16 a##k = add(lanes, splat(1.0f + k)), b##k = add(lanes, splat(0.5f + k));
#define PT_STEP(k)                \
  a##k = fma(a##k, scale, shift); \
  b##k = fma(b##k, scale, shift);
#define PT_SUM(k) sum = add(sum, add(a##k, b##k));
    // Lanes differ, or the compiler computes both halves of an AVX2 vector once.
    const f32x16 lanes = load(ramp);
    const f32x16 scale = splat(0.999f);
    const f32x16 shift = splat(0.001f);
    PT_CHAINS(PT_DECLARE)
    for (int64_t round = 0; round < iterations; round++) {
      PT_ROUND(PT_STEP)
    }
    f32x16 sum = splat(0.0f);
    PT_CHAINS(PT_SUM)
    if (i < n) out[i] = reduce_add(sum);
#undef PT_CHAINS
#undef PT_ROUND
#undef PT_DECLARE
#undef PT_STEP
#undef PT_SUM
  });
  return 0;
}

}  // namespace PT_NAMESPACE
