// cpu/adamw.cpp and cpu/adam.h: the update of the moments, the step, the rounding to bf16 and the clearing of the gradient in one pass.
#include "adam.h"

namespace pt_cuda {
namespace {

template <bool ROUNDED, bool CLEARS>
struct AdamW {
  float* parameter;
  float *m, *v;
  bf16* rounded;
  float* gradient;
  Adam adam;
  float keep;
  template <int N>
  __device__ void at(int64_t i) const {
    const Lanes<N> step = adam.step(adam.update<N>(gradient + i, m + i, v + i));
    const float kept = keep;
    const Lanes<N> next = map([=](float p, float s) { return p * kept - s; }, get<N>(parameter + i), step);
    put<N>(parameter + i, next);
    if (ROUNDED) put<N>(rounded + i, next);
    if (CLEARS) put<N>(gradient + i, map([](float) { return 0.0f; }, next));
  }
};

template <bool ROUNDED, bool CLEARS>
int step_all(const pt_context* ctx, int64_t count, bool is_wide, float* parameter, float* m, float* v, bf16* rounded,
             float* gradient, const Adam& adam, float keep) {
  return each(ctx, count, is_wide, AdamW<ROUNDED, CLEARS>{parameter, m, v, rounded, gradient, adam, keep});
}

}  // namespace

int adamw_forward(const pt_context* ctx, pt_tensor parameter, pt_tensor m, pt_tensor v, pt_tensor rounded,
                  pt_tensor gradient, double learning_rate, double beta1, double beta2, double eps, double weight_decay,
                  double bias_correction1, double bias_correction2, double gradient_scale, int64_t clear_gradient) {
  const auto keep = static_cast<float>(1.0 - learning_rate * weight_decay);
  const Adam adam =
      make_adam(learning_rate, beta1, beta2, eps, bias_correction1, bias_correction2, gradient_scale, false);
  const bool rounds = rounded.data != nullptr, clears = clear_gradient != 0;
  const auto run = rounds ? (clears ? step_all<true, true> : step_all<true, false>)
                          : (clears ? step_all<false, true> : step_all<false, false>);
  return run(ctx, elements(parameter), wide(f32(parameter), f32(m), f32(v), bf(rounded), f32(gradient)), f32(parameter),
             f32(m), f32(v), bf(rounded), f32(gradient), adam, keep);
}

}  // namespace pt_cuda
