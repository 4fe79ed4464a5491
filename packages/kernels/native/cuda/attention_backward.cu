// cpu/attention_backward.cpp; in bf16: attention_backward_bf16.cu. Two kernels that both make weights again from lse: one has queries and walks keys (dq), one has keys and walks
// the queries that see them, head after head of the group (dk, dv). So every sum is one thread's chain, and nothing waits for anything.
#include "attention_bf16.h"
#include "gemm_bf16.h"

namespace pt_cuda {
namespace {

struct Backward {
  float *dq, *dk, *dv;
  const float *dy, *lse, *delta, *q, *k, *v;
  int64_t heads, groups;
  int size, stride;
  float scale;
};

// delta = sum of dy * y, half a warp a row and head.
template <class T>
__global__ void delta_kernel(float* delta, const T* dy, const T* y, int64_t count, int size) {
  const int64_t i = (static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x) / 16;
  float sum = 0.0f;
  if (i < count)
    for (int d = static_cast<int>(threadIdx.x) % 16; d < size; d += 16)
      sum = multiply_add(get_one(dy + i * size + d), get_one(y + i * size + d), sum);
  sum = add_halfwarp(sum);
  if (threadIdx.x % 16 == 0 && i < count) delta[i] = sum;
}

template <int ROWS, int GROUPS, bool WIDE>
__global__ void __launch_bounds__(ROWS * 4) query_gradients_kernel(Backward b, Tiles tiles) {
  PT_DYNAMIC_SHARED(float, queries);
  float* const slopes = queries + ROWS * b.stride;  // dy
  float* const keys = slopes + ROWS * b.stride;
  float* const values = keys + BLOCK * b.stride;
  float* const weights = values + BLOCK * b.stride;
  Tile tile;
  if (!find_tile(tiles, blockIdx.x, &tile)) return;
  const int tx = static_cast<int>(threadIdx.x) % 16, ty = static_cast<int>(threadIdx.x) / 16;
  const int64_t h = blockIdx.y, group = h / (b.heads / b.groups);
  const int64_t row_stride = b.heads * b.size, key_stride = b.groups * b.size;
  const int64_t count = smaller(ROWS, tile.length - tile.begin), end = tile.begin + count;
  const int64_t head = tile.row * row_stride + h * b.size;
  const int64_t first_key = (tile.row - tile.begin) * key_stride + group * b.size;

  copy_rows<ROWS, WIDE>(queries, b.stride, b.q + head, row_stride, count, b.size);
  copy_rows<ROWS, WIDE>(slopes, b.stride, b.dy + head, row_stride, count, b.size);
  float lse[4], delta[4], sum[4][GROUPS][4];
  clear(sum);
#pragma unroll
  for (int i = 0; i < 4; i++) {
    const int64_t row = ty * 4 + i, at = (tile.row + row) * b.heads + h;
    lse[i] = row < count ? b.lse[at] : 0.0f;
    delta[i] = row < count ? b.delta[at] : 0.0f;
  }
  for (int64_t begin = 0; begin < end; begin += BLOCK) {
    const int64_t there = smaller(BLOCK, end - begin);
    copy_rows<BLOCK, WIDE>(keys, b.stride, b.k + first_key + begin * key_stride, key_stride, there, b.size);
    copy_rows<BLOCK, WIDE>(values, b.stride, b.v + first_key + begin * key_stride, key_stride, there, b.size);
    commit_async();
    wait_async<0>();
    __syncthreads();
    float s[4][4], u[4][4];
    dot_rows(s, queries, keys, b.stride, b.size, tx, ty);
    dot_rows(u, slopes, values, b.stride, b.size, tx, ty);
    int visible[4], from_first[4] = {0, 0, 0, 0};
#pragma unroll
    for (int i = 0; i < 4; i++) {
      visible[i] = static_cast<int>(smaller(there, tile.begin + ty * 4 + i + 1 - begin));
#pragma unroll
      for (int j = 0; j < 4; j++) {
        const float p = exp_one(s[i][j] * b.scale - lse[i]);
        weights[(ty * 4 + i) * ACROSS + tx + 16 * j] = p * (u[i][j] - delta[i]);
      }
    }
    __syncwarp();
    add_weighted(sum, weights, keys, b.stride, b.size, from_first, visible, tx, ty);
    __syncthreads();
  }
  const float scale = b.scale;
#pragma unroll
  for (int i = 0; i < 4; i++)
    if (ty * 4 + i < count)
      put_row<WIDE>(b.dq + head + (ty * 4 + i) * row_stride, sum[i], b.size, tx, [=](float x) { return x * scale; });
}

template <int ROWS, int GROUPS, bool WIDE>
__global__ void __launch_bounds__(ROWS * 4) key_gradients_kernel(Backward b, Tiles tiles) {
  PT_DYNAMIC_SHARED(float, keys);
  float* const values = keys + ROWS * b.stride;
  float* const queries = values + ROWS * b.stride;
  float* const slopes = queries + BLOCK * b.stride;  // dy
  float* const weights = slopes + BLOCK * b.stride;
  Tile tile;
  if (!find_tile(tiles, blockIdx.x, &tile)) return;
  const int tx = static_cast<int>(threadIdx.x) % 16, ty = static_cast<int>(threadIdx.x) / 16;
  const int64_t group = blockIdx.y, heads = b.heads / b.groups;
  const int64_t row_stride = b.heads * b.size, key_stride = b.groups * b.size;
  const int64_t count = smaller(ROWS, tile.length - tile.begin), sequence = tile.row - tile.begin;
  const int64_t place = tile.row * key_stride + group * b.size;

  copy_rows<ROWS, WIDE>(keys, b.stride, b.k + place, key_stride, count, b.size);
  copy_rows<ROWS, WIDE>(values, b.stride, b.v + place, key_stride, count, b.size);
  float dk[4][GROUPS][4], dv[4][GROUPS][4];
  clear(dk);
  clear(dv);
  for (int64_t h = group * heads; h < (group + 1) * heads; h++)
    for (int64_t begin = tile.begin / BLOCK * BLOCK; begin < tile.length; begin += BLOCK) {
      const int64_t there = smaller(BLOCK, tile.length - begin), head = (sequence + begin) * row_stride + h * b.size;
      copy_rows<BLOCK, WIDE>(queries, b.stride, b.q + head, row_stride, there, b.size);
      copy_rows<BLOCK, WIDE>(slopes, b.stride, b.dy + head, row_stride, there, b.size);
      commit_async();
      wait_async<0>();
      __syncthreads();
      float s[4][4], u[4][4];
      dot_rows(s, keys, queries, b.stride, b.size, tx, ty);
      dot_rows(u, values, slopes, b.stride, b.size, tx, ty);
      int from[4], until[4];
#pragma unroll
      for (int i = 0; i < 4; i++) {
        const int64_t hidden = tile.begin + ty * 4 + i - begin;  // queries of the block before the key
        from[i] = static_cast<int>(hidden < 0 ? 0 : hidden);
        until[i] = static_cast<int>(there);
      }
#pragma unroll
      for (int j = 0; j < 4; j++) {
        const int64_t query = tx + 16 * j, at = (sequence + begin + query) * b.heads + h;
        const float lse = query < there ? b.lse[at] : 0.0f, delta = query < there ? b.delta[at] : 0.0f;
#pragma unroll
        for (int i = 0; i < 4; i++) {
          s[i][j] = exp_one(s[i][j] * b.scale - lse);
          u[i][j] = s[i][j] * (u[i][j] - delta);
          weights[(ty * 4 + i) * ACROSS + query] = s[i][j];
        }
      }
      __syncwarp();
      add_weighted(dv, weights, slopes, b.stride, b.size, from, until, tx, ty);
      __syncwarp();
#pragma unroll
      for (int i = 0; i < 4; i++)
#pragma unroll
        for (int j = 0; j < 4; j++) weights[(ty * 4 + i) * ACROSS + tx + 16 * j] = u[i][j];
      __syncwarp();
      add_weighted(dk, weights, queries, b.stride, b.size, from, until, tx, ty);
      __syncthreads();
    }
  wait_async<0>();
  const float scale = b.scale;
#pragma unroll
  for (int i = 0; i < 4; i++) {
    if (ty * 4 + i >= count) continue;
    const int64_t at = place + (ty * 4 + i) * key_stride;
    put_row<WIDE>(b.dk + at, dk[i], b.size, tx, [=](float x) { return x * scale; });
    put_row<WIDE>(b.dv + at, dv[i], b.size, tx, [](float x) { return x; });
  }
}

template <int ROWS, int GROUPS>
int gradients(const pt_context* ctx, const Backward& b, pt_tensor starts, int64_t rows, bool is_wide) {
  Tiles tiles;
  if (cut_sequences(ctx, starts, ROWS, &tiles)) return 1;
  const auto tile_count = count_of(most_tiles(rows, tiles.sequences, ROWS));
  const int64_t bytes = static_cast<int64_t>(sizeof(float)) * ((2 * ROWS + 2 * BLOCK) * b.stride + ROWS * ACROSS);
  const Shape queries = {{tile_count, count_of(b.heads)}, ROWS * 4, bytes};
  const Shape keys = {{tile_count, count_of(b.groups)}, ROWS * 4, bytes};
  if (is_wide)
    return launch<query_gradients_kernel<ROWS, GROUPS, true>>(ctx, queries, b, tiles) ||
           launch<key_gradients_kernel<ROWS, GROUPS, true>>(ctx, keys, b, tiles);
  return launch<query_gradients_kernel<ROWS, GROUPS, false>>(ctx, queries, b, tiles) ||
         launch<key_gradients_kernel<ROWS, GROUPS, false>>(ctx, keys, b, tiles);
}

}  // namespace

int attention_backward(const pt_context* ctx, pt_tensor dq, pt_tensor dk, pt_tensor dv, pt_tensor dy, pt_tensor y,
                       pt_tensor lse, pt_tensor q, pt_tensor k, pt_tensor v, pt_tensor starts, double scale) {
  constexpr int THREADS = 256;
  if (refuse_mixed(ctx, "q", q, "k", k) || refuse_mixed(ctx, "q", q, "v", v) || refuse_mixed(ctx, "q", q, "y", y))
    return 1;
  if (!is_bf16(q) && is_bf16(dy)) return refuse_mixed(ctx, "q", q, "dy", dy);
  if (is_bf16(q)) dy = as_bf16(ctx, dy);
  if (!dy.data) return 1;
  const int64_t rows = q.dims[0], heads = q.dims[1], size = q.dims[2];
  if (refuse_heads(ctx, heads, k.dims[1], size) || check_starts(ctx, starts, rows)) return 1;
  auto* delta = static_cast<float*>(ctx->scratch(ctx, (rows * heads + 1) * static_cast<int64_t>(sizeof(float))));
  if (!delta || with_float(dy, [&](auto* from) {
        return launch<delta_kernel<std::remove_pointer_t<decltype(from)>>>(
            ctx, {count_of(ceil_div(rows * heads * 16, THREADS)), THREADS}, delta, from,
            static_cast<decltype(from)>(y.data), rows * heads, static_cast<int>(size));
      }))
    return 1;
  if (is_bf16(q)) return attention_backward_bf16(ctx, dq, dk, dv, dy, lse, delta, q, k, v, starts, scale);
  const Backward b = {f32(dq),         f32(dk),
                      f32(dv),         f32(dy),
                      f32(lse),        delta,
                      f32(q),          f32(k),
                      f32(v),          heads,
                      k.dims[1],       static_cast<int>(size),
                      stride_of(size), static_cast<float>(scale)};
  const bool is_wide = size % 4 == 0 && wide(b.dq, b.dk, b.dv, b.dy, b.q, b.k, b.v);
  if (size <= 64) return gradients<64, 1>(ctx, b, starts, rows, is_wide);
  if (size <= 128) return gradients<16, 2>(ctx, b, starts, rows, is_wide);
  return gradients<16, 4>(ctx, b, starts, rows, is_wide);
}

}  // namespace pt_cuda
