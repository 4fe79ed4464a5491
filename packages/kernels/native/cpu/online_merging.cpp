// One step of the Online Merging Optimizer (Lu et al. 2024, arXiv 2405.17931) over a flat range: Adam's step, some elements of which survive
// (survivors.h), merged with what survives of tau, the model's distance from its base (task_vector.cpp).
//   d = -Adam's step (adam.h); with `interim` plus what the steps since the last merge have moved by, which p gives back
//   A = survivors of d, times scale; with `rescale` times sum |d| / sum |A| (DARE: eps is added to the divisor, and A clamped to [-1, 1])
//   B = tau, of which DARE draws survivors here as well where not `repo` (there they are chosen once); 0 where there is no tau
//   update, drift = (1 - alpha) A, alpha B;  TIES in addition drops one of the two where they disagree in sign: the smaller of these, or with
//   `repo` the one whose sign A + B does not have (0 counts as positive)
//   p = p * (1 - learning_rate * weight_decay), before; with `decay_after` after all
//   p = p + update
//   carry = carry + drift;  p = p + carry;  carry = what of it was lost to rounding, exactly (Knuth's two-sum)
// TIES ranks d by its value in double, rounded once; of equals the larger m survives. At the first step Adam moves all by its rate, up to eps:
// float's rounding would rank them. Until it is cleared the gradient's memory holds these values.
// method ALL is a step between merges: p moves by d, which `interim` takes note of. `repo` also puts Adam's eps before its correction
// (adam.h): so does the published code. rounded = p to bf16. gradient = 0.
// drift = sums over the elements in tau's direction, in double over blocks of 4,096: of what drift was meant to be, and of what p took of it.
// Without `carry` there is no drift. With alpha 0 and all surviving this is AdamW bit for bit.
#include "adam.h"
#include "survivors.h"

