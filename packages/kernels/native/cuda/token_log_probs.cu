// cpu/token_log_probs.cpp. Logits are made piece by piece of the vocabulary into scratch that a second-level cache holds, and are gone with the
// next piece: (rows, columns) of at most PIECE numbers. Forward keeps the statistics of each block of 2,048; backward turns a piece into
// gradients, in place or rounded to bf16, and multiplies it into dx and dweight.
#include "token_log_probs.h"

namespace pt_cuda {
namespace {

constexpr int THREADS = 128;
#if defined(PT_EMULATED)
constexpr int64_t PIECE_ROWS = 64, PIECE = SUM_BLOCK * VOCABULARY_BLOCK;  // small, so that tests have several
#else
constexpr int64_t PIECE_ROWS = 1024, PIECE = 8 << 20;
#endif
// Gradients of a bf16 weight sum blocks of tokens, which no piece may cut.
int64_t rows_of_piece(pt_tensor weight, int64_t rows) {
  return smaller(rows, is_bf16(weight) ? ceil_div(PIECE_ROWS, SUM_BLOCK) * SUM_BLOCK : PIECE_ROWS);
}

__global__ void statistics_kernel(const Note* note, LogitStatistics* statistics, float* target_logits,
                                  const float* logits, int64_t stride, const int32_t* targets, int64_t rows,
                                  int64_t columns, int64_t first, int64_t blocks, int64_t all_blocks, float factor) {
  if (failed(note)) return;
  const int64_t i = (static_cast<int64_t>(blockIdx.x) * THREADS + threadIdx.x) / 16;
  const bool there = i < rows * blocks;  // half warps behind the last go along: shuffles are of whole warps
  const int64_t row = there ? i / blocks : 0, block = there ? i % blocks : 0;
  const int64_t begin = block * VOCABULARY_BLOCK, count = smaller(VOCABULARY_BLOCK, columns - begin);
  const float* const products = logits + row * stride + begin;
  const LogitStatistics s = block_statistics(products, count, first + begin, factor);
  if (!there || threadIdx.x % 16 != 0) return;
  statistics[row * all_blocks + first / VOCABULARY_BLOCK + block] = s;
  const int64_t target = targets[row] - first - begin;
  if (target >= 0 && target < count) target_logits[row] = products[target] * factor;
}

__global__ void finish_kernel(const Note* note, float* log_prob, float* entropy, float* log_sum_exp, float* mean_logit,
                              int32_t* argmax, const LogitStatistics* statistics, const float* target_logits,
                              int64_t rows, int64_t blocks, int64_t vocabulary) {
  const int64_t row = static_cast<int64_t>(blockIdx.x) * THREADS + threadIdx.x;
  if (failed(note) || row >= rows) return;
  const LogitStatistics s = merge_blocks(statistics + row * blocks, blocks);
  log_prob[row] = log_probability(s, target_logits[row]);
  entropy[row] = entropy_of(s);
  log_sum_exp[row] = log_sum_exp_of(s);
  mean_logit[row] = static_cast<float>(s.total / static_cast<double>(vocabulary));
  argmax[row] = static_cast<int32_t>(s.argmax);
}

// Products to gradients, which may lie where they do.
template <class T>
__global__ void logit_gradients_kernel(const Note* note, T* dz, const float* products, int64_t stride,
                                       const float* dlog_prob, const int32_t* targets, const float* log_sum_exp,
                                       int64_t columns, int64_t first, float factor) {
  if (failed(note)) return;
  const int64_t row = blockIdx.y, j = static_cast<int64_t>(blockIdx.x) * THREADS + threadIdx.x;
  if (j >= columns) return;
  const float lse = log_sum_exp[row], scale = factor * dlog_prob[row];
  const float e = exp_one(products[row * stride + j] * factor - lse);
  put_one(dz + row * stride + j, targets[row] - first == j ? scale * (1.0f - e) : scale * (0.0f - e));
}

}  // namespace

int token_log_probs_forward(const pt_context* ctx, pt_tensor log_prob, pt_tensor entropy, pt_tensor log_sum_exp,
                            pt_tensor mean_logit, pt_tensor argmax, pt_tensor x, pt_tensor weight, pt_tensor targets,
                            double inverse_temperature) {
  if (prepare(ctx, &x, weight)) return 1;
  const int64_t M = x.dims[0], V = weight.dims[0];
  if (check_rows(ctx, targets, V, "targets", "weight")) return 1;
  if (M == 0) return 0;
  const auto factor = static_cast<float>(inverse_temperature);
  const int64_t blocks = ceil_div(V, VOCABULARY_BLOCK), most_rows = rows_of_piece(weight, M);
  const int64_t most_columns = smaller(blocks, PIECE / most_rows / VOCABULARY_BLOCK) * VOCABULARY_BLOCK;
  auto* logits = static_cast<float*>(ctx->scratch(ctx, most_rows * most_columns * static_cast<int64_t>(sizeof(float))));
  auto* statistics = static_cast<LogitStatistics*>(
      ctx->scratch(ctx, most_rows * blocks * static_cast<int64_t>(sizeof(LogitStatistics))));
  auto* target_logits = static_cast<float*>(ctx->scratch(ctx, most_rows * static_cast<int64_t>(sizeof(float))));
  if (!logits || !statistics || !target_logits) return 1;
  for (int64_t row = 0; row < M; row += most_rows) {
    const int64_t rows = smaller(most_rows, M - row);
    for (int64_t first = 0; first < V; first += most_columns) {
      const int64_t columns = smaller(most_columns, V - first), here = ceil_div(columns, VOCABULARY_BLOCK);
      if (project(ctx, logits, most_columns, x, row, rows, weight, first, columns) ||
          launch<statistics_kernel>(ctx, {count_of(ceil_div(rows * here * 16, THREADS)), THREADS}, note_of(ctx),
                                    statistics, target_logits, logits, most_columns, i32(targets) + row, rows, columns,
                                    first, here, blocks, factor))
        return 1;
    }
    if (launch<finish_kernel>(ctx, {count_of(ceil_div(rows, THREADS)), THREADS}, note_of(ctx), f32(log_prob) + row,
                              f32(entropy) + row, f32(log_sum_exp) + row, f32(mean_logit) + row, i32(argmax) + row,
                              statistics, target_logits, rows, blocks, V))
      return 1;
  }
  return 0;
}

int token_log_probs_backward(const pt_context* ctx, pt_tensor dx, pt_tensor dweight, pt_tensor dlog_prob, pt_tensor x,
                             pt_tensor weight, pt_tensor targets, pt_tensor log_sum_exp, double inverse_temperature) {
  if (prepare(ctx, &x, weight)) return 1;
  const bool narrow = is_bf16(weight);
  const int64_t M = x.dims[0], C = x.dims[1], V = weight.dims[0];
  if (check_rows(ctx, targets, V, "targets", "weight")) return 1;
  if (M == 0) return 0;
  const auto factor = static_cast<float>(inverse_temperature);
  const int64_t blocks = ceil_div(V, VOCABULARY_BLOCK), most_rows = rows_of_piece(weight, M);
  const int64_t most_columns = smaller(blocks, PIECE / most_rows / VOCABULARY_BLOCK) * VOCABULARY_BLOCK;
  auto* dz = static_cast<float*>(ctx->scratch(ctx, most_rows * most_columns * static_cast<int64_t>(sizeof(float))));
  auto* rounded = narrow ? static_cast<bf16*>(ctx->scratch(ctx, most_rows * most_columns * 2)) : nullptr;
  if (!dz || (narrow && !rounded)) return 1;
  // Along the vocabulary first: dx goes on from piece to piece at multiples of 2,048, dweight from rows to rows in their order.
  for (int64_t first = 0; first < V; first += most_columns) {
    const int64_t columns = smaller(most_columns, V - first);
    for (int64_t row = 0; row < M; row += most_rows) {
      const int64_t rows = smaller(most_rows, M - row);
      const Shape shape = {{count_of(ceil_div(columns, THREADS)), count_of(rows)}, THREADS};
      const auto to_gradients = [&](auto* to) {
        return launch<logit_gradients_kernel<std::remove_pointer_t<decltype(to)>>>(
            ctx, shape, note_of(ctx), to, dz, most_columns, f32(dlog_prob) + row, i32(targets) + row,
            f32(log_sum_exp) + row, columns, first, factor);
      };
      if (project(ctx, dz, most_columns, x, row, rows, weight, first, columns) ||
          (narrow ? to_gradients(rounded) : to_gradients(dz)))
        return 1;
      float* const to_x = f32(dx) + row * C;
      float* const to_weight = f32(dweight) + first * C;
      int wrong = 0;
      if (narrow) {
        const bf16 *from = bf(x) + row * C, *to = bf(weight) + first * C;
        if (dx.data)
          wrong = multiply(
              ctx, ProductBf16{
                       to_x, false, C, {rounded, most_columns, 1}, {to, 1, C}, rows, C, columns, nullptr, first > 0});
        if (!wrong && dweight.data)
          wrong = multiply(
              ctx, ProductBf16{
                       to_weight, false, C, {rounded, 1, most_columns}, {from, 1, C}, columns, C, rows, nullptr, true});
      } else {
        const float *from = f32(x) + row * C, *to = f32(weight) + first * C;
        if (dx.data)
          wrong = multiply(ctx, {to_x, C, {dz, most_columns, 1}, {to, 1, C}, rows, C, columns, nullptr},
                           first > 0 ? Sum::more_blocks : Sum::blocks);
        if (!wrong && dweight.data)
          wrong =
              multiply(ctx, {to_weight, C, {dz, 1, most_columns}, {from, 1, C}, columns, C, rows, nullptr}, Sum::chain);
      }
      if (wrong) return 1;
    }
  }
  return 0;
}

}  // namespace pt_cuda
