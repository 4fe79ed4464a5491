// The moments of Adam and the step that they give, of 16 elements: the order, and where it fuses, is that of torch.optim.AdamW in float32
// (2.15.0, x86-64).
//   g = gradient * gradient_scale
//   m = fma(1 - beta1, g - m, m)
//   v = fma((1 - beta2) * g, g, v * beta2)
//   step = rate * m / (sqrt(v) / root + eps)
// rate = learning_rate / bias_correction1 and root = sqrt(bias_correction2), bias_correction = 1 - beta^step; with `eps_first` eps is added
// before the correction: rate = learning_rate * sqrt(bias_correction2) / bias_correction1 and root = 1.
// What is made of scalars alone is computed in double and rounded to float once.
#pragma once
#include "elementwise.h"

namespace PT_NAMESPACE {

struct Adam {
  float scale, blend, decay2, blend2, rate, root, floor;

  struct Moments {
    f32x16 mean, square;
  };
  // Of a gradient, stored.
  __attribute__((always_inline)) Moments update(const float* gradient, float* m, float* v, int64_t n) const {
    const f32x16 g = mul(get(gradient, n), splat(scale)), first = get(m, n);
    const f32x16 mean = fma(splat(blend), sub(g, first), first);
    const f32x16 square = fma(mul(splat(blend2), g), g, mul(get(v, n), splat(decay2)));
    put(m, mean, n);
    put(v, square, n);
    return {mean, square};
  }
  __attribute__((always_inline)) f32x16 step(Moments of) const {
    return div(mul(splat(rate), of.mean), add(div(sqrt(of.square), splat(root)), splat(floor)));
  }
};

PT_INLINE Adam adam(double learning_rate, double beta1, double beta2, double eps, double bias_correction1,
                    double bias_correction2, double gradient_scale, bool eps_first) {
  const double root = __builtin_sqrt(bias_correction2);
  return {static_cast<float>(gradient_scale),
          static_cast<float>(1.0 - beta1),
          static_cast<float>(beta2),
          static_cast<float>(1.0 - beta2),
          static_cast<float>(eps_first ? learning_rate * root / bias_correction1 : learning_rate / bias_correction1),
          eps_first ? 1.0f : static_cast<float>(root),
          static_cast<float>(eps)};
}

}  // namespace PT_NAMESPACE
