// cpu/attention_backward.cpp in bf16, on tensor cores: the two kernels of attention_backward.cu, a warp to 16 queries, or keys. p and the slopes of the
// scores are rounded to bf16 where they are multiplied. A block of threads makes up to 64 of a head's numbers; larger heads have several, which make
// the same weights again.
#include "attention_bf16.h"

namespace pt_cuda {
namespace {

constexpr int WARPS = 4, ROWS = WARPS * 16, TILES = 8, COLUMNS = TILES * 8;

// Heads in shared memory: whole chunks.
inline __host__ __device__ int row_size(int64_t size) {
  return static_cast<int>((size + COLUMNS - 1) / COLUMNS * COLUMNS);
}

struct Backward {
  float *dq, *dk, *dv;
  const bf16* dy;
  const float *lse, *delta;
  const bf16 *q, *k, *v;
  int64_t heads, groups, size;
  float scale;
  bool is_wide;
};

PT_SCALAR void clear(float (&x)[TILES][4]) {
#pragma unroll
  for (int j = 0; j < TILES; j++)
#pragma unroll
    for (int n = 0; n < 4; n++) x[j][n] = 0.0f;
}
// to = to + p times `right` (weigh_tiles), four tiles of columns at a time: more would be too many registers.
template <class Begin, class End>
PT_SCALAR void add_weighed(float (&to)[TILES][4], const BlockTile& p, const bf16* right, int stride, bool is_large,
                           const Begin& begin, const End& end) {
#pragma unroll
  for (int part = 0; part < TILES; part += 4) {
    float x[4][4];
    weigh_tiles(x, p, right + 8 * part, stride, is_large, begin, end);
#pragma unroll
    for (int j = 0; j < 4; j++)
#pragma unroll
      for (int n = 0; n < 4; n++) to[part + j][n] = to[part + j][n] + x[j][n];
  }
}
// A warp's rows that are there, times `factor`, to rows `stride` apart.
PT_SCALAR void put_tiles(float* to, int64_t stride, const float (&x)[TILES][4], int64_t rows, int64_t columns,
                         float factor) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
#pragma unroll
  for (int n = 0; n < 4; n++) {
    const int64_t row = lane / 4 + n / 2 * 8;
#pragma unroll
    for (int j = 0; j < TILES; j++) {
      const int64_t d = 8 * j + lane % 4 * 2 + n % 2;
      if (row < rows && d < columns) to[row * stride + d] = x[j][n] * factor;
    }
  }
}

__global__ void __launch_bounds__(ROWS * 2) query_gradients_bf16_kernel(Backward b, Tiles tiles) {
  PT_DYNAMIC_SHARED(bf16, queries);
  const int depth = padded_size(b.size), padded = row_size(b.size), stride = padded + 8;
  bf16* const slopes = queries + ROWS * stride;  // dy
  bf16* const keys = slopes + ROWS * stride;
  bf16* const values = keys + BLOCK * stride;
  Tile tile;
  if (!find_tile(tiles, blockIdx.x, &tile)) return;
  const int lane = static_cast<int>(threadIdx.x) % 32, first = static_cast<int>(threadIdx.x) / 32 * 16;
  const int64_t h = blockIdx.y, group = h / (b.heads / b.groups), column = blockIdx.z * COLUMNS;
  const int64_t row_stride = b.heads * b.size, key_stride = b.groups * b.size;
  const int64_t count = smaller(ROWS, tile.length - tile.begin), end = tile.begin + count;
  const int64_t head = tile.row * row_stride + h * b.size;
  const int64_t first_key = (tile.row - tile.begin) * key_stride + group * b.size;

  copy_rows(queries, stride, b.q + head, row_stride, count, ROWS, b.size, padded, b.is_wide);
  copy_rows(slopes, stride, b.dy + head, row_stride, count, ROWS, b.size, padded, b.is_wide);
  float lse[2], delta[2], dq[TILES][4];
  clear(dq);
#pragma unroll
  for (int i = 0; i < 2; i++) {
    const int64_t row = first + lane / 4 + 8 * i, at = (tile.row + row) * b.heads + h;
    lse[i] = row < count ? b.lse[at] : 0.0f;
    delta[i] = row < count ? b.delta[at] : 0.0f;
  }
  for (int64_t begin = 0; begin < end; begin += BLOCK) {
    const int64_t there = smaller(BLOCK, end - begin), at = first_key + begin * key_stride;
    copy_rows(keys, stride, b.k + at, key_stride, there, BLOCK, b.size, padded, b.is_wide);
    copy_rows(values, stride, b.v + at, key_stride, there, BLOCK, b.size, padded, b.is_wide);
    commit_async();
    wait_async<0>();
    __syncthreads();
    BlockTile p, slope;
    dot_tiles<false>(p, queries + first * stride, stride, keys, stride, depth);
    dot_tiles<false>(slope, slopes + first * stride, stride, values, stride, depth);
    const auto seen_by = [&](int64_t row) {
      const int64_t seen = row < count ? tile.begin + row + 1 - begin : 0;
      return static_cast<int>(smaller(there, seen));
    };
#pragma unroll
    for (int j = 0; j < BLOCK / 8; j++)
#pragma unroll
      for (int n = 0; n < 4; n++) {
        const bool seen = 8 * j + lane % 4 * 2 + n % 2 < seen_by(first + lane / 4 + n / 2 * 8);
        const float weight = exp_one(p[j][n] * b.scale - lse[n / 2]);
        slope[j][n] = seen ? weight * (slope[j][n] - delta[n / 2]) : 0.0f;
      }
    const bool hides = seen_by(first) < there;
    add_weighed(
        dq, slope, keys + column, stride, hides && any_large(keys, stride, static_cast<int>(b.size)),
        [](int) { return 0; }, [&](int r) { return seen_by(first + r); });
    __syncthreads();
  }
  put_tiles(b.dq + head + first * row_stride + column, row_stride, dq, count - first, b.size - column, b.scale);
}

__global__ void __launch_bounds__(ROWS * 2) key_gradients_bf16_kernel(Backward b, Tiles tiles) {
  PT_DYNAMIC_SHARED(bf16, keys);
  const int depth = padded_size(b.size), padded = row_size(b.size), stride = padded + 8;
  bf16* const values = keys + ROWS * stride;
  bf16* const queries = values + ROWS * stride;
  bf16* const slopes = queries + BLOCK * stride;  // dy
  Tile tile;
  if (!find_tile(tiles, blockIdx.x, &tile)) return;
  const int lane = static_cast<int>(threadIdx.x) % 32, first = static_cast<int>(threadIdx.x) / 32 * 16;
  const int64_t group = blockIdx.y, heads = b.heads / b.groups, column = blockIdx.z * COLUMNS;
  const int64_t row_stride = b.heads * b.size, key_stride = b.groups * b.size;
  const int64_t count = smaller(ROWS, tile.length - tile.begin), sequence = tile.row - tile.begin;
  const int64_t place = tile.row * key_stride + group * b.size;

  copy_rows(keys, stride, b.k + place, key_stride, count, ROWS, b.size, padded, b.is_wide);
  copy_rows(values, stride, b.v + place, key_stride, count, ROWS, b.size, padded, b.is_wide);
  float dk[TILES][4], dv[TILES][4];
  clear(dk);
  clear(dv);
  for (int64_t h = group * heads; h < (group + 1) * heads; h++)
    for (int64_t begin = tile.begin / BLOCK * BLOCK; begin < tile.length; begin += BLOCK) {
      const int64_t there = smaller(BLOCK, tile.length - begin), head = (sequence + begin) * row_stride + h * b.size;
      copy_rows(queries, stride, b.q + head, row_stride, there, BLOCK, b.size, padded, b.is_wide);
      copy_rows(slopes, stride, b.dy + head, row_stride, there, BLOCK, b.size, padded, b.is_wide);
      commit_async();
      wait_async<0>();
      __syncthreads();
      BlockTile p, slope;
      dot_tiles<false>(p, keys + first * stride, stride, queries, stride, depth);
      dot_tiles<false>(slope, values + first * stride, stride, slopes, stride, depth);
      // Queries of the block before a key do not see it.
      const auto hidden_from = [&](int64_t row) {
        const int64_t hidden = tile.begin + row - begin;
        return static_cast<int>(hidden < 0 ? 0 : smaller(hidden, there));
      };
#pragma unroll
      for (int j = 0; j < BLOCK / 8; j++)
#pragma unroll
        for (int n = 0; n < 4; n++) {
          const int query = 8 * j + lane % 4 * 2 + n % 2, row = first + lane / 4 + n / 2 * 8;
          const bool seen = query >= hidden_from(row) && query < there;
          const int64_t at = (sequence + begin + query) * b.heads + h;
          p[j][n] = seen ? exp_one(p[j][n] * b.scale - b.lse[at]) : 0.0f;
          slope[j][n] = seen ? p[j][n] * (slope[j][n] - b.delta[at]) : 0.0f;
        }
      const auto from = [&](int r) { return hidden_from(first + r); };
      const auto until = [&](int) { return static_cast<int>(there); };
      const bool hides = hidden_from(first + 15) > 0;
      const auto is_large = [&](const bf16* x) { return hides && any_large(x, stride, static_cast<int>(b.size)); };
      add_weighed(dv, p, slopes + column, stride, is_large(slopes), from, until);
      add_weighed(dk, slope, queries + column, stride, is_large(queries), from, until);
      __syncthreads();
    }
  wait_async<0>();
  const int64_t at = place + first * key_stride + column;
  put_tiles(b.dk + at, key_stride, dk, count - first, b.size - column, b.scale);
  put_tiles(b.dv + at, key_stride, dv, count - first, b.size - column, 1.0f);
}

}  // namespace

