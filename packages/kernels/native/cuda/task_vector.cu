// cpu/task_vector.cpp
#include "survivors.h"

namespace pt_cuda {
namespace {

__global__ void difference_kernel(float* tau, double* sums, const float* start, const float* base, int64_t count) {
  each_chunk(count, sums, [&](int64_t i, int64_t n, int64_t, Sums* mine) {
    const Four x = map([](float a, float b) { return a - b; }, read_chunk(start, i, n), read_chunk(base, i, n));
    add_to(&mine->first, sizes_of(x));
    write_chunk(tau, i, n, x);
  });
}

__global__ void thin_kernel(float* tau, double* sums, Survivors survivors, float scale, int64_t count) {
  int64_t equals = 0;
  each_chunk(count, sums, [&](int64_t i, int64_t n, int64_t block, Sums* mine) {
    Four x = read_chunk(tau, i, n);
    choose(survivors, x, i, n, block, &equals);
    if (survivors.by == DARE) x = clamp(times(x, scale));
    add_to(&mine->first, sizes_of(x));
    write_chunk(tau, i, n, x);
  });
}

__global__ void rescale_kernel(float* tau, const double* before, const double* after, int64_t count) {
  if (!(*after > 0)) return;
  const auto again = static_cast<float>(*before / *after);
  each_chunk(count, nullptr, [&](int64_t i, int64_t n, int64_t, Sums*) {
    write_chunk(tau, i, n, times(read_chunk(tau, i, n), again));
  });
}

}  // namespace

int task_vector_forward(const pt_context* ctx, pt_tensor tau, pt_tensor distance, pt_tensor start, pt_tensor base,
                        pt_tensor mask, double scale, int64_t method, int64_t keep, int64_t rescale, int64_t seed,
                        int64_t first) {
  const int64_t count = elements(tau);
  const Shape shape = merge_shape(count);
  if (refuse_survival(ctx, method, keep, first)) return 1;
  double* const sums = block_sums(ctx, count);
  auto* after = static_cast<double*>(ctx->scratch(ctx, sizeof(double)));
  if (!sums || !after) return 1;
  if (launch<difference_kernel>(ctx, shape, f32(tau), sums, f32(start), f32(base), count) ||
      add_blocks(ctx, f64(distance), nullptr, sums, count))
    return 1;
  if (method == ALL || (method == TIES && keep >= count)) return 0;
  Survivors survivors = {static_cast<Survival>(method), f32(mask), keep,           first / CHUNK,
                         static_cast<uint32_t>(seed),   0,         OF_TASK_VECTOR, {}};
  // It ranks tau while thinning overwrites it: what a thread reads is its own.
  if (method == TIES && find_largest(ctx, f32(tau), nullptr, count, keep, &survivors.ranked)) return 1;
  if (launch<thin_kernel>(ctx, shape, f32(tau), sums, survivors, static_cast<float>(scale), count)) return 1;
  if (method != TIES || rescale == 0) return 0;
  return add_blocks(ctx, after, nullptr, sums, count) ||
         launch<rescale_kernel>(ctx, shape, f32(tau), f64(distance), after, count);
}

}  // namespace pt_cuda
