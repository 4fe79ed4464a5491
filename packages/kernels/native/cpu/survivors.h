// Which elements of a tensor survive in online merging (online_merging.cpp, task_vector.cpp), by a number that stays or by one of two rules:
//   DARE  each with a probability, by Philox4x32-10 (Salmon et al., SC 2011): a function of seed, place in the arena, step and purpose
//   TIES  so many of the largest by magnitude; of equals those whose second key is largest, where there is one, then the first
// Both are whole-number arithmetic: the same on every path and any number of threads.
#pragma once
#include "elementwise.h"

namespace PT_NAMESPACE {

enum Survival : int64_t { ALL = 0, DARE = 1, TIES = 2 };
// What DARE draws for.
enum Purpose : uint32_t { OF_UPDATE = 0, OF_TASK_VECTOR = 1 };

// Work is handed out in blocks; sums of a block are added in block order. Within, chunks: what is drawn at once.
constexpr int64_t MERGE_BLOCK = 4096, CHUNK = 64;

PT_INLINE void read_chunk(float* to, const float* from, int64_t n) {
  if (n == CHUNK) {
    memcpy(to, from, CHUNK * sizeof(float));
    return;
  }
  memset(to, 0, CHUNK * sizeof(float));
  memcpy(to, from, static_cast<size_t>(n) * sizeof(float));
}
PT_INLINE void write_chunk(float* to, const float* from, int64_t n) {
  if (n == CHUNK)
    memcpy(to, from, CHUNK * sizeof(float));
  else
    memcpy(to, from, static_cast<size_t>(n) * sizeof(float));
}
PT_INLINE uint32_t word_of(float x) {
  uint32_t word;
  memcpy(&word, &x, sizeof word);
  return word;
}
PT_INLINE float float_of(uint32_t word) {
  float x;
  memcpy(&x, &word, sizeof x);
  return x;
}

// What is kept along a block, from zero.
struct Block {
  double lanes[2][LANES];  // two sums; lane l takes elements l, l + 16, ...
  int64_t equals;          // of Survivors
  __attribute__((always_inline)) void add(int which, const float* x) {
    for (int64_t i = 0; i < CHUNK; i += LANES)
      for (int64_t l = 0; l < LANES; l++) lanes[which][l] += static_cast<double>(x[i + l]);
  }
  __attribute__((always_inline)) double total(int which) {
    double* const x = lanes[which];
    for (int width = LANES / 2; width > 0; width /= 2)
      for (int l = 0; l < width; l++) x[l] += x[l + width];
    return x[0];
  }
};
// body(i, n, block) over the chunks of each block, n elements from i on. Returns the blocks' sums, added in their order, where `sums`
// (block_sums) is given.
struct Totals {
  double first, second;
};
template <class Body>
static inline Totals each_chunk(const pt_context* ctx, int64_t count, double* sums, const Body& body) {
  const int64_t many = ceil_div(count, MERGE_BLOCK);
  parallel(ctx, many, [&](int64_t b, int32_t) {
    Block block = {};
    const int64_t end = smaller(count, (b + 1) * MERGE_BLOCK);
    for (int64_t i = b * MERGE_BLOCK; i < end; i += CHUNK) body(i, smaller(CHUNK, end - i), block);
    if (sums == nullptr) return;
    sums[2 * b] = block.total(0);
    sums[2 * b + 1] = block.total(1);
  });
  Totals totals = {};
  if (sums == nullptr || ctx->dry) return totals;
  for (int64_t b = 0; b < many; b++) {
    totals.first += sums[2 * b];
    totals.second += sums[2 * b + 1];
  }
  return totals;
}
static inline double* block_sums(const pt_context* ctx, int64_t count) {
  const int64_t many = ceil_div(count, MERGE_BLOCK) + 1;
  return static_cast<double*>(ctx->scratch(ctx, 2 * many * static_cast<int64_t>(sizeof(double))));
}

// 64 random words for the elements from 64 * group on of the arena: element e takes word (e / 16) % 4 of the Philox block whose counter is
// (16 * group + e % 16 as 64 bits, step, purpose); the key is (seed, 7), 7 being the stream of optimizer masks.
static inline void draw(uint32_t* words, int64_t group, uint32_t seed, uint32_t step, uint32_t purpose) {
  uint32_t c0[LANES], c1[LANES], c2[LANES], c3[LANES];
  for (int l = 0; l < LANES; l++) {
    const uint64_t number = static_cast<uint64_t>(group) * LANES + static_cast<uint64_t>(l);
    c0[l] = static_cast<uint32_t>(number);
    c1[l] = static_cast<uint32_t>(number >> 32);
    c2[l] = step;
    c3[l] = purpose;
  }
  uint32_t k0 = seed, k1 = 7;
  for (int round = 0; round < 10; round++) {
    for (int l = 0; l < LANES; l++) {
      const uint64_t a = uint64_t{0xd2511f53u} * c0[l], b = uint64_t{0xcd9e8d57u} * c2[l];
      c0[l] = static_cast<uint32_t>(b >> 32) ^ c1[l] ^ k0;
      c1[l] = static_cast<uint32_t>(b);
      c2[l] = static_cast<uint32_t>(a >> 32) ^ c3[l] ^ k1;
      c3[l] = static_cast<uint32_t>(a);
    }
    k0 += 0x9e3779b9u;
    k1 += 0xbb67ae85u;
  }
  memcpy(words, c0, sizeof c0);
  memcpy(words + LANES, c1, sizeof c1);
  memcpy(words + 2 * LANES, c2, sizeof c2);
  memcpy(words + 3 * LANES, c3, sizeof c3);
}

// The `keep` largest by magnitude of `keys`.
struct Largest {
  const float *keys, *second;   // second: null, or what decides among equals
  uint32_t bits = 0, more = 0;  // of the magnitudes of the smallest that survives
  bool tied = false;            // whether `more` decides: only some of the equals survive
  const int64_t* before =
      nullptr;         // elements equal to it in both, in the blocks before each; null where all of them survive
  int64_t equals = 0;  // how many of those survive
};

PT_INLINE uint32_t magnitude_bits(float x) { return word_of(x) & 0x7fffffffu; }

// The magnitude of the `keep`th largest of x, by radix on the bits of |x|, 11, then 10, then 10; where `among` is given only elements whose
// magnitude there is `bits` count. Sets `left`: how many of its equals are kept, of how many.
static inline uint32_t radix_select(const pt_context* ctx, const float* x, const float* among, uint32_t bits, int64_t n,
                                    int64_t keep, int64_t* counts, int64_t* left, int64_t* equals) {
  constexpr int64_t BINS = 1 << 11;
  uint32_t prefix = 0;
  int above = 31;
  *left = keep;
  const int widths[] = {11, 10, 10};
  for (const int width : widths) {
    const int shift = above - width;
    const uint32_t bins = 1u << width;
    memset(counts, 0, static_cast<size_t>(ctx->threads * BINS) * sizeof(int64_t));
    parallel(ctx, ceil_div(n, MERGE_BLOCK), [=](int64_t b, int32_t thread) {
      int64_t* const own = counts + thread * BINS;
      const int64_t end = smaller(n, (b + 1) * MERGE_BLOCK);
      for (int64_t i = b * MERGE_BLOCK; i < end; i++) {
        const uint32_t size = magnitude_bits(x[i]);
        if (among != nullptr && magnitude_bits(among[i]) != bits) continue;
        if (size >> above == prefix >> above) own[size >> shift & (bins - 1)]++;
      }
    });
    uint32_t bin = bins;
    do {
      bin--;
      *equals = 0;
      for (int32_t thread = 0; thread < ctx->threads; thread++) *equals += counts[thread * BINS + bin];
      if (*equals >= *left) break;
      *left -= *equals;
    } while (bin > 0);
    prefix |= bin << shift;
    above = shift;
  }
  return prefix;
}

// keep from 1 to n. Nonzero where there is no memory.
static inline int find_largest(const pt_context* ctx, const float* keys, const float* second, int64_t n, int64_t keep,
                               Largest* found) {
  const int64_t blocks = ceil_div(n, MERGE_BLOCK), bins = ctx->threads * (int64_t{1} << 11);
  const int64_t size = bins > blocks ? bins : blocks;
  auto* const counts = static_cast<int64_t*>(ctx->scratch(ctx, size * static_cast<int64_t>(sizeof(int64_t))));
  if (!counts) return 1;
  if (ctx->dry) return 0;
  int64_t left, equals;
  const uint32_t bits = radix_select(ctx, keys, nullptr, 0, n, keep, counts, &left, &equals);
  found->keys = keys;
  found->second = second;
  found->bits = bits;
  if (left == equals) return 0;
  found->tied = true;
  if (second != nullptr) found->more = radix_select(ctx, second, keys, bits, n, left, counts, &left, &equals);
  found->equals = left;
  if (left == equals) return 0;
  const uint32_t more = found->more;
  parallel(ctx, blocks, [=](int64_t b, int32_t) {
    int64_t many = 0;
    const int64_t end = smaller(n, (b + 1) * MERGE_BLOCK);
    for (int64_t i = b * MERGE_BLOCK; i < end; i++)
      many += magnitude_bits(keys[i]) == bits && (second == nullptr || magnitude_bits(second[i]) == more) ? 1 : 0;
    counts[b] = many;
  });
  int64_t seen = 0;
  for (int64_t b = 0; b < blocks; b++) {
    const int64_t many = counts[b];
    counts[b] = seen;
    seen += many;
  }
  found->before = counts;
  return 0;
}

// How a tensor's elements survive.
struct Survivors {
  Survival by;
  const float* mask;  // given ones in place of draws: nonzero survives
  int64_t keep;       // DARE: of 2^32; TIES: how many
  int64_t group;      // of the arena, where the tensor begins
  uint32_t seed, step, purpose;
  Largest largest;