int attention_backward_bf16(const pt_context* ctx, pt_tensor dq, pt_tensor dk, pt_tensor dv, pt_tensor dy,
                            pt_tensor lse, const float* delta, pt_tensor q, pt_tensor k, pt_tensor v, pt_tensor starts,
                            double scale) {
  const int64_t rows = q.dims[0], heads = q.dims[1], groups = k.dims[1], size = q.dims[2];
  const Backward b = {f32(dq),
                      f32(dk),
                      f32(dv),
                      bf(dy),
                      f32(lse),
                      delta,
                      bf(q),
                      bf(k),
                      bf(v),
                      heads,
                      groups,
                      size,
                      static_cast<float>(scale),
                      size % 8 == 0 && wide(bf(dy), bf(q), bf(k), bf(v))};
  Tiles tiles;
  if (cut_sequences(ctx, starts, ROWS, &tiles)) return 1;
  const auto tile_count = count_of(most_tiles(rows, tiles.sequences, ROWS)), chunks = count_of(ceil_div(size, COLUMNS));
  const int64_t bytes = 2 * (2 * ROWS + 2 * BLOCK) * (row_size(size) + 8);
  return launch<query_gradients_bf16_kernel>(ctx, {{tile_count, count_of(heads), chunks}, ROWS * 2, bytes}, b, tiles) ||
         launch<key_gradients_bf16_kernel>(ctx, {{tile_count, count_of(groups), chunks}, ROWS * 2, bytes}, b, tiles);
}

}  // namespace pt_cuda