namespace PT_NAMESPACE {

PT_INLINE float magnitude(float x) { return __builtin_fabsf(x); }

// Which of update and drift TIES drops, by the published code: a and b are A and B.
PT_INLINE void elect_by_sum(float* a, float* b) {
  for (int64_t l = 0; l < CHUNK; l++) {
    const bool positive = a[l] + b[l] >= 0.0f;
    a[l] = (a[l] > 0.0f) == positive ? a[l] : 0.0f;
    b[l] = (b[l] > 0.0f) == positive ? b[l] : 0.0f;
  }
}
// By the paper: a and b are update and drift. Of equal magnitudes the update stays.
PT_INLINE void elect_by_size(float* a, float* b) {
  for (int64_t l = 0; l < CHUNK; l++) {
    const bool opposed = (a[l] > 0.0f && b[l] < 0.0f) || (a[l] < 0.0f && b[l] > 0.0f);
    const bool first = magnitude(a[l]) >= magnitude(b[l]);
    a[l] = opposed && !first ? 0.0f : a[l];
    b[l] = opposed && first ? 0.0f : b[l];
  }
}
PT_INLINE void times(float* x, float factor) {
  for (int64_t l = 0; l < CHUNK; l++) x[l] *= factor;
}
PT_INLINE void clamp(float* x) {
  for (int64_t l = 0; l < CHUNK; l++) {
    const float high = x[l] < 1.0f ? x[l] : 1.0f;
    x[l] = high > -1.0f ? high : -1.0f;
  }
}

int online_merging_forward(const pt_context* ctx, pt_tensor parameter, pt_tensor m, pt_tensor v, pt_tensor rounded,
                           pt_tensor gradient, pt_tensor tau, pt_tensor carry, pt_tensor interim, pt_tensor drift,
                           pt_tensor mask, pt_tensor tau_mask, double learning_rate, double beta1, double beta2,
                           double eps, double weight_decay, double bias_correction1, double bias_correction2,
                           double gradient_scale, double alpha, double scale, int64_t method, int64_t keep,
                           int64_t repo, int64_t decay_after, int64_t rescale, int64_t seed, int64_t first,
                           int64_t step) {
  const int64_t count = elements(parameter);
  if (refuse_survival(ctx, method, keep, first)) return 1;
  double* const sums = block_sums(ctx, count);
  if (!sums) return 1;
  const Adam moments =
      adam(learning_rate, beta1, beta2, eps, bias_correction1, bias_correction2, gradient_scale, repo != 0);
  const bool merges = method != ALL;
  Survivors of_update = {static_cast<Survival>(method == TIES && keep >= count ? ALL : method),
                         f32(mask),
                         keep,
                         first / CHUNK,
                         static_cast<uint32_t>(seed),
                         static_cast<uint32_t>(step),
                         OF_UPDATE,
                         Largest()};
  Survivors of_tau = of_update;
  of_tau.by = method == DARE && repo == 0 ? DARE : ALL;
  of_tau.mask = f32(tau_mask);
  of_tau.purpose = OF_TASK_VECTOR;

  // d of a chunk; `fresh`: its gradient has not been taken into the moments yet.
  const auto moved = [=](float* d, int64_t i, int64_t n, bool fresh) {
    if (n < CHUNK) memset(d, 0, CHUNK * sizeof(float));
    each_group(0, n, [&](int64_t l, int64_t many) {
      float *const to_m = f32(m) + i + l, *const to_v = f32(v) + i + l;
      const Adam::Moments now = fresh ? moments.update(f32(gradient) + i + l, to_m, to_v, many)
                                      : Adam::Moments{get(to_m, many), get(to_v, many)};
      put(d + l, negate(moments.step(now)), many);
    });
    if (!merges || interim.data == nullptr) return;
    float before[CHUNK];
    read_chunk(before, f32(interim) + i, n);
    for (int64_t l = 0; l < CHUNK; l++) d[l] += before[l];
  };

  // What needs all of the tensor before its first element can move.
  const bool ahead = of_update.by == TIES || (merges && rescale != 0);
  if (ahead) {
    const double root = repo != 0 ? 1.0 : __builtin_sqrt(bias_correction2);
    const double rate = (repo != 0 ? __builtin_sqrt(bias_correction2) : 1.0) * learning_rate / bias_correction1;
    each_chunk(ctx, count, nullptr, [=](int64_t i, int64_t n, Block&) {
      float d[CHUNK], g[CHUNK], mean[CHUNK], square[CHUNK], before[CHUNK] = {};
      read_chunk(g, f32(gradient) + i, n);
      read_chunk(mean, f32(m) + i, n);
      read_chunk(square, f32(v) + i, n);
      if (interim.data != nullptr) read_chunk(before, f32(interim) + i, n);
      moved(d, i, n, true);
      for (int64_t l = 0; l < CHUNK; l++) {
        const double x = static_cast<double>(g[l]) * gradient_scale, first = mean[l];
        const double top = rate * (first + (1.0 - beta1) * (x - first));
        const double below = __builtin_sqrt(beta2 * static_cast<double>(square[l]) + (1.0 - beta2) * x * x);
        d[l] = static_cast<float>(static_cast<double>(before[l]) - top / (below / root + eps));
      }
      write_chunk(f32(gradient) + i, d, n);
    });
    if (of_update.by == TIES && find_largest(ctx, f32(gradient), f32(m), count, keep, &of_update.largest)) return 1;
  }
  float factor = static_cast<float>(scale);
  if (merges && rescale != 0) {
    const Totals sizes = each_chunk(ctx, count, sums, [=](int64_t i, int64_t n, Block& block) {
      float d[CHUNK], size[CHUNK];
      moved(d, i, n, false);
      for (int64_t l = 0; l < CHUNK; l++) size[l] = magnitude(d[l]);
      block.add(0, size);
      of_update.choose(d, i, n, block);
      times(d, factor);
      for (int64_t l = 0; l < CHUNK; l++) size[l] = magnitude(d[l]);
      block.add(1, size);
    });
    const double left = sizes.second + (method == DARE ? eps : 0.0);
    if (left > 0) factor = static_cast<float>(scale * (sizes.first / left));
  }

  const float decay = static_cast<float>(1.0 - learning_rate * weight_decay);
  const float own = static_cast<float>(1.0 - alpha), others = static_cast<float>(alpha);
  const bool drifts = merges && carry.data != nullptr;
  const Totals moved_by =
      each_chunk(ctx, count, drift.data != nullptr ? sums : nullptr, [=](int64_t i, int64_t n, Block& block) {
        float p[CHUNK], a[CHUNK], b[CHUNK], t[CHUNK];
        read_chunk(p, f32(parameter) + i, n);
        moved(a, i, n, !ahead);
        if (interim.data != nullptr) {
          float since[CHUNK];
          read_chunk(since, f32(interim) + i, n);
          for (int64_t l = 0; l < CHUNK; l++) {
            p[l] = merges ? p[l] - since[l] : p[l];
            since[l] = merges ? 0.0f : since[l] + a[l];
          }
          write_chunk(f32(interim) + i, since, n);
        }
        if (decay_after == 0) times(p, decay);

        memset(t, 0, sizeof t);
        if (merges) {
          if (tau.data != nullptr) read_chunk(t, f32(tau) + i, n);
          memcpy(b, t, sizeof b);
          of_update.choose(a, i, n, block);
          if (factor != 1.0f) times(a, factor);
          if (method == DARE && rescale != 0) clamp(a);
          if (tau.data != nullptr) of_tau.choose(b, i, n, block);
          if (method == TIES && repo != 0) elect_by_sum(a, b);
          times(a, own);
          times(b, others);
          if (method == TIES && repo == 0) elect_by_size(a, b);
        }
        for (int64_t l = 0; l < CHUNK; l++) p[l] += a[l];

        if (drifts) {
          float c[CHUNK], meant[CHUNK], taken[CHUNK];
          read_chunk(c, f32(carry) + i, n);
          for (int64_t l = 0; l < CHUNK; l++) {
            const float all = c[l] + b[l], next = p[l] + all, back = next - p[l];
            c[l] = (p[l] - (next - back)) + (all - back);
            meant[l] = magnitude(b[l]);
            taken[l] = t[l] < 0.0f ? p[l] - next : next - p[l];
            p[l] = next;
          }
          write_chunk(f32(carry) + i, c, n);
          block.add(0, meant);
          block.add(1, taken);
        }
        if (decay_after != 0) times(p, decay);

        write_chunk(f32(parameter) + i, p, n);
        if (rounded.data != nullptr)
          each_group(0, n, [&](int64_t l, int64_t many) { put(bf(rounded) + i + l, get(p + l, many), many); });
        memset(f32(gradient) + i, 0, static_cast<size_t>(n) * sizeof(float));
      });
  if (drift.data != nullptr) {
    f64(drift)[0] = moved_by.first;
    f64(drift)[1] = moved_by.second;
  }
  return 0;
}

}  // namespace PT_NAMESPACE
