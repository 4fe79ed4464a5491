// cpu/attention.cpp, packed sequences; in bf16: attention_bf16.cu. Keys and values of a block of 64 come by cp.async: values while scores are made, the next keys while
// values are summed. Scores and the softmax live in registers; weights pass through shared memory to the threads that sum values.
#include "attention_bf16.h"

namespace pt_cuda {
namespace {

// One warp: lane by lane the sequences' tiles are counted and summed up.
__global__ void cut_sequences_kernel(const Note* note, int32_t* first, const int32_t* starts, int64_t sequences,
                                     int tile) {
  const int lane = static_cast<int>(threadIdx.x);
  int32_t before = 0;
  const bool none = failed(note);
  for (int64_t begin = 0; begin < sequences; begin += 32) {
    const int64_t s = begin + lane;
    int32_t sum = !none && s < sequences ? (starts[s + 1] - starts[s] + tile - 1) / tile : 0;
#pragma unroll
    for (int by = 1; by < 32; by *= 2) {
      const int32_t left = __shfl_sync(WHOLE_WARP, sum, lane - by);
      if (lane >= by) sum += left;
    }
    if (s < sequences) first[s + 1] = before + sum;
    before += __shfl_sync(WHOLE_WARP, sum, 31);
  }
  if (lane == 0) first[0] = 0;
}

struct Attention {
  float *y, *lse;
  const float *q, *k, *v;
  int64_t heads, groups;
  int size, stride;  // of a head; of its rows in shared memory
  float scale;
};

template <int ROWS, int GROUPS, bool WIDE>
__global__ void __launch_bounds__(ROWS * 4) attention_kernel(Attention a, Tiles tiles) {
  PT_DYNAMIC_SHARED(float, queries);
  float* const keys = queries + ROWS * a.stride;
  float* const values = keys + BLOCK * a.stride;
  float* const weights = values + BLOCK * a.stride;
  Tile tile;
  if (!find_tile(tiles, blockIdx.x, &tile)) return;
  const int tx = static_cast<int>(threadIdx.x) % 16, ty = static_cast<int>(threadIdx.x) / 16;
  const int64_t h = blockIdx.y, group = h / (a.heads / a.groups);
  const int64_t row_stride = a.heads * a.size, key_stride = a.groups * a.size;
  const int64_t count = smaller(ROWS, tile.length - tile.begin), end = tile.begin + count;
  const int64_t head = tile.row * row_stride + h * a.size;
  const int64_t first_key = (tile.row - tile.begin) * key_stride + group * a.size;
  const auto copy_block = [&](float* to, const float* from, int64_t begin) {
    copy_rows<BLOCK, WIDE>(to, a.stride, from + first_key + begin * key_stride, key_stride, smaller(BLOCK, end - begin),
                           a.size);
    commit_async();
  };

  copy_rows<ROWS, WIDE>(queries, a.stride, a.q + head, row_stride, count, a.size);
  copy_block(keys, a.k, 0);
  float top[4], sum[4], out[4][GROUPS][4];
  clear(out);
#pragma unroll
  for (int i = 0; i < 4; i++) top[i] = -__int_as_float(0x7f800000), sum[i] = 0.0f;

  for (int64_t begin = 0; begin < end; begin += BLOCK) {
    copy_block(values, a.v, begin);
    wait_async<1>();
    __syncthreads();
    float s[4][4];
    dot_rows(s, queries, keys, a.stride, a.size, tx, ty);
    __syncthreads();
    if (begin + BLOCK < end)
      copy_block(keys, a.k, begin + BLOCK);
    else
      commit_async();

    int visible[4], from_first[4] = {0, 0, 0, 0};
    float keep[4], enter[4], block_top[4], block_sum[4];
#pragma unroll
    for (int i = 0; i < 4; i++)
      visible[i] = static_cast<int>(smaller(BLOCK, smaller(tile.begin + ty * 4 + i + 1, end) - begin));
    soften(s, visible, a.scale, weights, block_top, block_sum, tx, ty);
#pragma unroll
    for (int i = 0; i < 4; i++) {
      const Joined joined = join_blocks(top[i], sum[i], block_top[i], block_sum[i]);
      top[i] = joined.top, sum[i] = joined.sum, keep[i] = joined.keep, enter[i] = joined.enter;
    }
    wait_async<1>();
    __syncthreads();
    float block_out[4][GROUPS][4];
    clear(block_out);
    add_weighted(block_out, weights, values, a.stride, a.size, from_first, visible, tx, ty);
#pragma unroll
    for (int i = 0; i < 4; i++)
#pragma unroll
      for (int g = 0; g < GROUPS; g++)
#pragma unroll
        for (int e = 0; e < 4; e++) out[i][g][e] = multiply_add(block_out[i][g][e], enter[i], out[i][g][e] * keep[i]);
    __syncthreads();
  }
  wait_async<0>();

#pragma unroll
  for (int i = 0; i < 4; i++) {
    const int64_t row = ty * 4 + i;
    if (row >= count) continue;
    const float l = sum[i];
    put_row<WIDE>(a.y + head + row * row_stride, out[i], a.size, tx, [=](float x) { return x / l; });
    if (tx == 0) a.lse[(tile.row + row) * a.heads + h] = log_sum_exp(top[i], l);
  }
}

template <int ROWS, int GROUPS>
int attend(const pt_context* ctx, const Attention& a, pt_tensor starts, int64_t rows, bool is_wide) {
  Tiles tiles;
  if (cut_sequences(ctx, starts, ROWS, &tiles)) return 1;
  const Shape shape = {{count_of(most_tiles(rows, tiles.sequences, ROWS)), count_of(a.heads)},
                       ROWS * 4,
                       static_cast<int64_t>(sizeof(float)) * ((ROWS + 2 * BLOCK) * a.stride + ROWS * ACROSS)};
  return is_wide ? launch<attention_kernel<ROWS, GROUPS, true>>(ctx, shape, a, tiles)
                 : launch<attention_kernel<ROWS, GROUPS, false>>(ctx, shape, a, tiles);
}

}  // namespace

int cut_sequences(const pt_context* ctx, pt_tensor starts, int tile, Tiles* tiles) {
  const int64_t sequences = starts.dims[0] - 1;
  auto* first = static_cast<int32_t*>(ctx->scratch(ctx, (sequences + 1) * static_cast<int64_t>(sizeof(int32_t))));
  if (!first) return 1;
  *tiles = {i32(starts), first, sequences, tile};
  return launch<cut_sequences_kernel>(ctx, {1, 32}, note_of(ctx), first, i32(starts), sequences, tile);
}

int attention_forward(const pt_context* ctx, pt_tensor y, pt_tensor lse, pt_tensor q, pt_tensor k, pt_tensor v,
                      pt_tensor starts, double scale) {
  if (refuse_mixed(ctx, "q", q, "k", k) || refuse_mixed(ctx, "q", q, "v", v) || refuse_mixed(ctx, "q", q, "y", y))
    return 1;
  const int64_t rows = q.dims[0], size = q.dims[2];
  if (refuse_heads(ctx, q.dims[1], k.dims[1], size) || check_starts(ctx, starts, rows)) return 1;
  if (is_bf16(q)) return attention_forward_bf16(ctx, y, lse, q, k, v, starts, scale);
  const Attention a = {f32(y),          f32(lse),
                       f32(q),          f32(k),
                       f32(v),          q.dims[1],
                       k.dims[1],       static_cast<int>(size),
                       stride_of(size), static_cast<float>(scale)};
  const bool is_wide = size % 4 == 0 && wide(a.y, a.q, a.k, a.v);
  if (size <= 64) return attend<64, 1>(ctx, a, starts, rows, is_wide);
  if (size <= 128) return attend<32, 2>(ctx, a, starts, rows, is_wide);
  return attend<16, 4>(ctx, a, starts, rows, is_wide);
}

}  // namespace pt_cuda
