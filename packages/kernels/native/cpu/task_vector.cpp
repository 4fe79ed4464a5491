// What a model has learnt since its base, as online merging uses it (Lu et al. 2024, arXiv 2405.17931): tau = start - base, of which some
// elements survive (survivors.h).
//   method ALL   tau = start - base
//   method DARE  the survivors times `scale`, clamped to [-1, 1]; `keep` of 2^32 survive in the mean, or those where `mask` is not 0
//   method TIES  the `keep` largest by magnitude; with `rescale` times what makes the sum of magnitudes what it was
// `first` is the place of the tensor in the arena: what is drawn depends on (seed, place) alone. distance = sum of |start - base|, in double
// over blocks of 4,096.
#include "survivors.h"

namespace PT_NAMESPACE {

int task_vector_forward(const pt_context* ctx, pt_tensor tau, pt_tensor distance, pt_tensor start, pt_tensor base,
                        pt_tensor mask, double scale, int64_t method, int64_t keep, int64_t rescale, int64_t seed,
                        int64_t first) {
  const int64_t count = elements(tau);
  if (refuse_survival(ctx, method, keep, first)) return 1;
  double* const sums = block_sums(ctx, count);
  if (!sums) return 1;
  const Totals before = each_chunk(ctx, count, sums, [=](int64_t i, int64_t n, Block& block) {
    float x[CHUNK], y[CHUNK];
    read_chunk(x, f32(start) + i, n);
    read_chunk(y, f32(base) + i, n);
    for (int64_t l = 0; l < CHUNK; l++) {
      x[l] -= y[l];
      y[l] = __builtin_fabsf(x[l]);
    }
    block.add(0, y);
    write_chunk(f32(tau) + i, x, n);
  });
  f64(distance)[0] = before.first;
  const bool all = method == ALL || (method == TIES && keep >= count);
  if (all) return 0;
  Survivors survivors = {static_cast<Survival>(method), f32(mask), keep,           first / CHUNK,
                         static_cast<uint32_t>(seed),   0,         OF_TASK_VECTOR, Largest()};
  if (method == TIES && find_largest(ctx, f32(tau), nullptr, count, keep, &survivors.largest)) return 1;
  const float times = static_cast<float>(scale);
  const Totals after = each_chunk(ctx, count, sums, [=](int64_t i, int64_t n, Block& block) {
    float x[CHUNK], y[CHUNK];
    read_chunk(x, f32(tau) + i, n);
    survivors.choose(x, i, n, block);
    if (method == DARE)
      for (int64_t l = 0; l < CHUNK; l++) {
        const float wide = x[l] * times, high = wide < 1.0f ? wide : 1.0f;
        x[l] = high > -1.0f ? high : -1.0f;
      }
    for (int64_t l = 0; l < CHUNK; l++) y[l] = __builtin_fabsf(x[l]);
    block.add(0, y);
    write_chunk(f32(tau) + i, x, n);
  });
  if (method != TIES || rescale == 0 || !(after.first > 0)) return 0;
  const float again = static_cast<float>(before.first / after.first);
  each_chunk(ctx, count, nullptr, [=](int64_t i, int64_t n, Block&) {
    float x[CHUNK];
    read_chunk(x, f32(tau) + i, n);
    for (int64_t l = 0; l < CHUNK; l++) x[l] *= again;
    write_chunk(f32(tau) + i, x, n);
  });
  return 0;
}

}  // namespace PT_NAMESPACE
