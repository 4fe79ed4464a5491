// Log-probability of a target token per row, with entropy, log-sum-exp, mean logit and argmax: final projection, temperature,
// log-softmax and gather in one. Logits z_v = (x . w_v) * inverse_temperature are made in chunks and never held; every row of the
// weight takes part, padding too. How a row is summed: token_log_probs.h.
//   log_prob = z_target - log_sum_exp    entropy = log s - t / s, s = sum exp(z - m), t = sum exp(z - m) (z - m)
// Backward: dz_v = inverse_temperature * dlog_prob * ((v == target) - exp(z_v - log_sum_exp)) with the logits made again in the
// same order; dx = dz weight, summed over v by blocks; dweight += dz^T x, a chain over rows from the stored gradient.
#include "rows.h"
#include "token_log_probs.h"

namespace PT_NAMESPACE {
namespace {

constexpr int64_t GROUP_ROWS = 1024;  // statistics of their blocks are held: 40 bytes a block of 2,048 logits
constexpr int64_t CHUNK_ROWS = 256;   // by VOCABULARY_BLOCK logits for each thread
constexpr int64_t CHUNK_STRIDE = VOCABULARY_BLOCK + LANES;  // rows at multiples of 8 KB would share few cache sets
constexpr int64_t GRADIENT_ROWS = 1024;                     // by at least VOCABULARY_BLOCK gradients dz
constexpr int64_t GRADIENT_FLOATS = GRADIENT_ROWS * VOCABULARY_BLOCK;
static_assert(VOCABULARY_BLOCK % SUM_BLOCK == 0 && GRADIENT_ROWS % 32 == 0, "sums go on where blocks of them begin");

// The three products of the backward pass over a chunk. dz holds first products, rows `stride` apart, then gradients of logits: f32, or
// rounded to bf16 in the first half of each row.
void project_parallel(const pt_context* ctx, float* dz, int64_t stride, pt_tensor x, int64_t row, int64_t rows,
                      pt_tensor weight, int64_t first, int64_t columns, void* scratch) {
  const int64_t C = x.dims[1];
  if (is_bf16(weight))
    multiply_parallel(ctx,
                      {dz, true, stride, factor<bf16>(x, row), factor<bf16>(weight, first).transposed(), rows, columns,
                       C, false, nullptr},
                      scratch);
  else
    multiply_parallel(ctx,
                      {dz, stride, row_major(f32(x) + row * C, C), row_major(f32(weight) + first * C, C).transposed(),
                       rows, columns, C, Sum::blocks, nullptr},
                      scratch);
}
PT_INLINE Factor<bf16> rounded_half(const float* dz, int64_t stride) {
  return {reinterpret_cast<const bf16*>(dz), 2 * stride, 1};
}
// dx, of these rows, = or, after the first chunk of the vocabulary, += dz weight.
void add_dx(const pt_context* ctx, float* dx, const float* dz, int64_t stride, int64_t rows, pt_tensor weight,
            int64_t first, int64_t columns, void* scratch) {
  const int64_t C = weight.dims[1];
  if (is_bf16(weight))
    multiply_parallel(
        ctx, {dx, true, C, rounded_half(dz, stride), factor<bf16>(weight, first), rows, C, columns, first > 0, nullptr},
        scratch);
  else
    multiply_parallel(ctx,
                      {dx, C, row_major(dz, stride), row_major(f32(weight) + first * C, C), rows, C, columns,
                       first > 0 ? Sum::more_blocks : Sum::blocks, nullptr},
                      scratch);
}
// dweight, of these columns, += dz^T x.
void add_dweight(const pt_context* ctx, float* dweight, const float* dz, int64_t stride, int64_t rows, int64_t columns,
                 pt_tensor x, int64_t row, bool narrow, void* scratch) {
  const int64_t C = x.dims[1];
  if (narrow)
    multiply_parallel(ctx,
                      {dweight, true, C, rounded_half(dz, stride).transposed(), factor<bf16>(x, row), columns, C, rows,
                       true, nullptr},
                      scratch);
  else
    multiply_parallel(ctx,
                      {dweight, C, row_major(dz, stride).transposed(), row_major(f32(x) + row * C, C), columns, C, rows,
                       Sum::chain, nullptr},
                      scratch);
}

}  // namespace

int token_log_probs_forward(const pt_context* ctx, pt_tensor log_prob, pt_tensor entropy, pt_tensor log_sum_exp,
                            pt_tensor mean_logit, pt_tensor argmax, pt_tensor x, pt_tensor weight, pt_tensor targets,
                            double inverse_temperature) {
  if (prepare(ctx, &x, weight)) return 1;
  const int64_t M = x.dims[0], V = weight.dims[0];
  if (check_rows(ctx, targets, V, "targets", "weight")) return 1;
  if (M == 0) return 0;
  const float factor = static_cast<float>(inverse_temperature);
  const int64_t blocks = ceil_div(V, VOCABULARY_BLOCK);
  const int64_t group_rows = smaller(M, GROUP_ROWS), chunk_rows = smaller(M, CHUNK_ROWS);
  const int64_t product_bytes = product_scratch(weight);
  const int64_t thread_bytes = product_bytes + chunk_rows * CHUNK_STRIDE * sizeof(float);
  char* scratch = static_cast<char*>(ctx->scratch(ctx, ctx->threads * thread_bytes));
  auto* statistics = static_cast<LogitStatistics*>(ctx->scratch(ctx, group_rows * blocks * sizeof(LogitStatistics)));
  auto* target_logits = static_cast<float*>(ctx->scratch(ctx, group_rows * sizeof(float)));
  if (!scratch || !statistics || !target_logits) return 1;

  for (int64_t group = 0; group < M; group += GROUP_ROWS) {
    const int64_t rows = smaller(GROUP_ROWS, M - group);
    const int64_t chunks = ceil_div(rows, CHUNK_ROWS);
    parallel(ctx, blocks * chunks, [&](int64_t i, int32_t thread) {
      const int64_t block = i / chunks, chunk = i % chunks;
      const int64_t begin = chunk * rows / chunks, end = (chunk + 1) * rows / chunks;
      const int64_t first = block * VOCABULARY_BLOCK, columns = smaller(VOCABULARY_BLOCK, V - first);
      float* logits = reinterpret_cast<float*>(scratch + thread * thread_bytes + product_bytes);
      project(ctx, logits, CHUNK_STRIDE, x, group + begin, end - begin, weight, first, columns,
              scratch + thread * thread_bytes);
      for (int64_t row = begin; row < end; row++) {
        const float* products = logits + (row - begin) * CHUNK_STRIDE;
        statistics[row * blocks + block] = block_statistics(products, columns, first, factor);
        const int64_t target = i32(targets)[group + row] - first;
        if (target >= 0 && target < columns) target_logits[row] = products[target] * factor;
      }
    });
    parallel_ranges(ctx, rows, 16, [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; row++) {
        const LogitStatistics s = merge_blocks(statistics + row * blocks, blocks);
        f32(log_prob)[group + row] = log_probability(s, target_logits[row]);
        f32(entropy)[group + row] = entropy_of(s);
        f32(log_sum_exp)[group + row] = log_sum_exp_of(s);
        f32(mean_logit)[group + row] = static_cast<float>(s.total / static_cast<double>(V));
        i32(argmax)[group + row] = static_cast<int32_t>(s.argmax);
      }
    });
  }
  return 0;
}

