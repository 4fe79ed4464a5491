// cpu/probe_memory.cpp: kind 0 reads x and leaves sums in y, 1 copies x to y, 2 updates y in place; 16 bytes at a time.
#include "lanes.h"

namespace pt_cuda {
namespace {

constexpr int THREADS = 256, AT_ONCE = 4;  // fours of a thread

__global__ void probe_read_kernel(float* y, const float* x, int64_t count) {
  const int64_t first = static_cast<int64_t>(blockIdx.x) * THREADS * AT_ONCE + threadIdx.x;
  float sum = 0.0f;
#pragma unroll
  for (int i = 0; i < AT_ONCE; i++) {
    const int64_t at = (first + i * THREADS) * 4;
    if (at + 4 > count) continue;
    const float4 v = load4(x + at);
    sum = sum + ((v.x + v.y) + (v.z + v.w));
  }
  sum = add_halfwarp(sum);
  if (threadIdx.x == 0 && first * 4 < count) y[first * 4] = sum;
}

struct Copy {
  float* y;
  const float* x;
  template <int N>
  __device__ void at(int64_t i) const {
    put<N>(y + i, get<N>(x + i));
  }
};
struct Update {
  float* y;
  template <int N>
  __device__ void at(int64_t i) const {
    put<N>(y + i, map([](float a) { return a + 1.0f; }, get<N>(y + i)));
  }
};

}  // namespace

int probe_memory_forward(const pt_context* ctx, pt_tensor y, pt_tensor x, int64_t kind) {
  const int64_t count = elements(y) / 64 * 64;
  if (kind < 0 || kind > 2) {
    ctx->fail(ctx, "kind is %lld, expected 0, 1 or 2", static_cast<long long>(kind));
    return 1;
  }
  if (!wide(f32(y), f32(x))) {
    ctx->fail(ctx, "x and y are to begin at multiples of 16 bytes");
    return 1;
  }
  if (kind == 0)
    return launch<probe_read_kernel>(ctx, {count_of(ceil_div(count, 4 * AT_ONCE * THREADS)), THREADS}, f32(y), f32(x),
                                     count);
  return kind == 1 ? each(ctx, count, true, Copy{f32(y), f32(x)}) : each(ctx, count, true, Update{f32(y)});
}

}  // namespace pt_cuda
