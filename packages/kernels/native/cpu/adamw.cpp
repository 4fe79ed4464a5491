// One step of AdamW over a flat range (Loshchilov & Hutter 2019, arXiv 1711.05101). The order, and where it fuses, is that of
// torch.optim.AdamW in float32 (2.15.0, x86-64): the same bits on the runs that were compared.
//   g = gradient * gradient_scale
//   p = p * (1 - learning_rate * weight_decay)
//   m = fma(1 - beta1, g - m, m)
//   v = fma((1 - beta2) * g, g, v * beta2)
//   p = p - (learning_rate / bias_correction1 * m) / (sqrt(v) / sqrt(bias_correction2) + eps)
//   rounded = p to bf16, where it is asked for: what the forward pass reads.
// What is made of scalars alone is computed in double and rounded to float once. bias_correction = 1 - beta^step.
#include "cpu.h"

namespace PT_NAMESPACE {

int adamw_forward(const pt_context* ctx, pt_tensor parameter, pt_tensor m, pt_tensor v, pt_tensor rounded,
                  pt_tensor gradient, double learning_rate, double beta1, double beta2, double eps, double weight_decay,
                  double bias_correction1, double bias_correction2, double gradient_scale) {
  const float keep = static_cast<float>(1.0 - learning_rate * weight_decay);
  const float blend = static_cast<float>(1.0 - beta1);
  const float decay2 = static_cast<float>(beta2), blend2 = static_cast<float>(1.0 - beta2);
  const float step = static_cast<float>(learning_rate / bias_correction1);
  const float root2 = static_cast<float>(__builtin_sqrt(bias_correction2));
  const float floor = static_cast<float>(eps), scale = static_cast<float>(gradient_scale);
  bf16* const to_rounded = bf(rounded);
  parallel_ranges(ctx, elements(parameter), 1 << 14, [=](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; i += LANES) {
      const int64_t n = smaller(LANES, end - i);
      float *to = f32(parameter) + i, *to_m = f32(m) + i, *to_v = f32(v) + i;
      const f32x16 g = mul(load_first(f32(gradient) + i, n), splat(scale));
      const f32x16 first = load_first(to_m, n), mean = fma(splat(blend), sub(g, first), first);
      const f32x16 square = fma(mul(splat(blend2), g), g, mul(load_first(to_v, n), splat(decay2)));
      const f32x16 divisor = add(div(sqrt(square), splat(root2)), splat(floor));
      const f32x16 p = mul(load_first(to, n), splat(keep));
      store_first(to_m, mean, n);
      store_first(to_v, square, n);
      const f32x16 next = sub(p, div(mul(splat(step), mean), divisor));
      store_first(to, next, n);
      if (to_rounded) store_bf16_first(to_rounded + i, next, n);
    }
  });
  return 0;
}

}  // namespace PT_NAMESPACE
