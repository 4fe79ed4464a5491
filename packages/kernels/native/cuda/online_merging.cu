// cpu/online_merging.cpp. What its passes over the whole tensor find, the smallest survivor and the sums of sizes, stays on the device.
#include "adam.h"
#include "survivors.h"

namespace pt_cuda {
namespace {

struct Merging {
  float *parameter, *m, *v;
  bf16* rounded;
  float *gradient, *carry, *interim;
  const float* tau;
  Adam adam;
  Survivors of_update, of_tau;
  double beta1, beta2, eps, gradient_scale, rate, root, scale;
  float decay, own, others;
  int64_t count;
  bool merges, dare, ties, repo, rescales, decays_after;
};

// d of a chunk; `fresh`: its gradient has not been taken into the moments yet.
PT_SCALAR Four moved(const Merging& o, int64_t i, int64_t n, bool fresh) {
  const int64_t lane = threadIdx.x % 16;
  Four d = {};
#pragma unroll
  for (int64_t w = 0; w < 4; w++) {
    const int64_t at = i + lane + 16 * w;
    if (lane + 16 * w >= n) continue;
    const Adam::Moments<1> now = fresh ? o.adam.update<1>(o.gradient + at, o.m + at, o.v + at)
                                       : Adam::Moments<1>{get<1>(o.m + at), get<1>(o.v + at)};
    d.x[w] = negate(o.adam.step(now).x[0]);
  }
  if (!o.merges || !o.interim) return d;
  return map([](float a, float b) { return a + b; }, d, read_chunk(o.interim, i, n));
}

// d in double, rounded once, into the gradient's memory, by which TIES ranks; the moments are updated.
__global__ void rank_kernel(Merging o) {
  each_chunk(o.count, nullptr, [&](int64_t i, int64_t n, int64_t, Sums*) {
    const Four g = read_chunk(o.gradient, i, n), mean = read_chunk(o.m, i, n), square = read_chunk(o.v, i, n);
    const Four before = o.interim ? read_chunk(o.interim, i, n) : Four{};
    moved(o, i, n, true);
    Four d;
#pragma unroll
    for (int w = 0; w < 4; w++) {
      const double x = static_cast<double>(g.x[w]) * o.gradient_scale, first = mean.x[w];
      const double top = o.rate * (first + (1.0 - o.beta1) * (x - first));
      const double below = sqrt(o.beta2 * static_cast<double>(square.x[w]) + (1.0 - o.beta2) * x * x);
      d.x[w] = static_cast<float>(static_cast<double>(before.x[w]) - top / (below / o.root + o.eps));
    }
    write_chunk(o.gradient, i, n, d);
  });
}

// Sums of sizes: of d, and of what survives of it times the scale.
__global__ void sizes_kernel(Merging o, double* sums) {
  int64_t equals = 0;
  each_chunk(o.count, sums, [&](int64_t i, int64_t n, int64_t block, Sums* mine) {
    Four d = moved(o, i, n, false);
    add_to(&mine->first, sizes_of(d));
    choose(o.of_update, d, i, n, block, &equals);
    add_to(&mine->second, sizes_of(times(d, static_cast<float>(o.scale))));
  });
}

// Which of update and drift TIES drops, by the published code: a and b are A and B.
PT_SCALAR void elect_by_sum(Four& a, Four& b) {
#pragma unroll
  for (int w = 0; w < 4; w++) {
    const bool positive = a.x[w] + b.x[w] >= 0.0f;
    a.x[w] = (a.x[w] > 0.0f) == positive ? a.x[w] : 0.0f;
    b.x[w] = (b.x[w] > 0.0f) == positive ? b.x[w] : 0.0f;
  }
}
// By the paper: a and b are update and drift. Of equal magnitudes the update stays.
PT_SCALAR void elect_by_size(Four& a, Four& b) {
#pragma unroll
  for (int w = 0; w < 4; w++) {
    const bool opposed = (a.x[w] > 0.0f && b.x[w] < 0.0f) || (a.x[w] < 0.0f && b.x[w] > 0.0f);
    const bool first = size_of(a.x[w]) >= size_of(b.x[w]);
    a.x[w] = opposed && !first ? 0.0f : a.x[w];
    b.x[w] = opposed && first ? 0.0f : b.x[w];
  }
}

// sizes: the two sums of sizes_kernel, where there is rescaling. ahead: the moments are updated already.
__global__ void merge_kernel(Merging o, double* sums, const double* sizes, bool ahead) {
  auto factor = static_cast<float>(o.scale);
  if (sizes) {
    const double left = sizes[1] + (o.dare ? o.eps : 0.0);
    if (left > 0) factor = static_cast<float>(o.scale * (sizes[0] / left));
  }
  const auto sum = [](float a, float b) { return a + b; };
  int64_t equals = 0, unused = 0;
  each_chunk(o.count, sums, [&](int64_t i, int64_t n, int64_t block, Sums* mine) {
    Four p = read_chunk(o.parameter, i, n), a = moved(o, i, n, !ahead);
    if (o.interim) {
      Four since = read_chunk(o.interim, i, n);
      if (o.merges) p = map([](float x, float y) { return x - y; }, p, since);
      since = o.merges ? Four{} : map(sum, since, a);
      write_chunk(o.interim, i, n, since);
    }
    if (!o.decays_after) p = times(p, o.decay);

    Four t = {}, b = {};
    if (o.merges) {
      if (o.tau) t = b = read_chunk(o.tau, i, n);
      choose(o.of_update, a, i, n, block, &equals);
      a = times(a, factor);
      if (o.dare && o.rescales) a = clamp(a);
      if (o.tau) choose(o.of_tau, b, i, n, block, &unused);
      if (o.ties && o.repo) elect_by_sum(a, b);
      a = times(a, o.own);
      b = times(b, o.others);
      if (o.ties && !o.repo) elect_by_size(a, b);
    }
    p = map(sum, p, a);

    if (o.merges && o.carry) {
      Four c = read_chunk(o.carry, i, n), taken;
#pragma unroll
      for (int w = 0; w < 4; w++) {
        const float all = c.x[w] + b.x[w], next = p.x[w] + all, back = next - p.x[w];
        c.x[w] = (p.x[w] - (next - back)) + (all - back);
        taken.x[w] = t.x[w] < 0.0f ? p.x[w] - next : next - p.x[w];
        p.x[w] = next;
      }
      write_chunk(o.carry, i, n, c);
      add_to(&mine->first, sizes_of(b));
      add_to(&mine->second, taken);
    }
    if (o.decays_after) p = times(p, o.decay);

    write_chunk(o.parameter, i, n, p);
    if (o.rounded) write_chunk(o.rounded, i, n, p);
    write_chunk(o.gradient, i, n, Four{});
  });
}

}  // namespace

int online_merging_forward(const pt_context* ctx, pt_tensor parameter, pt_tensor m, pt_tensor v, pt_tensor rounded,
                           pt_tensor gradient, pt_tensor tau, pt_tensor carry, pt_tensor interim, pt_tensor drift,
                           pt_tensor mask, pt_tensor tau_mask, double learning_rate, double beta1, double beta2,
                           double eps, double weight_decay, double bias_correction1, double bias_correction2,
                           double gradient_scale, double alpha, double scale, int64_t method, int64_t keep,
                           int64_t repo, int64_t decay_after, int64_t rescale, int64_t seed, int64_t first,
                           int64_t step) {
  const int64_t count = elements(parameter);
  const Shape shape = merge_shape(count);
  if (refuse_survival(ctx, method, keep, first)) return 1;
  double* const sums = block_sums(ctx, count);
  auto* const sizes = static_cast<double*>(ctx->scratch(ctx, 2 * sizeof(double)));
  if (!sums || !sizes) return 1;
  const double later = sqrt(bias_correction2);
  const bool merges = method != ALL, rescales = merges && rescale != 0;
  Survivors of_update = {static_cast<Survival>(method == TIES && keep >= count ? ALL : method),
                         f32(mask),
                         keep,
                         first / CHUNK,
                         static_cast<uint32_t>(seed),
                         static_cast<uint32_t>(step),
                         OF_UPDATE,
                         {}};
  Survivors of_tau = of_update;
  of_tau.by = method == DARE && repo == 0 ? DARE : ALL;
  of_tau.mask = f32(tau_mask);
  of_tau.purpose = OF_TASK_VECTOR;
  Merging o = {
      f32(parameter),
      f32(m),
      f32(v),
      bf(rounded),
      f32(gradient),
      f32(carry),
      f32(interim),
      f32(tau),
      make_adam(learning_rate, beta1, beta2, eps, bias_correction1, bias_correction2, gradient_scale, repo != 0),
      of_update,
      of_tau,
      beta1,
      beta2,
      eps,
      gradient_scale,
      (repo != 0 ? later : 1.0) * learning_rate / bias_correction1,
      repo != 0 ? 1.0 : later,
      scale,
      static_cast<float>(1.0 - learning_rate * weight_decay),
      static_cast<float>(1.0 - alpha),
      static_cast<float>(alpha),
      count,
      merges,
      method == DARE,
      method == TIES,
      repo != 0,
      rescale != 0,
      decay_after != 0};
  // What needs all of the tensor before its first element can move.
  const bool ahead = of_update.by == TIES || rescales;
  if (ahead && launch<rank_kernel>(ctx, shape, o)) return 1;
  if (of_update.by == TIES && find_largest(ctx, o.gradient, o.m, count, keep, &o.of_update.ranked)) return 1;
  if (rescales && (launch<sizes_kernel>(ctx, shape, o, sums) || add_blocks(ctx, sizes, sizes + 1, sums, count)))
    return 1;
  if (launch<merge_kernel>(ctx, shape, o, drift.data ? sums : nullptr, rescales ? sizes : nullptr, ahead)) return 1;
  return drift.data && add_blocks(ctx, f64(drift), f64(drift) + 1, sums, count);
}

}  // namespace pt_cuda
