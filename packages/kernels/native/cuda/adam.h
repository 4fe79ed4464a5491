// The moments of Adam and the step that they give: cpu/adam.h says the order and where it fuses.
#pragma once
#include <math.h>

#include "lanes.h"

namespace pt_cuda {

struct Adam {
  float scale, blend, decay2, blend2, rate, root, floor;

  template <int N>
  struct Moments {
    Lanes<N> mean, square;
  };
  // Those of N elements, with their gradient taken in.
  template <int N>
  __device__ __forceinline__ Moments<N> update(const float* gradient, float* m, float* v) const {
    const Lanes<N> from = get<N>(gradient), first = get<N>(m), second = get<N>(v);
    Moments<N> now;
#pragma unroll
    for (int l = 0; l < N; l++) {
      const float g = from.x[l] * scale;
      now.mean.x[l] = multiply_add(blend, g - first.x[l], first.x[l]);
      now.square.x[l] = multiply_add(blend2 * g, g, second.x[l] * decay2);
    }
    put<N>(m, now.mean);
    put<N>(v, now.square);
    return now;
  }
  template <int N>
  __device__ __forceinline__ Lanes<N> step(const Moments<N>& now) const {
    Lanes<N> by;
#pragma unroll
    for (int l = 0; l < N; l++) by.x[l] = (rate * now.mean.x[l]) / (sqrtf(now.square.x[l]) / root + floor);
    return by;
  }
};

// What is made of scalars alone is computed in double and rounded to float once.
inline Adam make_adam(double learning_rate, double beta1, double beta2, double eps, double bias_correction1,
                      double bias_correction2, double gradient_scale, bool eps_first) {
  const double root = sqrt(bias_correction2);
  return {static_cast<float>(gradient_scale),
          static_cast<float>(1.0 - beta1),
          static_cast<float>(beta2),
          static_cast<float>(1.0 - beta2),
          static_cast<float>(eps_first ? learning_rate * root / bias_correction1 : learning_rate / bias_correction1),
          eps_first ? 1.0f : static_cast<float>(root),
          static_cast<float>(eps)};
}

}  // namespace pt_cuda
