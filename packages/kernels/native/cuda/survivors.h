// Which elements of a tensor survive in online merging, in the order and by the draws of cpu/survivors.h. Half a warp has a block of 4,096 and walks
// its chunks of 64: its thread l is lane l and has elements l, l + 16, l + 32 and l + 48 of a chunk, which are the four words of one Philox block.
#pragma once
#include "lanes.h"

namespace pt_cuda {

enum Survival : int64_t { ALL = 0, DARE = 1, TIES = 2 };
enum Purpose : uint32_t { OF_UPDATE = 0, OF_TASK_VECTOR = 1 };
constexpr int64_t MERGE_BLOCK = 4096, CHUNK = 64;
constexpr int MERGE_THREADS = 128;

// A thread's elements of a chunk; zero behind the tensor's end.
using Four = Lanes<4>;
PT_SCALAR Four read_chunk(const float* from, int64_t i, int64_t n) {
  const int64_t lane = threadIdx.x % 16;
  Four x;
#pragma unroll
  for (int64_t w = 0; w < 4; w++) x.x[w] = lane + 16 * w < n ? from[i + lane + 16 * w] : 0.0f;
  return x;
}
template <class To>
PT_SCALAR void write_chunk(To* to, int64_t i, int64_t n, const Four& x) {
  const int64_t lane = threadIdx.x % 16;
#pragma unroll
  for (int64_t w = 0; w < 4; w++)
    if (lane + 16 * w < n) put_one(to + i + lane + 16 * w, x.x[w]);
}
PT_SCALAR float size_of(float x) { return __int_as_float(__float_as_int(x) & 0x7fffffff); }
PT_SCALAR uint32_t magnitude_bits(float x) { return static_cast<uint32_t>(__float_as_int(x)) & 0x7fffffffu; }
PT_SCALAR Four times(const Four& x, float factor) {
  return map([=](float a) { return a * factor; }, x);
}
PT_SCALAR Four clamp(const Four& x) {
  return map(
      [](float a) {
        const float high = a < 1.0f ? a : 1.0f;
        return high > -1.0f ? high : -1.0f;
      },
      x);
}

// A lane's sums along a block, from zero.
struct Sums {
  double first, second;
};
PT_SCALAR void add_to(double* sum, const Four& x) {
#pragma unroll
  for (int w = 0; w < 4; w++) *sum += static_cast<double>(x.x[w]);
}
PT_SCALAR Four sizes_of(const Four& x) {
  return map([](float a) { return size_of(a); }, x);
}

// body(i, n, block, sums) over the chunks of a block, n elements from i on, n no more than 0 where there is none: shuffles are of whole warps. The
// blocks' sums come to sums[2 b] and [2 b + 1].
template <class Body>
PT_SCALAR void each_chunk(int64_t count, double* sums, const Body& body) {
  const int64_t b = (static_cast<int64_t>(blockIdx.x) * MERGE_THREADS + threadIdx.x) / 16;
  Sums mine = {};
  for (int64_t i = b * MERGE_BLOCK; i < (b + 1) * MERGE_BLOCK; i += CHUNK) body(i, smaller(CHUNK, count - i), b, &mine);
  const double first = add_halfwarp(mine.first), second = add_halfwarp(mine.second);
  if (!sums || threadIdx.x % 16 > 0 || b * MERGE_BLOCK >= count) return;
  sums[2 * b] = first;
  sums[2 * b + 1] = second;
}
inline Shape merge_shape(int64_t count) {
  return {count_of(ceil_div(ceil_div(count, MERGE_BLOCK) * 16, MERGE_THREADS)), MERGE_THREADS};
}
inline double* block_sums(const pt_context* ctx, int64_t count) {
  return static_cast<double*>(ctx->scratch(ctx, 2 * (ceil_div(count, MERGE_BLOCK) + 1) * 8));
}
// The blocks' sums, added in their order; second may be null.
int add_blocks(const pt_context* ctx, double* first, double* second, const double* sums, int64_t count);

// The `keep` largest by magnitude of keys, in the device's memory.
struct Largest {
  uint32_t bits, more;  // of the magnitudes of the smallest that survives: its key, and what decides among equals
  int32_t tied;         // whether `more` decides: only some of the equals survive
  int32_t counted;      // whether even of those equal in both only the first survive
  int64_t left;         // how many of the equals survive
  int64_t equals;       // of how many
};
struct Ranked {
  const float *keys, *second;  // second: null, or what decides among equals
  Largest* found;
  int64_t* before;  // elements equal to the smallest survivor in both, in the blocks before each
};
// Enqueues the search; keep from 1 to count.
int find_largest(const pt_context* ctx, const float* keys, const float* second, int64_t count, int64_t keep,
                 Ranked* ranked);

// How a tensor's elements survive.
struct Survivors {
  Survival by;
  const float* mask;  // given ones in place of draws: nonzero survives
  int64_t keep;       // DARE: of 2^32; TIES: how many
  int64_t group;      // of the arena, where the tensor begins
  uint32_t seed, step, purpose;
  Ranked ranked;
};

// Whether a thread's elements of a chunk survive; `equals`: of the lane's half warp, the elements equal to the smallest survivor so far in the block.
PT_SCALAR void choose(const Survivors& s, Four& x, int64_t i, int64_t n, int64_t block, int64_t* equals) {
  if (s.by == ALL) return;
  bool keeps[4] = {};
  if (s.by == TIES) {
    const Largest found = *s.ranked.found;
    const Four key = read_chunk(s.ranked.keys, i, n);
#pragma unroll
    for (int w = 0; w < 4; w++) keeps[w] = magnitude_bits(key.x[w]) >= found.bits;
    if (found.tied) {
      const Four more = s.ranked.second ? read_chunk(s.ranked.second, i, n) : Four{};
      const int64_t lane = threadIdx.x % 16;
      bool equal[4];
      int32_t places = 0;  // one byte for each of the four
#pragma unroll
      for (int w = 0; w < 4; w++) {
        const bool same = magnitude_bits(key.x[w]) == found.bits && lane + 16 * w < n;
        equal[w] = same && magnitude_bits(more.x[w]) == found.more;
        if (same && magnitude_bits(more.x[w]) < found.more) keeps[w] = false;
        places |= (equal[w] ? 1 : 0) << 8 * w;
      }
      if (found.counted) {
        if (i % MERGE_BLOCK == 0 && n > 0) *equals = s.ranked.before[block];
        int32_t sum = places;
#pragma unroll
        for (int by = 1; by < 16; by *= 2) {
          const int32_t other = __shfl_sync(WHOLE_WARP, sum, static_cast<int>(threadIdx.x) - by);
          if (lane >= by) sum += other;
        }
        const int32_t all = __shfl_sync(WHOLE_WARP, sum, static_cast<int>(threadIdx.x) / 16 * 16 + 15);
        int64_t seen = *equals;
#pragma unroll
        for (int w = 0; w < 4; w++) {
          const int64_t earlier = seen + ((sum - places) >> 8 * w & 0xff);
          if (equal[w] && earlier >= found.left) keeps[w] = false;
          seen += all >> 8 * w & 0xff;
        }
        *equals = seen;
      }
    }
  } else if (s.mask) {
    const Four given = read_chunk(s.mask, i, n);
#pragma unroll
    for (int w = 0; w < 4; w++) keeps[w] = given.x[w] != 0.0f;
  } else {
    const uint64_t number = static_cast<uint64_t>(s.group + i / CHUNK) * 16 + threadIdx.x % 16;
    uint32_t c[4] = {static_cast<uint32_t>(number), static_cast<uint32_t>(number >> 32), s.step, s.purpose};
    uint32_t k0 = s.seed, k1 = 7;
#pragma unroll
    for (int round = 0; round < 10; round++) {
      const uint64_t a = uint64_t{0xd2511f53u} * c[0], b = uint64_t{0xcd9e8d57u} * c[2];
      c[0] = static_cast<uint32_t>(b >> 32) ^ c[1] ^ k0;
      c[1] = static_cast<uint32_t>(b);
      c[2] = static_cast<uint32_t>(a >> 32) ^ c[3] ^ k1;
      c[3] = static_cast<uint32_t>(a);
      k0 += 0x9e3779b9u;
      k1 += 0xbb67ae85u;
    }
    const auto most = static_cast<uint32_t>(s.keep - 1);
#pragma unroll
    for (int w = 0; w < 4; w++) keeps[w] = c[w] <= most;
  }
#pragma unroll
  for (int w = 0; w < 4; w++)
    if (!keeps[w]) x.x[w] = 0.0f;
}

// Fails an op whose draws would not begin with a group, or that would keep nothing.
inline int refuse_survival(const pt_context* ctx, int64_t method, int64_t keep, int64_t first) {
  if (method < ALL || method > TIES)
    ctx->fail(ctx, "method is %lld, expected 0, 1 or 2", static_cast<long long>(method));
  else if (keep < 1 && method != ALL)
    ctx->fail(ctx, "keep is %lld, expected at least 1", static_cast<long long>(keep));
  else if (method == DARE && keep > int64_t{1} << 32)
    ctx->fail(ctx, "keep is %lld, expected at most 2^32", static_cast<long long>(keep));
  else if (first < 0 || first % CHUNK != 0)
    ctx->fail(ctx, "first is %lld, expected a multiple of 64", static_cast<long long>(first));
  else
    return 0;
  return 1;
}

}  // namespace pt_cuda
