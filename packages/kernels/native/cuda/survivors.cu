// The `keep`th largest magnitude of a tensor, by its bits, 3, then 4 at a time: each pass counts digits of what the passes before have left, in
// registers, without atomics. What it finds stays on the device.
#include "survivors.h"

namespace pt_cuda {
namespace {

constexpr int THREADS = 256, DIGITS = 16;
constexpr int64_t MOST_BLOCKS = 1024;  // of threads that count
constexpr int FIRST_SHIFT = 28;        // magnitudes have 31 bits

// counts[block][digit] of the elements whose higher bits are those found so far; `among`: where its magnitude is the one found before.
__global__ void count_digits_kernel(int32_t* counts, const Largest* found, const float* x, const float* among,
                                    int64_t count, int shift) {
  __shared__ int32_t of_warps[THREADS / 32][DIGITS];
  const Largest now = *found;
  if (among && !now.tied) return;
  const uint32_t prefix = shift == FIRST_SHIFT ? 0 : among ? now.more : now.bits;
  const int above = shift + 4;
  int32_t mine[DIGITS] = {};
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * THREADS + threadIdx.x; i < count;
       i += static_cast<int64_t>(gridDim.x) * THREADS) {
    const uint32_t bits = magnitude_bits(x[i]), digit = bits >> shift & (DIGITS - 1);
    if (among && magnitude_bits(among[i]) != now.bits) continue;
    if (above < 32 && bits >> above != prefix >> above) continue;
#pragma unroll
    for (uint32_t d = 0; d < DIGITS; d++) mine[d] += digit == d ? 1 : 0;
  }
#pragma unroll
  for (int d = 0; d < DIGITS; d++) {
#pragma unroll
    for (int width = 16; width > 0; width /= 2) mine[d] += __shfl_xor_sync(WHOLE_WARP, mine[d], width);
    if (threadIdx.x % 32 == 0) of_warps[threadIdx.x / 32][d] = mine[d];
  }
  __syncthreads();
  if (threadIdx.x >= DIGITS) return;
  int32_t sum = 0;
  for (int warp = 0; warp < THREADS / 32; warp++) sum += of_warps[warp][threadIdx.x];
  counts[blockIdx.x * DIGITS + threadIdx.x] = sum;
}

// The digit in which the one searched for lies. keep: how many survive, where the search begins.
__global__ void pick_digit_kernel(Largest* found, const int32_t* counts, int64_t blocks, int shift, bool is_second,
                                  bool has_second, int64_t keep) {
  __shared__ int64_t sums[DIGITS];
  if (is_second && !found->tied) return;
  if (threadIdx.x < DIGITS) {
    int64_t sum = 0;
    for (int64_t b = 0; b < blocks; b++) sum += counts[b * DIGITS + threadIdx.x];
    sums[threadIdx.x] = sum;
  }
  __syncthreads();
  if (threadIdx.x > 0) return;
  Largest now = *found;
  if (shift == FIRST_SHIFT && !is_second) now = {0, 0, 0, 0, keep, 0};
  int digit = DIGITS;
  do {
    digit--;
    now.equals = sums[digit];
    if (now.equals >= now.left) break;
    now.left -= now.equals;
  } while (digit > 0);
  (is_second ? now.more : now.bits) |= static_cast<uint32_t>(digit) << shift;
  if (shift == 0) {
    if (!is_second) now.tied = now.left != now.equals;
    now.counted = now.left != now.equals && (is_second || !has_second);
  }
  *found = now;
}

__global__ void count_equals_kernel(Ranked ranked, int64_t count) {
  const Largest now = *ranked.found;
  if (!now.counted) return;
  int64_t equals = 0;
  each_chunk(count, nullptr, [&](int64_t i, int64_t n, int64_t, Sums*) {
    const Four key = read_chunk(ranked.keys, i, n), more = ranked.second ? read_chunk(ranked.second, i, n) : Four{};
#pragma unroll
    for (int w = 0; w < 4; w++)
      if (static_cast<int64_t>(threadIdx.x % 16) + 16 * w < n)
        equals += magnitude_bits(key.x[w]) == now.bits && magnitude_bits(more.x[w]) == now.more ? 1 : 0;
  });
  const int64_t all = add_halfwarp(equals), b = (static_cast<int64_t>(blockIdx.x) * MERGE_THREADS + threadIdx.x) / 16;
  if (threadIdx.x % 16 == 0 && b * MERGE_BLOCK < count) ranked.before[b] = all;
}
// One warp: each block's count becomes that of the blocks before it.
__global__ void count_before_kernel(Ranked ranked, int64_t blocks) {
  if (!ranked.found->counted) return;
  const auto lane = static_cast<int>(threadIdx.x);
  int64_t before = 0;
  for (int64_t begin = 0; begin < blocks; begin += 32) {
    const int64_t b = begin + lane, own = b < blocks ? ranked.before[b] : 0;
    int64_t sum = own;
#pragma unroll
    for (int by = 1; by < 32; by *= 2) {
      const int64_t left = __shfl_sync(WHOLE_WARP, sum, lane - by);
      if (lane >= by) sum += left;
    }
    if (b < blocks) ranked.before[b] = before + sum - own;
    before += __shfl_sync(WHOLE_WARP, sum, 31);
  }
}

__global__ void add_blocks_kernel(double* first, double* second, const double* sums, int64_t blocks) {
  constexpr int AT_ONCE = 512;
  __shared__ double stage[2 * AT_ONCE];
  double sum = 0.0;
  for (int64_t begin = 0; begin < blocks; begin += AT_ONCE) {
    const int64_t n = smaller(AT_ONCE, blocks - begin);
    for (int64_t i = threadIdx.x; i < 2 * n; i += MERGE_THREADS) stage[i] = sums[2 * begin + i];
    __syncthreads();
    if (threadIdx.x < 2)
      for (int64_t i = 0; i < n; i++) sum += stage[2 * i + threadIdx.x];
    __syncthreads();
  }
  if (threadIdx.x == 0) *first = sum;
  if (threadIdx.x == 1 && second) *second = sum;
}

}  // namespace

