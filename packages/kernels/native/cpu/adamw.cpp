// One step of AdamW over a flat range (Loshchilov & Hutter 2019, arXiv 1711.05101). The order, and where it fuses, is that of
// torch.optim.AdamW in float32 (2.15.0, x86-64): the same bits on the runs that were compared.
//   p = p * (1 - learning_rate * weight_decay)
//   m, v, step: adam.h
//   p = p - step
//   rounded = p to bf16, where it is asked for: what the forward pass reads.
//   gradient = 0, where clear_gradient is not 0: it is in the cache here, another pass would fetch it again.
#include "adam.h"

namespace PT_NAMESPACE {

int adamw_forward(const pt_context* ctx, pt_tensor parameter, pt_tensor m, pt_tensor v, pt_tensor rounded,
                  pt_tensor gradient, double learning_rate, double beta1, double beta2, double eps, double weight_decay,
                  double bias_correction1, double bias_correction2, double gradient_scale, int64_t clear_gradient) {
  const float keep = static_cast<float>(1.0 - learning_rate * weight_decay);
  const Adam moments =
      adam(learning_rate, beta1, beta2, eps, bias_correction1, bias_correction2, gradient_scale, false);
  with_flag(rounded.data != nullptr, [&](auto has_rounded) {
    with_flag(clear_gradient != 0, [&](auto clears) {
      parallel_elements(ctx, elements(parameter), [=](int64_t begin, int64_t end) {
        each_group(begin, end, [&](int64_t i, int64_t n) {
          float *const to = f32(parameter) + i, *const from = f32(gradient) + i;
          const f32x16 step = moments.step(moments.update(from, f32(m) + i, f32(v) + i, n));
          const f32x16 next = sub(mul(get(to, n), splat(keep)), step);
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
