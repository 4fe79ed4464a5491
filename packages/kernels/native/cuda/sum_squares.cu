// cpu/sum_squares.cpp. Half a warp sums a block of 4,096, a thread to a lane; then the block sums are added in their order by one thread, to
// which the others of its block bring them.
#include "lanes.h"

namespace pt_cuda {
namespace {

constexpr int64_t SUM_BLOCK = 4096;
constexpr int THREADS = 128;

template <class T>
__global__ void block_sums_kernel(double* sums, const T* x, int64_t count, int64_t blocks) {
  const int64_t block = (static_cast<int64_t>(blockIdx.x) * THREADS + threadIdx.x) / 16;
  const int64_t begin = block * SUM_BLOCK, end = smaller(count, begin + SUM_BLOCK);
  double sum = 0.0;
#pragma unroll 8
  for (int64_t i = begin + threadIdx.x % 16; i < end; i += 16) {
    const double v = get_one(x + i);
    sum = sum + v * v;
  }
  sum = add_halfwarp(sum);
  if (threadIdx.x % 16 == 0 && block < blocks) sums[block] = sum;
}

__global__ void add_in_order_kernel(double* total, const double* sums, int64_t blocks) {
  constexpr int AT_ONCE = 1024;
  __shared__ double stage[AT_ONCE];
  double sum = *total;
  for (int64_t begin = 0; begin < blocks; begin += AT_ONCE) {
    const int64_t n = smaller(AT_ONCE, blocks - begin);
    for (int64_t i = threadIdx.x; i < n; i += THREADS) stage[i] = sums[begin + i];
    __syncthreads();
    if (threadIdx.x == 0)
      for (int64_t i = 0; i < n; i++) sum += stage[i];
    __syncthreads();
  }
  if (threadIdx.x == 0) *total = sum;
}

}  // namespace

int sum_squares_forward(const pt_context* ctx, pt_tensor total, pt_tensor x) {
  const int64_t count = elements(x), blocks = ceil_div(count, SUM_BLOCK);
  auto* sums = static_cast<double*>(ctx->scratch(ctx, (blocks + 1) * static_cast<int64_t>(sizeof(double))));
  if (!sums) return 1;
  const Shape shape = {count_of(ceil_div(blocks * 16, THREADS)), THREADS};
  const int wrong = with_float(x, [&](const auto* from) {
    return launch<block_sums_kernel<std::remove_cv_t<std::remove_pointer_t<decltype(from)>>>>(ctx, shape, sums, from,
                                                                                              count, blocks);
  });
  return wrong ? wrong : launch<add_in_order_kernel>(ctx, {1, THREADS}, f64(total), sums, blocks);
}

}  // namespace pt_cuda
