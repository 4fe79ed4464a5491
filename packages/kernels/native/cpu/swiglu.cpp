// y = (gate * s) * up, s = 1 / (1 + exp(-gate)). Backward: dup = dy * (gate * s); dgate = (dy * up) * (s * fma(gate, 1 - s, 1)).
// Outputs may be inputs. Shazeer 2020 (arXiv 2002.05202).
#include "cpu.h"

namespace PT_NAMESPACE {

PT_INLINE f32x16 sigmoid(f32x16 g) { return div(splat(1.0f), add(splat(1.0f), exp(negate(g)))); }

int swiglu_forward(const pt_context* ctx, pt_tensor y, pt_tensor gate, pt_tensor up) {
  if (refuse_bf16(ctx, "y", y, "gate", gate, "up", up)) return 1;
  parallel_ranges(ctx, elements(y), 4096, [=](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; i += LANES) {
      const int64_t n = smaller(LANES, end - i);
      const f32x16 g = load_first(f32(gate) + i, n), u = load_first(f32(up) + i, n);
      store_first(f32(y) + i, mul(mul(g, sigmoid(g)), u), n);
    }
  });
  return 0;
}

int swiglu_backward(const pt_context* ctx, pt_tensor dgate, pt_tensor dup, pt_tensor dy, pt_tensor gate, pt_tensor up) {
  if (refuse_bf16(ctx, "dgate", dgate, "dup", dup, "dy", dy, "gate", gate, "up", up)) return 1;
  parallel_ranges(ctx, elements(dy), 4096, [=](int64_t begin, int64_t end) {
    const f32x16 one = splat(1.0f);
    for (int64_t i = begin; i < end; i += LANES) {
      const int64_t n = smaller(LANES, end - i);
      const f32x16 g = load_first(f32(gate) + i, n), u = load_first(f32(up) + i, n), d = load_first(f32(dy) + i, n);
      const f32x16 s = sigmoid(g);
      store_first(f32(dup) + i, mul(d, mul(g, s)), n);
      store_first(f32(dgate) + i, mul(mul(d, u), mul(s, fma(g, sub(one, s), one))), n);
    }
  });
  return 0;
}

}  // namespace PT_NAMESPACE
