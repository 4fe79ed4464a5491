// One step of AdamW over a flat range (Loshchilov & Hutter 2019, arXiv 1711.05101). The order, and where it fuses, is that of
// torch.optim.AdamW in float32 (2.15.0, x86-64): the same bits on the runs that were compared.
//   g = gradient * gradient_scale
//   p = p * (1 - learning_rate * weight_decay)
//   m = fma(1 - beta1, g - m, m)
//   v = fma((1 - beta2) * g, g, v * beta2)
//   p = p - (learning_rate / bias_correction1 * m) / (sqrt(v) / sqrt(bias_correction2) + eps)
//   rounded = p to bf16, where it is asked for: what the forward pass reads.
//   gradient = 0, where clear_gradient is not 0: it is in the cache here, another pass would fetch it again.
// What is made of scalars alone is computed in double and rounded to float once. bias_correction = 1 - beta^step.
#include "elementwise.h"

namespace PT_NAMESPACE {

int adamw_forward(const pt_context* ctx, pt_tensor parameter, pt_tensor m, pt_tensor v, pt_tensor rounded,
                  pt_tensor gradient, double learning_rate, double beta1, double beta2, double eps, double weight_decay,
                  double bias_correction1, double bias_correction2, double gradient_scale, int64_t clear_gradient) {
  const float keep = static_cast<float>(1.0 - learning_rate * weight_decay);
  const float blend = static_cast<float>(1.0 - beta1);
  const float decay2 = static_cast<float>(beta2), blend2 = static_cast<float>(1.0 - beta2);
  const float step = static_cast<float>(learning_rate / bias_correction1);
  const float root2 = static_cast<float>(__builtin_sqrt(bias_correction2));
  const float floor = static_cast<float>(eps), scale = static_cast<float>(gradient_scale);
  with_flag(rounded.data != nullptr, [&](auto has_rounded) {
    with_flag(clear_gradient != 0, [&](auto clears) {
      parallel_elements(ctx, elements(parameter), [=](int64_t begin, int64_t end) {
        each_group(begin, end, [&](int64_t i, int64_t n) {
          float *const to = f32(parameter) + i, *const to_m = f32(m) + i, *const to_v = f32(v) + i;
          float* const from = f32(gradient) + i;
          const f32x16 g = mul(get(from, n), splat(scale));
          const f32x16 first = get(to_m, n), mean = fma(splat(blend), sub(g, first), first);
          const f32x16 square = fma(mul(splat(blend2), g), g, mul(get(to_v, n), splat(decay2)));
          const f32x16 divisor = add(div(sqrt(square), splat(root2)), splat(floor));
          const f32x16 p = mul(get(to, n), splat(keep));
          const f32x16 next = sub(p, div(mul(splat(step), mean), divisor));
          put(to_m, mean, n);
          put(to_v, square, n);
          put(to, next, n);
          if (has_rounded.value) put(bf(rounded) + i, next, n);
          if (clears.value) put(from, splat(0.0f), n);
        });
      });
    });
  });
  return 0;
}

}  // namespace PT_NAMESPACE