int add_blocks(const pt_context* ctx, double* first, double* second, const double* sums, int64_t count) {
  return launch<add_blocks_kernel>(ctx, {1, MERGE_THREADS}, first, second, sums, ceil_div(count, MERGE_BLOCK));
}

int find_largest(const pt_context* ctx, const float* keys, const float* second, int64_t count, int64_t keep,
                 Ranked* ranked) {
  const int64_t blocks = ceil_div(count, MERGE_BLOCK), counting = smaller(MOST_BLOCKS, ceil_div(count, 8 * THREADS));
  auto* found = static_cast<Largest*>(ctx->scratch(ctx, sizeof(Largest)));
  auto* before = static_cast<int64_t*>(ctx->scratch(ctx, (blocks + 1) * 8));
  auto* counts = static_cast<int32_t*>(ctx->scratch(ctx, (counting + 1) * DIGITS * 4));
  if (!found || !before || !counts) return 1;
  *ranked = {keys, second, found, before};
  for (const bool is_second : {false, true}) {
    if (is_second && !second) break;
    for (int shift = FIRST_SHIFT; shift >= 0; shift -= 4)
      if (launch<count_digits_kernel>(ctx, {count_of(counting), THREADS}, counts, found, is_second ? second : keys,
                                      is_second ? keys : static_cast<const float*>(nullptr), count, shift) ||
          launch<pick_digit_kernel>(ctx, {1, 32}, found, counts, counting, shift, is_second, second != nullptr, keep))
        return 1;
  }
  return launch<count_equals_kernel>(ctx, merge_shape(count), *ranked, count) ||
         launch<count_before_kernel>(ctx, {1, 32}, *ranked, blocks);
}

}  // namespace pt_cuda
