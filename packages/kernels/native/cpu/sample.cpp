// Draws one token per row from softmax(z), z = (x . w) * inverse_temperature, after repetition penalty, temperature, top-k, top-p and
// min-p in this order (Hugging Face's), among the first `drawable` rows of the weight.
//   penalty  logits of seen ids: z / p where z > 0, else z * p, before the temperature
//   top-k    keeps z >= the k-th largest, ties included
//   top-p    keeps the fewest tokens, by z descending then id ascending, whose share of the weight left by top-k reaches p
//   min-p    keeps exp(z - largest) >= min_p
// The draw inverts the cumulative weight in ascending id order, in double, summed by blocks of ids (block_sum.h). inverse_temperature 0 is greedy: the lowest id of the
// largest logit. log_prob and entropy are those of token_log_probs, of all rows of the weight and before every filter but the
// temperature (greedy: temperature 1).
#include "block_sum.h"
#include "rows.h"
#include "token_log_probs.h"

namespace PT_NAMESPACE {
namespace {

// Of logits held at a time, but for at least ROWS rows. Each time all weights are read and packed.
constexpr int64_t LOGITS_BYTES = 64 << 20;
constexpr int64_t ROWS = 16;

// Ascending with x; -0 as +0, NaN above or below everything.
PT_INLINE uint32_t order_key(float x) {
  x += 0.0f;
  uint32_t bits;
  memcpy(&bits, &x, sizeof bits);
  return bits >> 31 ? ~bits : bits | 0x80000000u;
}

// What a filter keeps: larger keys, and this key up to the id `last`.
struct Cut {
  uint32_t key;
  int64_t last;
};
PT_INLINE bool keeps(const Cut& cut, uint32_t key, int64_t id) {
  return key > cut.key || (key == cut.key && id <= cut.last);
}

constexpr int BINS = 2048;
struct Histogram {
  double weight[BINS];
  int32_t count[BINS];
};

// What is drawn from: logits after the penalty and the temperature, their weights exp(z - largest), 0 once a filter dropped them.
// Ids ascend; null: 0, 1, 2, ...
struct Choices {
  float* z;
  float* weights;
  const int32_t* ids;
  int64_t count;
  int64_t id(int64_t i) const { return ids ? ids[i] : i; }
};

// The cut at which the weight of what lies above it, taken in descending order of the logits, reaches `target`; `from` where it
// never does. 11, 11 and 10 bits of the key at a time: the choices are walked four times and nothing is sorted.
template <class Weight>
Cut cut_at(const Choices& c, const Cut& from, double target, Histogram& bins, const Weight& weight) {
  double above = 0.0;
  uint32_t prefix = 0;
  const int shifts[] = {32, 21, 10, 0};
  for (int level = 1; level <= 3; level++) {
    const int shift = shifts[level];
    memset(&bins, 0, sizeof bins);
    for (int64_t i = 0; i < c.count; i++) {
      const uint32_t key = order_key(c.z[i]);
      if (static_cast<uint64_t>(key) >> shifts[level - 1] != prefix || !keeps(from, key, c.id(i))) continue;
      const uint32_t bin = (key >> shift) & ((1u << (shifts[level - 1] - shift)) - 1u);
      bins.weight[bin] += weight(i);
      bins.count[bin]++;
    }
    int bin = BINS - 1;
    while (bin >= 0 && !(bins.count[bin] && above + bins.weight[bin] >= target)) above += bins.weight[bin--];
    if (bin < 0) return from;
    prefix = prefix << (shifts[level - 1] - shift) | static_cast<uint32_t>(bin);
  }
  for (int64_t i = 0; i < c.count; i++) {
    if (order_key(c.z[i]) != prefix || !keeps(from, prefix, c.id(i))) continue;
    above += weight(i);
    if (above >= target) return {prefix, c.id(i)};
  }
  return from;
}

struct Filters {
  float inverse_temperature;
  int32_t top_k;
  float top_p, min_p;
  double uniform;
  int64_t drawable;
  bool by_rank() const { return top_k > 0 && top_k < drawable; }
  bool any() const { return by_rank() || top_p < 1.0f || min_p > 0.0f; }
};
PT_INLINE double one(int64_t) { return 1.0; }

// Drops what the filters do not keep.
void filter(const Choices& c, const Filters& f, Histogram& bins) {
  Cut cut = {0, f.drawable};
  if (f.by_rank()) cut = {cut_at(c, cut, f.top_k, bins, one).key, f.drawable};
  if (f.top_p < 1.0f) {
    BlockSum total = sum_from(0.0, 0);
    for (int64_t i = 0; i < c.count; i++)
      if (keeps(cut, order_key(c.z[i]), c.id(i))) add_weight(total, c.id(i), c.weights[i]);
    cut = cut_at(c, cut, f.top_p * total_of(total), bins, [&](int64_t i) { return static_cast<double>(c.weights[i]); });
  }
  for (int64_t i = 0; i < c.count; i++)
    if (!keeps(cut, order_key(c.z[i]), c.id(i)) || c.weights[i] < f.min_p) c.weights[i] = 0.0f;
}

// The logits after the repetition penalty: in `room`, or where they are.
const float* penalised(const float* logits, float* room, int64_t count, float penalty, const int32_t* seen,
                       const int32_t* seen_end) {
  if (seen == seen_end || penalty == 1.0f) return logits;
  memcpy(room, logits, count * sizeof(float));
  for (; seen < seen_end; seen++)
    if (*seen < count) room[*seen] = logits[*seen] > 0.0f ? logits[*seen] / penalty : logits[*seen] * penalty;
  return room;
}

// The largest logit (minus infinity if all are NaN), and of each lane in each span; whether all logits are finite.
struct Largest {
  float all;
  bool finite;
};
Largest largest_of(const float* logits, int64_t count, float* of_lanes) {
  const f32x16 none = splat(-__builtin_inff());
  f32x16 all = none, zero = splat(0.0f);  // NaN once there was an infinity or NaN
  for (int64_t start = 0; start < count; start += SPAN) {
    f32x16 largest = none;
    for (int64_t i = start; i < smaller(count, start + SPAN); i += LANES) {
      const int64_t n = count - i;
      const f32x16 x = n >= LANES ? load(logits + i) : load_first(logits + i, n);
      zero = fma(x, splat(0.0f), zero);
      largest = max(n >= LANES ? x : keep_first(x, n, -__builtin_inff()), largest);
    }
    store(of_lanes + start / SPAN * LANES, largest);
    all = max(largest, all);
  }
  return {reduce_max(all), reduce_add(zero) == 0.0f};
}

// The choices that top-k may keep, from the logits after the penalty: those that reach the k-th largest of the largest of lanes,
// which is no larger than the k-th largest of all. None where that would leave out little. Logits are finite.
Choices pick(const Choices& c, int32_t* ids, const float* logits, float* of_lanes, const Filters& f, Histogram& bins) {
  Choices few = {c.z, c.weights, ids, 0};
  const int64_t lanes = ceil_div(c.count, SPAN) * LANES;
  if (f.top_k > lanes / 2) return few;
  for (int64_t i = 0; i < lanes; i++) of_lanes[i] = of_lanes[i] * f.inverse_temperature;
  const uint32_t key = cut_at({of_lanes, nullptr, nullptr, lanes}, {0, lanes}, f.top_k, bins, one).key;
  const uint32_t bits = key >> 31 ? key & 0x7fffffffu : ~key;
  float bound;
  memcpy(&bound, &bits, sizeof bound);
  for (int64_t i = 0; i < c.count; i += LANES) {
    const int64_t n = smaller(LANES, c.count - i);
    const f32x16 z = mul(n == LANES ? load(logits + i) : load_first(logits + i, n), splat(f.inverse_temperature));
    if (first_equal(max(z, splat(bound)), z) == LANES) continue;
    for (int64_t j = i; j < i + n; j++) {
      if (logits[j] * f.inverse_temperature < bound) continue;
      ids[few.count] = static_cast<int32_t>(j);
      few.z[few.count++] = logits[j];  // which may be the same memory, further up
    }
  }
  return few;
}

// Weights, and z if there are filters, from the logits after the penalty. largest: of z.
void weigh(const Choices& c, const float* logits, float largest, const Filters& f) {
  const f32x16 factor = splat(f.inverse_temperature), shift = splat(largest);
  const bool keep = f.any();
  for (int64_t i = 0; i < c.count; i += LANES) {
    const int64_t n = smaller(LANES, c.count - i);
    const f32x16 z = mul(n == LANES ? load(logits + i) : load_first(logits + i, n), factor);
    if (keep) store_first(c.z + i, z, n);
    store_first(c.weights + i, exp(sub(z, shift)), n);
  }
}

constexpr int TOGETHER =
    4;  // rows whose sums run side by side: each is one chain of additions, which take several cycles

// marks[r][s]: the sum of the first s blocks of row r's weights, the last one that of all.
void add_up(const float* const* weights, double* const* marks, int64_t count) {
  const float *wa = weights[0], *wb = weights[1], *wc = weights[2], *wd = weights[3];
  for (int64_t r = 0; r < TOGETHER; r++) marks[r][0] = 0.0;
  for (int64_t start = 0, mark = 0; start < count; start += SPAN, mark++) {
    double a = 0.0, b = 0.0, c = 0.0, d = 0.0;
    const int64_t end = smaller(count, start + SPAN);
    for (int64_t i = start; i < end; i++) a += wa[i], b += wb[i], c += wc[i], d += wd[i];
    const double sums[] = {a, b, c, d};
    for (int64_t r = 0; r < TOGETHER; r++) marks[r][mark + 1] = marks[r][mark] + sums[r];
  }
}

// The first choice, of those from the first-th on, at which the cumulative weight exceeds the threshold; the last that has weight if none does, -1 if
// none has.
int64_t invert(const Choices& c, int64_t first, BlockSum cumulative, double threshold) {
  for (int64_t i = first; i < c.count; i++) {
    if (!(c.weights[i] > 0.0f)) continue;
    add_weight(cumulative, c.id(i), c.weights[i]);
    if (total_of(cumulative) > threshold) return c.id(i);
  }
  for (int64_t i = c.count - 1; i >= 0; i--)
    if (c.weights[i] > 0.0f) return c.id(i);
  return -1;
}
// The same of all words, whose sums are there: nothing before the block that it lies in is walked.
int64_t invert_all(const Choices& c, const double* marks, double uniform) {
  const int64_t spans = ceil_div(c.count, SPAN);
  const double threshold = uniform * marks[spans];
  int64_t span = 0;
  while (span + 1 < spans && !(marks[span + 1] > threshold)) span++;
  return invert(c, span * SPAN, sum_from(marks[span], span * SPAN), threshold);
}
int64_t invert_few(const Choices& c, double uniform) {
  BlockSum total = sum_from(0.0, 0);
  for (int64_t i = 0; i < c.count; i++) add_weight(total, c.id(i), c.weights[i]);
  return invert(c, 0, sum_from(0.0, 0), uniform * total_of(total));
}

// A thread's memory for TOGETHER rows.
struct Room {
  char* memory;
  int64_t stride, spans;
  int64_t bytes() const {
    return ((2 * TOGETHER + 1) * stride + spans * LANES) * sizeof(float) + TOGETHER * (spans + 1) * sizeof(double) +
           sizeof(Histogram);
  }
  float* z(int64_t row) const { return reinterpret_cast<float*>(memory) + row * 2 * stride; }
  float* weights(int64_t row) const { return z(row) + stride; }
  int32_t* ids() const { return reinterpret_cast<int32_t*>(z(TOGETHER)); }  // of one row
  float* of_lanes() const { return z(TOGETHER) + stride; }
  double* marks(int64_t row) const { return reinterpret_cast<double*>(of_lanes() + spans * LANES) + row * (spans + 1); }
  Histogram& bins() const { return *reinterpret_cast<Histogram*>(marks(TOGETHER)); }
};

// Rows whose logits are there, in and out.
struct Draws {
  int64_t rows;
  const float* logits[TOGETHER];
  const LogitStatistics* blocks[TOGETHER];  // of the vocabulary
  Filters filters[TOGETHER];
  float penalty[TOGETHER];
  const int32_t *seen[TOGETHER], *seen_end[TOGETHER];
  int64_t token[TOGETHER];
};

// The largest z of a row whose logits are as the statistics saw them: the blocks of which some words cannot be drawn are walked.
float largest_z(const LogitStatistics* blocks, const float* logits, const Filters& f, float* of_lanes) {
  const int64_t whole = f.drawable / VOCABULARY_BLOCK, rest = whole * VOCABULARY_BLOCK;
  float largest = largest_of(logits + rest, f.drawable - rest, of_lanes).all * f.inverse_temperature;
  for (int64_t b = 0; b < whole; b++)
    if (blocks[b].maximum > largest) largest = blocks[b].maximum;
  return largest;
}

void draw(Draws& d, const Room& room) {
  Choices open[TOGETHER];  // all words, for the rows that draw from them
  int64_t row_of[TOGETHER], opened = 0;
  for (int64_t r = 0; r < d.rows; r++) {
    const Filters& f = d.filters[r];
    Choices c = {room.z(opened), room.weights(opened), nullptr, f.drawable};
    const float* logits = penalised(d.logits[r], c.z, c.count, d.penalty[r], d.seen[r], d.seen_end[r]);
    d.token[r] = -1;
    bool all = true;
    float largest;
    if (f.inverse_temperature == 0.0f || f.by_rank() || logits != d.logits[r]) {
      const Largest found = largest_of(logits, c.count, room.of_lanes());
      d.token[r] = first_product(logits, c.count, 1.0f, found.all);
      if (f.inverse_temperature == 0.0f) continue;
      largest = found.all * f.inverse_temperature;
      if (f.by_rank() && found.finite) {
        const Choices few = pick(c, room.ids(), logits, room.of_lanes(), f, room.bins());
        if (few.count > 0) all = false, c = few, logits = few.z;
      }
    } else {
      largest = largest_z(d.blocks[r], logits, f, room.of_lanes());
    }
    weigh(c, logits, largest, f);
    if (f.any()) filter(c, f, room.bins());
    if (all) {
      open[opened] = c;
      row_of[opened++] = r;
      continue;
    }
    const int64_t token = invert_few(c, f.uniform);
    if (token >= 0) d.token[r] = token;
  }
  if (opened == 0) return;
  const float* weights[TOGETHER];
  double* marks[TOGETHER];
  for (int64_t i = 0; i < TOGETHER; i++) {
    weights[i] = open[i < opened ? i : 0].weights;
    marks[i] = room.marks(i);
  }
  add_up(weights, marks, open[0].count);
  for (int64_t i = 0; i < opened; i++) {
    const int64_t r = row_of[i], token = invert_all(open[i], marks[i], d.filters[r].uniform);
    if (token >= 0) d.token[r] = token;
    if (d.token[r] < 0)  // nothing has weight: the first of the largest
      d.token[r] =
          first_product(d.logits[r], open[i].count, 1.0f, largest_of(d.logits[r], open[i].count, room.of_lanes()).all);
  }
}

int check_seen(const pt_context* ctx, pt_tensor seen, pt_tensor starts, int64_t rows, int64_t vocabulary) {
  const int32_t* at = i32(starts);
  for (int64_t row = 0; row < rows; row++) {
    if (at[row] >= 0 && at[row] <= at[row + 1] && at[row + 1] <= elements(seen)) continue;
    ctx->fail(ctx, "seen_starts[%lld] to [%lld] is %d to %d, but seen has %lld ids", static_cast<long long>(row),
              static_cast<long long>(row + 1), static_cast<int>(at[row]), static_cast<int>(at[row + 1]),
              static_cast<long long>(elements(seen)));
    return 1;
  }
  return check_rows(ctx, seen, vocabulary, "seen", "weight");
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
  if (check_seen(ctx, seen, seen_starts, M, V)) return 1;
  if (M == 0) return 0;
  const int64_t blocks = ceil_div(V, VOCABULARY_BLOCK);
  const int64_t stride = ceil_div(V, LANES) * LANES + LANES;
  const int64_t held = LOGITS_BYTES / static_cast<int64_t>(stride * sizeof(float));
  const int64_t group_rows = ceil_div(M, ceil_div(M, held > ROWS ? held : ROWS));
  // While logits are made, a thread's scratch holds packed panels; while tokens are drawn, logits and weights of rows.
  const Room size = {nullptr, stride, ceil_div(V, SPAN)};
  const int64_t drawing = (size.bytes() + 63) / 64 * 64;
  const int64_t product_bytes = product_scratch(weight);
  const int64_t thread_bytes = drawing > product_bytes ? drawing : product_bytes;
  char* scratch = static_cast<char*>(ctx->scratch(ctx, ctx->threads * thread_bytes));
  auto* products = static_cast<float*>(ctx->scratch(ctx, group_rows * stride * sizeof(float)));
  auto* statistics = static_cast<LogitStatistics*>(ctx->scratch(ctx, group_rows * blocks * sizeof(LogitStatistics)));
  if (!scratch || !products || !statistics) return 1;

  for (int64_t group = 0; group < M; group += group_rows) {
    const int64_t rows = smaller(group_rows, M - group);
    const float* factors = f32(inverse_temperatures) + group;
    parallel(ctx, blocks, [&](int64_t block, int32_t thread) {
      const int64_t first = block * VOCABULARY_BLOCK, columns = smaller(VOCABULARY_BLOCK, V - first);
      project(ctx, products + first, stride, x, group, rows, weight, first, columns, scratch + thread * thread_bytes);
      for (int64_t row = 0; row < rows; row++)
        statistics[row * blocks + block] = block_statistics(products + row * stride + first, columns, first,
                                                            factors[row] == 0.0f ? 1.0f : factors[row]);
    });
    const int64_t together = smaller(TOGETHER, ceil_div(rows, ctx->threads));
    parallel(ctx, ceil_div(rows, together), [&](int64_t part, int32_t thread) {
      const int64_t begin = part * together, end = smaller(rows, begin + together);
      Draws draws;
      draws.rows = end - begin;
      for (int64_t r = 0; r < draws.rows; r++) {
        const int64_t row = begin + r, m = group + row;
        draws.logits[r] = products + row * stride;
        draws.blocks[r] = statistics + row * blocks;
        draws.filters[r] = {factors[row], i32(top_k)[m], f32(top_p)[m], f32(min_p)[m], f64(uniforms)[m], drawable};
        draws.penalty[r] = f32(penalties)[m];
        draws.seen[r] = i32(seen) + i32(seen_starts)[m];
        draws.seen_end[r] = i32(seen) + i32(seen_starts)[m + 1];
      }
      draw(draws, {scratch + thread * thread_bytes, stride, size.spans});
      for (int64_t r = 0; r < draws.rows; r++) {
        const int64_t row = begin + r, m = group + row, token = draws.token[r];
        const LogitStatistics s = merge_blocks(statistics + row * blocks, blocks);
        i32(tokens)[m] = static_cast<int32_t>(token);
        f32(log_prob)[m] = log_probability(s, draws.logits[r][token] * (factors[row] == 0.0f ? 1.0f : factors[row]));
        f32(entropy)[m] = entropy_of(s);
      }
    });
  }
  return 0;
}

}  // namespace PT_NAMESPACE