int token_log_probs_backward(const pt_context* ctx, pt_tensor dx, pt_tensor dweight, pt_tensor dlog_prob, pt_tensor x,
                             pt_tensor weight, pt_tensor targets, pt_tensor log_sum_exp, double inverse_temperature) {
  if (prepare(ctx, &x, weight)) return 1;
  const int64_t M = x.dims[0], C = x.dims[1], V = weight.dims[0];
  if (check_rows(ctx, targets, V, "targets", "weight")) return 1;
  if (M == 0) return 0;
  const float factor = static_cast<float>(inverse_temperature);
  // Few rows take more of the vocabulary at a time.
  const int64_t chunk_rows = smaller(M, GRADIENT_ROWS);
  const int64_t chunk_columns = smaller(V, GRADIENT_FLOATS / chunk_rows / VOCABULARY_BLOCK * VOCABULARY_BLOCK);
  const int64_t stride = chunk_columns + LANES;
  auto* dz = static_cast<float*>(ctx->scratch(ctx, chunk_rows * stride * sizeof(float)));
  const bool narrow = is_bf16(weight);
  void* scratch = narrow ? parallel_scratch_bf16(ctx) : parallel_scratch(ctx);
  if (!dz || !scratch) return 1;

  for (int64_t first = 0; first < V; first += chunk_columns) {
    const int64_t columns = smaller(chunk_columns, V - first);
    for (int64_t begin = 0; begin < M; begin += chunk_rows) {
      const int64_t rows = smaller(chunk_rows, M - begin);
      project_parallel(ctx, dz, stride, x, begin, rows, weight, first, columns, scratch);
      parallel_ranges(ctx, rows, 16, [&](int64_t from, int64_t to) {
        for (int64_t row = from; row < to; row++) {
          float* line = dz + row * stride;
          bf16* half = reinterpret_cast<bf16*>(line);
          const float lse = f32(log_sum_exp)[begin + row];
          const float scale = factor * f32(dlog_prob)[begin + row];
          const int64_t target = i32(targets)[begin + row] - first;
          const bool here = target >= 0 && target < columns;
          const float at_target = here ? scale * (1.0f - exp_one(line[target] * factor - lse)) : 0.0f;
          for (int64_t j = 0; j < columns; j += LANES) {
            const int64_t n = columns - j;
            const f32x16 z = mul(n >= LANES ? load(line + j) : load_first(line + j, n), splat(factor));
            const f32x16 d = mul(splat(scale), sub(splat(0.0f), exp(sub(z, splat(lse)))));
            if (narrow)
              n >= LANES ? store_bf16(half + j, d) : store_bf16_first(half + j, d, n);
            else
              n >= LANES ? store(line + j, d) : store_first(line + j, d, n);
          }
          if (here && narrow)
            half[target] = round_bf16(at_target);
          else if (here)
            line[target] = at_target;
        }
      });
      if (dx.data) add_dx(ctx, f32(dx) + begin * C, dz, stride, rows, weight, first, columns, scratch);
      if (dweight.data)
        add_dweight(ctx, f32(dweight) + first * C, dz, stride, rows, columns, x, begin, narrow, scratch);
    }
  }
  return 0;
}

}  // namespace PT_NAMESPACE
