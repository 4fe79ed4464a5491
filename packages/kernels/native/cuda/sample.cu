// cpu/sample.cpp. A block of threads draws for a row. What orders do not matter for is found by all of them: the largest logit, the k-th
// largest (two bits of its key at a time), which words a filter can keep; of all words' weights threads sum a block each (cpu/block_sum.h). What else is
// a chain in the cpu's order is one thread's, to which the others bring the numbers: sums of what filters keep, and top-p's, of no more words than may
// lie above its cut.
#include "checks.h"
#include "token_log_probs.h"

#include "../cpu/block_sum.h"

namespace pt_cuda {
namespace {

constexpr int THREADS = 256;
constexpr int TILE = 2048;  // numbers brought to a chain at a time
constexpr int BINS = 2048;
#if defined(PT_EMULATED)
constexpr int64_t LOGITS_BYTES = 64 << 10, ROWS = 32;  // small, so that tests have several groups of rows
#else
constexpr int64_t LOGITS_BYTES = 64 << 20, ROWS = 16;
#endif

// Ascending with x; -0 as +0, NaN above or below everything.
PT_SCALAR uint32_t order_key(float x) {
  const auto bits = static_cast<uint32_t>(__float_as_int(x + 0.0f));
  return bits >> 31 ? ~bits : bits | 0x80000000u;
}

// What a filter keeps: larger keys, and this key up to the id `last`.
struct Cut {
  uint32_t key;
  int64_t last;
};
PT_SCALAR bool keeps(const Cut& cut, uint32_t key, int64_t id) {
  return key > cut.key || (key == cut.key && id <= cut.last);
}

struct Draws {
  const float* logits;  // of the group's rows, `stride` apart, as all that follows
  float *penalised, *weights;
  int32_t* ids;
  double* marks;  // `spans` + 1 of a row
  int64_t stride, spans, drawable;
  const float *inverse_temperatures, *top_p, *min_p, *penalties;
  const int32_t *top_k, *seen, *seen_starts;
  const double* uniforms;
};

template <class T>
struct Three {
  T at[3];
};
// A block's shared memory.
struct Room {
  double bins[BINS];
  Three<double> reduced[THREADS];
  double total;
  float tile[TILE];
  int32_t ids[TILE];
  uint32_t keys[TILE];
  int32_t counts[BINS];
  int32_t before[THREADS];
  Cut cut;
  int64_t found;
  int32_t done;
};

// combine over all threads, in any order.
template <class T, class Combine>
PT_SCALAR T reduce(Room& room, T mine, const Combine& combine) {
  T* const all = reinterpret_cast<T*>(room.reduced);
  all[threadIdx.x] = mine;
  __syncthreads();
  for (unsigned width = THREADS / 2; width > 0; width /= 2) {
    if (threadIdx.x < width) all[threadIdx.x] = combine(all[threadIdx.x], all[threadIdx.x + width]);
    __syncthreads();
  }
  const T result = all[0];
  __syncthreads();
  return result;
}

// The largest key at which `enough` holds of the sum over words with that key or a larger one; 0 where it holds nowhere. value(i, key): what word i
// adds; it holds at smaller keys where it holds at one.
template <class T, class Value, class Enough>
PT_SCALAR uint32_t largest_key(Room& room, const float* logits, float factor, int64_t count, const Value& value,
                               const Enough& enough) {
  uint32_t prefix = 0;
  for (int shift = 30; shift >= 0; shift -= 2) {
    Three<T> mine = {};
    for (int64_t i = threadIdx.x; i < count; i += THREADS) {
      const uint32_t key = order_key(logits[i] * factor);
      const T x = value(i, key);
#pragma unroll
      for (uint32_t c = 0; c < 3; c++)
        if (key >= (prefix | (c + 1) << shift)) mine.at[c] += x;
    }
    const Three<T> all = reduce(room, mine, [](const Three<T>& a, const Three<T>& b) {
      return Three<T>{{a.at[0] + b.at[0], a.at[1] + b.at[1], a.at[2] + b.at[2]}};
    });
    uint32_t digit = 0;
    for (uint32_t c = 0; c < 3; c++)
      if (enough(prefix | (c + 1) << shift, all.at[c])) digit = c + 1;
    prefix |= digit << shift;
  }
  return prefix;
}

// The words that are kept, in ascending order, to ids. Returns how many.
template <class Keep>
PT_SCALAR int64_t compact(Room& room, int32_t* ids, int64_t count, const Keep& keep) {
  const int64_t each = ceil_div(count, THREADS), begin = threadIdx.x * each, end = smaller(count, begin + each);
  int32_t mine = 0;
  for (int64_t i = begin; i < end; i++) mine += keep(i) ? 1 : 0;
  room.before[threadIdx.x] = mine;
  __syncthreads();
  if (threadIdx.x == 0) {
    int32_t sum = 0;
    for (int t = 0; t < THREADS; t++) {
      const int32_t here = room.before[t];
      room.before[t] = sum;
      sum += here;
    }
    room.found = sum;
  }
  __syncthreads();
  int64_t at = room.before[threadIdx.x];
  for (int64_t i = begin; i < end; i++)
    if (keep(i)) ids[at++] = static_cast<int32_t>(i);
  const int64_t all = room.found;
  __syncthreads();
  return all;
}

// Words in ascending order: of ids, or all.
struct Words {
  const int32_t* ids;
  int64_t count;
};
PT_SCALAR int64_t word(const Words& words, int64_t i) { return words.ids ? words.ids[i] : i; }

// Weights and ids of words from `begin` on into the tile; returns how many.
PT_SCALAR int bring(Room& room, const Words& words, const float* weights, int64_t begin) {
  const auto count = static_cast<int>(smaller(TILE, words.count - begin));
  for (int i = static_cast<int>(threadIdx.x); i < count; i += THREADS) {
    const int64_t id = word(words, begin + i);
    room.tile[i] = weights[id];
    room.ids[i] = static_cast<int32_t>(id);
  }
  return count;
}

// The sum of a block of SPAN weights at most, that begins at a multiple of 16 bytes.
PT_SCALAR double sum_block(const float* weights, int64_t count) {
  double sum = 0.0;
  int64_t i = 0;
  for (; i + 4 <= count; i += 4) {
    const float4 w = load4(weights + i);
    sum += w.x;
    sum += w.y;
    sum += w.z;
    sum += w.w;
  }
  for (; i < count; i++) sum += weights[i];
  return sum;
}

// The sum of the weights. Of all words, marks[s] is that of the first s blocks.
PT_SCALAR double add_up(Room& room, const Words& words, const float* weights, double* marks) {
  if (words.ids == nullptr) {
    const int64_t spans = ceil_div(words.count, SPAN);
    for (int64_t s = threadIdx.x; s < spans; s += THREADS)
      marks[s + 1] = sum_block(weights + s * SPAN, smaller(SPAN, words.count - s * SPAN));
    __syncthreads();
    if (threadIdx.x == 0) {
      marks[0] = 0.0;
      for (int64_t s = 0; s < spans; s++) marks[s + 1] = marks[s] + marks[s + 1];
    }
    __syncthreads();
    return marks[spans];
  }
  BlockSum sum = sum_from(0.0, 0);  // thread 0's
  for (int64_t begin = 0; begin < words.count; begin += TILE) {
    const int count = bring(room, words, weights, begin);
    __syncthreads();
    for (int i = 0; threadIdx.x == 0 && i < count; i++) add_weight(sum, room.ids[i], room.tile[i]);
    __syncthreads();
  }
  if (threadIdx.x == 0) room.total = total_of(sum);
  __syncthreads();
  const double total = room.total;
  __syncthreads();
  return total;
}

// The cut at which the weight of what lies above it, in descending order of the logits, reaches `target`; `from` where it never does. 11, 11 and 10
// bits of the key at a time, as the cpu: sums of bins, then of words.
PT_SCALAR Cut cut_at(Room& room, const Words& words, const float* logits, float factor, const float* weights,
                     const Cut& from, double target) {
  double above = 0.0;  // thread 0's
  uint32_t prefix = 0;
  if (threadIdx.x == 0) room.done = 0, room.cut = from;
  __syncthreads();
  for (int level = 1; level <= 4; level++) {
    if (room.done) break;
    const int shift = level == 1 ? 21 : level == 2 ? 10 : 0, width = level == 3 ? 10 : 11;
    for (int i = static_cast<int>(threadIdx.x); i < BINS; i += THREADS) room.bins[i] = 0.0, room.counts[i] = 0;
    for (int64_t begin = 0; begin < words.count; begin += TILE) {
      const int count = bring(room, words, weights, begin);
      for (int i = static_cast<int>(threadIdx.x); i < count; i += THREADS)
        room.keys[i] = order_key(logits[room.ids[i]] * factor);
      __syncthreads();
      for (int i = 0; threadIdx.x == 0 && i < count; i++) {
        const uint32_t key = room.keys[i];
        if (level == 4) {
          if (key != prefix) continue;
          above += room.tile[i];
          if (!(above >= target)) continue;
          room.cut = {prefix, room.ids[i]};
          room.done = 1;
          break;
        }
        if (static_cast<uint64_t>(key) >> (shift + width) != prefix) continue;
        const uint32_t bin = (key >> shift) & ((1u << width) - 1u);
        room.bins[bin] += room.tile[i];
        room.counts[bin]++;
      }
      __syncthreads();
      if (room.done) break;
    }
    __syncthreads();
    if (threadIdx.x == 0 && level < 4) {
      int bin = BINS - 1;
      while (bin >= 0 && !(room.counts[bin] && above + room.bins[bin] >= target)) above += room.bins[bin--];
      if (bin < 0) room.done = 1;
      prefix = prefix << width | static_cast<uint32_t>(bin < 0 ? 0 : bin);
    }
    __syncthreads();
  }
  const Cut cut = room.cut;
  __syncthreads();
  return cut;
}

// The first word at which the cumulative weight exceeds uniform * total; the last that has weight if none does, -1 if none has.
PT_SCALAR int64_t invert(Room& room, const Words& words, const float* weights, const double* marks, double total,
                         double uniform) {
  const double threshold = uniform * total;
  int64_t first = 0;  // of all words, where the block begins that it lies in
  if (words.ids == nullptr)
    while (first + SPAN < words.count && !(marks[first / SPAN + 1] > threshold)) first += SPAN;
  BlockSum cumulative = sum_from(words.ids == nullptr ? marks[first / SPAN] : 0.0, first);  // thread 0's
  if (threadIdx.x == 0) room.found = -1;
  for (int64_t begin = first; begin < words.count; begin += TILE) {
    const int count = bring(room, words, weights, begin);
    __syncthreads();
    for (int i = 0; threadIdx.x == 0 && i < count; i++) {
      if (!(room.tile[i] > 0.0f)) continue;
      add_weight(cumulative, room.ids[i], room.tile[i]);
      if (!(total_of(cumulative) > threshold)) continue;
      room.found = room.ids[i];
      break;
    }
    __syncthreads();
    if (room.found >= 0) break;
  }
  __syncthreads();
  const int64_t found = room.found;
  if (found >= 0) return found;
  int64_t last = -1;
  for (int64_t i = threadIdx.x; i < words.count; i += THREADS) {
    const int64_t id = word(words, i);
    if (weights[id] > 0.0f) last = id;
  }
  return reduce(room, last, [](int64_t a, int64_t b) { return a > b ? a : b; });
}

// The token of a row; the same for all threads.
PT_SCALAR int64_t draw(Room& room, const Draws& d, int64_t row) {
  const int64_t count = d.drawable, at = row * d.stride;
  const float factor = d.inverse_temperatures[row], top_p = d.top_p[row], min_p = d.min_p[row];
  const float penalty = d.penalties[row];
  const int32_t top_k = d.top_k[row];
  const float* logits = d.logits + at;
  float* const weights = d.weights + at;
  int32_t* const ids = d.ids + at;
  double* const marks = d.marks + row * (d.spans + 1);
  const int32_t seen_end = d.seen_starts[row + 1];
  if (d.seen_starts[row] < seen_end && penalty != 1.0f) {
    float* const own = d.penalised + at;
    for (int64_t i = threadIdx.x; i < count; i += THREADS) own[i] = logits[i];
    __syncthreads();
    for (int64_t s = d.seen_starts[row] + static_cast<int64_t>(threadIdx.x); s < seen_end; s += THREADS) {
      const int64_t id = d.seen[s];
      if (id < count) own[id] = logits[id] > 0.0f ? logits[id] / penalty : logits[id] * penalty;
    }
    __syncthreads();
    logits = own;
  }

  float top = -__int_as_float(0x7f800000);
  for (int64_t i = threadIdx.x; i < count; i += THREADS) top = larger(logits[i], top);
  top = reduce(room, top, [](float a, float b) { return larger(a, b); });
  int64_t first = count;  // the lowest of the largest
  for (int64_t i = threadIdx.x; i < count && first == count; i += THREADS)
    if (logits[i] == top) first = i;
  first = reduce(room, first, [](int64_t a, int64_t b) { return smaller(a, b); });
  if (first == count) first = 0;
  if (factor == 0.0f) return first;

  const float largest = top * factor;
  for (int64_t i = threadIdx.x; i < count; i += THREADS) weights[i] = exp_one(logits[i] * factor - largest);
  __syncthreads();
  Words words = {nullptr, count};
  const bool by_rank = top_k > 0 && top_k < count;
  if (by_rank || top_p < 1.0f || min_p > 0.0f) {
    const auto key_of = [&](int64_t i) { return order_key(logits[i] * factor); };
    Cut cut = {0, count};
    if (by_rank)
      cut.key = largest_key<int32_t>(
          room, logits, factor, count, [](int64_t, uint32_t) { return 1; },
          [&](uint32_t, int32_t n) { return n >= top_k; });
    if (top_p < 1.0f) {
      if (by_rank) words = {ids, compact(room, ids, count, [&](int64_t i) { return keeps(cut, key_of(i), i); })};
      const double target = top_p * add_up(room, words, weights, marks);
      uint32_t highest = 0;
      for (int64_t i = threadIdx.x; i < count; i += THREADS)
        if (keeps(cut, key_of(i), i) && key_of(i) > highest) highest = key_of(i);
      highest = reduce(room, highest, [](uint32_t a, uint32_t b) { return a > b ? a : b; });
      // Words from here on weigh enough in any order of summation, so that the cut, and every bin that it looks at, lies among them.
      const double enough = target * (1.0 + 1e-6);
      const uint32_t lowest = largest_key<double>(
          room, logits, factor, count,
          [&](int64_t i, uint32_t key) { return keeps(cut, key, i) ? static_cast<double>(weights[i]) : 0.0; },
          [&](uint32_t key, double sum) { return key <= highest && sum >= enough; });
      const auto above = [&](int64_t i) {
        const uint32_t key = key_of(i);
        return key >= lowest && keeps(cut, key, i);
      };
      words = {ids, compact(room, ids, count, above)};
      cut = cut_at(room, words, logits, factor, weights, cut, target);
    }
    const auto kept = [&](int64_t i) { return keeps(cut, key_of(i), i) && !(weights[i] < min_p); };
    words = {ids, compact(room, ids, count, kept)};
  }
  const double total = add_up(room, words, weights, marks);
  const int64_t token = invert(room, words, weights, marks, total, d.uniforms[row]);
  return token >= 0 ? token : first;
}

PT_SCALAR float factor_of(float inverse_temperature) {
  return inverse_temperature == 0.0f ? 1.0f : inverse_temperature;
}

__global__ void __launch_bounds__(THREADS)
    draw_kernel(const Note* note, Draws d, int32_t* tokens, float* log_prob, float* entropy,
                const LogitStatistics* statistics, int64_t blocks) {
  PT_DYNAMIC_SHARED(Room, room);
  if (failed(note)) return;
  const int64_t row = blockIdx.x, token = draw(*room, d, row);
  if (threadIdx.x > 0) return;
  const LogitStatistics s = merge_blocks(statistics + row * blocks, blocks);
  tokens[row] = static_cast<int32_t>(token);
  log_prob[row] = log_probability(s, d.logits[row * d.stride + token] * factor_of(d.inverse_temperatures[row]));
  entropy[row] = entropy_of(s);
}

__global__ void sampled_statistics_kernel(LogitStatistics* statistics, const float* logits, int64_t stride,
                                          const float* inverse_temperatures, int64_t rows, int64_t columns,
                                          int64_t blocks) {
  const int64_t i = (static_cast<int64_t>(blockIdx.x) * THREADS + threadIdx.x) / 16;
  const bool there = i < rows * blocks;  // half warps behind the last go along: shuffles are of whole warps
  const int64_t row = there ? i / blocks : 0, block = there ? i % blocks : 0;
  const int64_t begin = block * VOCABULARY_BLOCK, count = smaller(VOCABULARY_BLOCK, columns - begin);
  const LogitStatistics s =
      block_statistics(logits + row * stride + begin, count, begin, factor_of(inverse_temperatures[row]));
  if (there && threadIdx.x % 16 == 0) statistics[row * blocks + block] = s;
}

}  // namespace

int sample_forward(const pt_context* ctx, pt_tensor tokens, pt_tensor log_prob, pt_tensor entropy, pt_tensor x,
                   pt_tensor weight, pt_tensor inverse_temperatures, pt_tensor top_k, pt_tensor top_p, pt_tensor min_p,
                   pt_tensor penalties, pt_tensor seen, pt_tensor seen_starts, pt_tensor uniforms, int64_t drawable) {
  if (prepare(ctx, &x, weight)) return 1;
  const int64_t M = x.dims[0], V = weight.dims[0];
  if (drawable < 1 || drawable > V) {
    ctx->fail(ctx, "drawable is %lld, but weight has %lld rows", static_cast<long long>(drawable),
              static_cast<long long>(V));
    return 1;
  }
  if (check_seen(ctx, seen, seen_starts, V)) return 1;
  if (M == 0) return 0;
  const int64_t blocks = ceil_div(V, VOCABULARY_BLOCK), stride = ceil_div(V, 4) * 4, spans = ceil_div(V, SPAN);
  const int64_t held = LOGITS_BYTES / (stride * 4), group_rows = smaller(M, held > ROWS ? held : ROWS);
  const auto take = [&](int64_t bytes) { return static_cast<char*>(ctx->scratch(ctx, group_rows * bytes)); };
  auto* logits = reinterpret_cast<float*>(take(4 * stride * 4));
  auto* marks = reinterpret_cast<double*>(take((spans + 1) * 8));
  auto* statistics = reinterpret_cast<LogitStatistics*>(take(blocks * static_cast<int64_t>(sizeof(LogitStatistics))));
  if (!logits || !marks || !statistics) return 1;
  const int64_t all = group_rows * stride;
  for (int64_t first = 0; first < M; first += group_rows) {
    const int64_t rows = smaller(group_rows, M - first);
    const Draws draws = {logits,
                         logits + all,
                         logits + 2 * all,
                         reinterpret_cast<int32_t*>(logits + 3 * all),
                         marks,
                         stride,
                         spans,
                         drawable,
                         f32(inverse_temperatures) + first,
                         f32(top_p) + first,
                         f32(min_p) + first,
                         f32(penalties) + first,
                         i32(top_k) + first,
                         i32(seen),
                         i32(seen_starts) + first,
                         f64(uniforms) + first};
    if (project(ctx, logits, stride, x, first, rows, weight, 0, V) ||
        launch<sampled_statistics_kernel>(ctx, {count_of(ceil_div(rows * blocks * 16, THREADS)), THREADS}, statistics,
                                          logits, stride, draws.inverse_temperatures, rows, V, blocks) ||
        launch<draw_kernel>(ctx, {count_of(rows), THREADS, static_cast<int64_t>(sizeof(Room))}, note_of(ctx), draws,
                            i32(tokens) + first, f32(log_prob) + first, f32(entropy) + first, statistics, blocks))
      return 1;
  }
  return 0;
}

}  // namespace pt_cuda