  // Sets x[0..63], which begin at element i of the tensor, to zero where they do not survive; what lies past its end is zero.
  __attribute__((always_inline)) void choose(float* x, int64_t i, int64_t n, Block& block) const {
    uint32_t keeps[CHUNK];
    if (by == ALL) return;
    if (by == TIES) {
      float key[CHUNK], more[CHUNK];
      read_chunk(key, largest.keys + i, n);
      for (int64_t l = 0; l < CHUNK; l++) keeps[l] = magnitude_bits(key[l]) >= largest.bits ? ~0u : 0u;
      if (largest.tied) {
        if (largest.before != nullptr && i % MERGE_BLOCK == 0) block.equals = largest.before[i / MERGE_BLOCK];
        memset(more, 0, sizeof more);
        if (largest.second != nullptr) read_chunk(more, largest.second + i, n);
        for (int64_t l = 0; l < n; l++) {
          if (magnitude_bits(key[l]) != largest.bits || magnitude_bits(more[l]) > largest.more) continue;
          const bool equal = magnitude_bits(more[l]) == largest.more;
          if (!equal || (largest.before != nullptr && block.equals++ >= largest.equals)) keeps[l] = 0u;
        }
      }
    } else if (mask != nullptr) {
      float given[CHUNK];
      read_chunk(given, mask + i, n);
      for (int64_t l = 0; l < CHUNK; l++) keeps[l] = given[l] != 0.0f ? ~0u : 0u;
    } else {
      const uint32_t most = static_cast<uint32_t>(keep - 1);
      draw(keeps, group + i / CHUNK, seed, step, purpose);
      for (int64_t l = 0; l < CHUNK; l++) keeps[l] = keeps[l] <= most ? ~0u : 0u;
    }
    for (int64_t l = 0; l < CHUNK; l++) x[l] = float_of(word_of(x[l]) & keeps[l]);
  }
};

// Fails an op whose draws would not begin with a group, or that would keep nothing.
static inline int refuse_survival(const pt_context* ctx, int64_t method, int64_t keep, int64_t first) {
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

}  // namespace PT_NAMESPACE
