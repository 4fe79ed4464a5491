// Draws one token per row from softmax(z), z = (x . w) * inverse_temperature, after repetition penalty, temperature, top-k, top-p and
// min-p in this order (Hugging Face's), among the first `drawable` rows of the weight.
//   penalty  logits of seen ids: z / p where z > 0, else z * p, before the temperature
//   top-k    keeps z >= the k-th largest, ties included
//   top-p    keeps the fewest tokens, by z descending then id ascending, whose share of the weight left by top-k reaches p
//   min-p    keeps exp(z - largest) >= min_p
// The draw inverts the cumulative weight in ascending id order, in double. inverse_temperature 0 is greedy: the lowest id of the
// largest logit. log_prob and entropy are those of token_log_probs, of all rows of the weight and before every filter but the
// temperature (greedy: temperature 1).
#include "rows.h"
#include "token_log_probs.h"

namespace PT_NAMESPACE {
namespace {

constexpr int64_t LOGITS_BYTES = 16 << 20;  // of logits held at a time, but for at least ROWS rows
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

// The cut at which the weight of what lies above it, taken in descending order of the logits, reaches `target`; `from` where it
// never does. 11, 11 and 10 bits of the key at a time: V is walked four times and nothing is sorted.
template <class Weight>
Cut cut_at(const float* z, int64_t count, const Cut& from, double target, Histogram& bins, const Weight& weight) {
  double above = 0.0;
  uint32_t prefix = 0;
  const int shifts[] = {32, 21, 10, 0};
  for (int level = 1; level <= 3; level++) {
    const int shift = shifts[level];
    memset(&bins, 0, sizeof bins);
    for (int64_t i = 0; i < count; i++) {
      const uint32_t key = order_key(z[i]);
      if (static_cast<uint64_t>(key) >> shifts[level - 1] != prefix || !keeps(from, key, i)) continue;
      const uint32_t bin = (key >> shift) & ((1u << (shifts[level - 1] - shift)) - 1u);
      bins.weight[bin] += weight(i);
      bins.count[bin]++;
    }
    int bin = BINS - 1;
    while (bin >= 0 && !(bins.count[bin] && above + bins.weight[bin] >= target)) above += bins.weight[bin--];
    if (bin < 0) return from;
    prefix = prefix << (shifts[level - 1] - shift) | static_cast<uint32_t>(bin);
  }
  for (int64_t i = 0; i < count; i++) {
    if (order_key(z[i]) != prefix || !keeps(from, prefix, i)) continue;
    above += weight(i);
    if (above >= target) return {prefix, i};
  }
  return from;
}

struct Filters {
  float inverse_temperature;
  int32_t top_k;
  float top_p, min_p;
  double uniform;
};

// z: logits after the penalty, before the temperature; overwritten. weights: room for as many floats.
int64_t draw(float* z, float* weights, int64_t count, const Filters& f, Histogram& bins) {
  int64_t best = 0;
  for (int64_t i = 1; i < count; i++)
    if (z[i] > z[best] || (z[best] != z[best] && z[i] == z[i])) best = i;
  if (f.inverse_temperature == 0.0f) return best;

  for (int64_t i = 0; i < count; i++) z[i] = z[i] * f.inverse_temperature;
  const f32x16 shift = splat(z[best]);
  for (int64_t i = 0; i < count; i += LANES) {
    const int64_t n = count - i;
    store_first(weights + i, exp(sub(load_first(z + i, smaller(n, LANES)), shift)), smaller(n, LANES));
  }

  Cut cut = {0, count};
  if (f.top_k > 0 && f.top_k < count) {
    cut = cut_at(z, count, cut, f.top_k, bins, [](int64_t) { return 1.0; });
    cut.last = count;
  }
  if (f.top_p < 1.0f) {
    double total = 0.0;
    for (int64_t i = 0; i < count; i++)
      if (keeps(cut, order_key(z[i]), i)) total += weights[i];
    cut = cut_at(z, count, cut, f.top_p * total, bins, [=](int64_t i) { return static_cast<double>(weights[i]); });
  }
  double total = 0.0;
  for (int64_t i = 0; i < count; i++) {
    if (!keeps(cut, order_key(z[i]), i) || weights[i] < f.min_p) weights[i] = 0.0f;
    total += weights[i];
  }
  const double threshold = f.uniform * total;
  double cumulative = 0.0;
  int64_t token = best;
  for (int64_t i = 0; i < count; i++) {
    if (!(weights[i] > 0.0f)) continue;
    token = i;
    cumulative += weights[i];
    if (cumulative > threshold) break;
  }
  return token;
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
  const int64_t group_rows = smaller(M, held > ROWS ? held : ROWS);
  // While logits are made, a thread's scratch holds packed panels; while tokens are drawn, a row's logits and weights.
  const int64_t drawing = (2 * stride * sizeof(float) + sizeof(Histogram) + 63) / 64 * 64;
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
    parallel(ctx, rows, [&](int64_t row, int32_t thread) {
      const int64_t m = group + row;
      const float* logits = products + row * stride;
      float* z = reinterpret_cast<float*>(scratch + thread * thread_bytes);
      memcpy(z, logits, drawable * sizeof(float));
      const float penalty = f32(penalties)[m];
      for (int32_t i = i32(seen_starts)[m]; i < i32(seen_starts)[m + 1]; i++) {
        const int32_t id = i32(seen)[i];
        z[id] = logits[id] > 0.0f ? logits[id] / penalty : logits[id] * penalty;
      }
      const Filters filters = {factors[row], i32(top_k)[m], f32(top_p)[m], f32(min_p)[m], f64(uniforms)[m]};
      const int64_t token = draw(z, z + stride, drawable, filters, *reinterpret_cast<Histogram*>(z + 2 * stride));
      const LogitStatistics s = merge_blocks(statistics + row * blocks, blocks);
      i32(tokens)[m] = static_cast<int32_t>(token);
      f32(log_prob)[m] = log_probability(s, logits[token] * (factors[row] == 0.0f ? 1.0f : factors[row]));
      f32(entropy)[m] = entropy_of(s);
    });
  }
  return 0;
}

}  // namespace PT_NAMESPACE
