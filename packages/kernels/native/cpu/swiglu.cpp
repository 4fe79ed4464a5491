// y = (gate * s) * up, s = 1 / (1 + exp(-gate)). Backward: dup = dy * (gate * s); dgate = (dy * up) * (s * fma(gate, 1 - s, 1)).
// Outputs may be inputs. gate and up are of one dtype, dgate and dup too; all is computed in fp32 and rounded where it is stored.
// Shazeer 2020 (arXiv 2002.05202).
#include "elementwise.h"

namespace PT_NAMESPACE {

PT_INLINE f32x16 sigmoid(f32x16 g) { return div(splat(1.0f), add(splat(1.0f), exp(negate(g)))); }

int swiglu_forward(const pt_context* ctx, pt_tensor y, pt_tensor gate, pt_tensor up) {
  if (refuse_mixed(ctx, "gate", gate, "up", up)) return 1;
  const bool apart = y.data != gate.data && y.data != up.data;
  with_float(gate, [&](auto g) {
    const auto u = static_cast<decltype(g)>(up.data);
    with_float(y, [&](auto to) {
      with_flag(is_cold(y) && apart, [&](auto cold) {
        parallel_elements(ctx, elements(y), [=](int64_t begin, int64_t end) {
          each_group(begin, end, [&](int64_t i, int64_t n) {
            const f32x16 a = get(g + i, n), b = get(u + i, n);
            put(cold, to + i, mul(mul(a, sigmoid(a)), b), n);
          });
        });
      });
    });
  });
  return 0;
}

int swiglu_backward(const pt_context* ctx, pt_tensor dgate, pt_tensor dup, pt_tensor dy, pt_tensor gate, pt_tensor up) {
  if (refuse_mixed(ctx, "gate", gate, "up", up) || refuse_mixed(ctx, "dgate", dgate, "dup", dup)) return 1;
  with_float(gate, [&](auto g) {
    const auto u = static_cast<decltype(g)>(up.data);
    with_float(dgate, [&](auto to_gate) {
      const auto to_up = static_cast<decltype(to_gate)>(dup.data);
      with_float(dy, [&](auto from) {
        with_flag(is_cold(dgate) && is_cold(dup), [&](auto cold) {
          parallel_elements(ctx, elements(dy), [=](int64_t begin, int64_t end) {
            const f32x16 one = splat(1.0f);
            each_group(begin, end, [&](int64_t i, int64_t n) {
              const f32x16 a = get(g + i, n), b = get(u + i, n), d = get(from + i, n);
              const f32x16 s = sigmoid(a);
              put(cold, to_up + i, mul(d, mul(a, s)), n);
              put(cold, to_gate + i, mul(mul(d, b), mul(s, fma(a, sub(one, s), one))), n);
            });
          });
        });
      });
    });
  });
  return 0;
}

}  // namespace PT_NAMESPACE
