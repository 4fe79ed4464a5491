// cpu/attention.cpp in bf16, on tensor cores: packed sequences and the paged cache by one kernel. A warp has 16 rows, a row being a query and one of the
// heads that share a key-value head (packed sequences: a query). Scores and the softmax stay in registers: as they lie there they are the left side of
// the product with the values. l sums what exp gave, along a thread's columns, then over the four threads of a row; p is rounded to bf16.
#include "attention_bf16.h"

namespace pt_cuda {
namespace {

struct Attention {
  bf16* y;
  float* lse;
  const bf16 *q, *keys, *values;
  const int32_t *lengths, *pages;         // of the cache, else null
  int64_t heads, groups, size, together;  // together: heads that are rows of one block of threads
  float scale;
  bool is_wide;
  Pages found;
};

template <int WARPS, int TILES, bool CACHED>
__global__ void __launch_bounds__(WARPS * 32) attention_bf16_kernel(Attention a, Tiles tiles) {
  constexpr int ROWS = WARPS * 16, COLUMNS = TILES * 8, VALUE_STRIDE = COLUMNS + 8;
  PT_DYNAMIC_SHARED(bf16, queries);
  const int depth = padded_size(a.size), stride = depth + 8, key_stride = CACHED ? BLOCK + 8 : stride;
  bf16* const keys = queries + ROWS * stride;
  bf16* const values = keys + (CACHED ? depth : BLOCK) * key_stride;
  Tile tile;
  if (!find_tile(tiles, blockIdx.x, &tile)) return;
  const int lane = static_cast<int>(threadIdx.x) % 32, first = static_cast<int>(threadIdx.x) / 32 * 16;
  const int64_t shared = a.heads / a.groups, parts = ceil_div(shared, a.together);
  const int64_t group = blockIdx.y / parts, first_head = group * shared + blockIdx.y % parts * a.together;
  const int64_t heads = smaller(a.together, (group + 1) * shared - first_head);
  const int64_t count = smaller(tiles.tile, tile.length - tile.begin), rows = count * heads;
  const int64_t position = (CACHED ? a.lengths[tile.sequence] - tile.length : 0) + tile.begin, end = position + count;
  const bool split = CACHED && a.found.outs;
  // Columns of values that this block of threads has, and pages.
  const int64_t chunks = ceil_div(a.size, COLUMNS), column = blockIdx.z % chunks * COLUMNS;
  const int64_t begin_at = split ? blockIdx.z / chunks * BLOCK : 0,
                end_at = split ? smaller(begin_at + BLOCK, end) : end;
  if (begin_at >= end) return;
  const auto row_at = [&](int64_t row) { return (tile.row + row / heads) * a.heads + first_head + row % heads; };
  const auto seen_by = [&](int64_t row, int64_t begin) {
    const int64_t seen = row < rows ? position + row / heads + 1 - begin : 0;
    return static_cast<int>(smaller(BLOCK, seen > 0 ? seen : 0));
  };
  // Where key-value head `group` has the rows of a block, which are `line` numbers apart.
  const int64_t line = CACHED ? a.size : a.groups * a.size;
  const auto block_at = [&](int64_t begin) {
    if (CACHED)
      return (a.pages[tile.sequence * a.found.pages_each + begin / BLOCK] * a.groups + group) * BLOCK * a.size;
    return (tile.row - tile.begin + begin) * line + group * a.size;
  };
  const auto copy_keys = [&](int64_t begin) {
    const bf16* const from = a.keys + block_at(begin);
    if (CACHED)
      copy_rows(keys, key_stride, from, BLOCK, a.size, depth, BLOCK, BLOCK, a.is_wide);
    else
      copy_rows(keys, key_stride, from, line, smaller(BLOCK, end - begin), BLOCK, a.size, depth, a.is_wide);
    commit_async();
  };
  const auto copy_values = [&](int64_t begin) {
    copy_rows(values, VALUE_STRIDE, a.values + block_at(begin) + column, line, smaller(BLOCK, end - begin), BLOCK,
              a.size - column, COLUMNS, a.is_wide);
    commit_async();
  };

  for (int i = static_cast<int>(threadIdx.x); i < ROWS * (depth / 8); i += WARPS * 32) {
    const int row = i / (depth / 8), at = i % (depth / 8) * 8;
    copy_eight(queries + row * stride + at, a.q + (row < rows ? row_at(row) : 0) * a.size + at,
               row < rows ? a.size - at : 0, a.is_wide);
  }
  copy_keys(begin_at);
  float top[2], sum[2], out[TILES][4];
#pragma unroll
  for (int h = 0; h < 2; h++) top[h] = -__int_as_float(0x7f800000), sum[h] = 0.0f;
#pragma unroll
  for (int j = 0; j < TILES; j++)
#pragma unroll
    for (int n = 0; n < 4; n++) out[j][n] = 0.0f;

  for (int64_t begin = begin_at; begin < end_at; begin += BLOCK) {
    copy_values(begin);
    wait_async<1>();
    __syncthreads();
    BlockTile p;
    dot_tiles<CACHED>(p, queries + first * stride, stride, keys, key_stride, depth);
    __syncthreads();
    if (begin + BLOCK < end_at)
      copy_keys(begin + BLOCK);
    else
      commit_async();

    float block_top[2], block_sum[2];
    int visible[2];
#pragma unroll
    for (int h = 0; h < 2; h++) {
      visible[h] = seen_by(first + lane / 4 + 8 * h, begin);
      float most = -__int_as_float(0x7f800000), all = 0.0f;
#pragma unroll
      for (int j = 0; j < BLOCK / 8; j++)
#pragma unroll
        for (int e = 0; e < 2; e++) {
          float& x = p[j][2 * h + e];
          x = 8 * j + lane % 4 * 2 + e < visible[h] ? x * a.scale : -__int_as_float(0x7f800000);
          most = larger(x, most);
        }
      block_top[h] = larger_of_quarter(most);
      const float shift = larger(block_top[h], LOWEST);
#pragma unroll
      for (int j = 0; j < BLOCK / 8; j++)
#pragma unroll
        for (int e = 0; e < 2; e++) {
          p[j][2 * h + e] = exp_one(p[j][2 * h + e] - shift);
          all = all + p[j][2 * h + e];
        }
      block_sum[h] = add_quarter(all);
    }
    wait_async<1>();
    __syncthreads();
    // The warp's first row sees least of the keys that are there.
    const bool hides = first < rows && seen_by(first, begin) < smaller(BLOCK, end - begin);
    const bool is_large = hides && any_large(values, VALUE_STRIDE, COLUMNS);
    Joined joined[2];
#pragma unroll
    for (int h = 0; h < 2; h++) {
      joined[h] = join_blocks(top[h], sum[h], block_top[h], block_sum[h]);
      if (visible[h] == 0) continue;
      top[h] = joined[h].top, sum[h] = joined[h].sum;
      if (!split || lane % 4 != 0 || column != 0) continue;
      const int64_t at = row_at(first + lane / 4 + 8 * h) * a.found.pages_each + begin / BLOCK;
      a.found.tops[at] = block_top[h], a.found.sums[at] = block_sum[h];
    }
    // Eight tiles of columns at a time: more would be too many registers.
#pragma unroll
    for (int part = 0; part < TILES; part += 8) {
      float block_out[8][4];
      weigh_tiles(
          block_out, p, values + 8 * part, VALUE_STRIDE, is_large, [](int) { return 0; },
          [&](int r) { return seen_by(first + r, begin); });
#pragma unroll
      for (int h = 0; h < 2; h++) {
        if (visible[h] == 0) continue;
        const int64_t at = split ? row_at(first + lane / 4 + 8 * h) * a.found.pages_each + begin / BLOCK : 0;
#pragma unroll
        for (int j = 0; j < 8; j++)
#pragma unroll
          for (int e = 0; e < 2; e++) {
            const float x = block_out[j][2 * h + e];
            const int64_t d = column + 8 * (part + j) + lane % 4 * 2 + e;
            if (split) {
              if (d < a.size) a.found.outs[at * a.size + d] = x;
            } else {
              float& all = out[part + j][2 * h + e];
              all = multiply_add(x, joined[h].enter, all * joined[h].keep);
            }
          }
      }
    }
    __syncthreads();
  }
  wait_async<0>();
  if (split) return;
#pragma unroll
  for (int h = 0; h < 2; h++) {
    const int64_t row = first + lane / 4 + 8 * h;
    if (row >= rows) continue;
    const int64_t at = row_at(row);
#pragma unroll
    for (int j = 0; j < TILES; j++) {
      const int64_t d = column + 8 * j + lane % 4 * 2;
      const float x = out[j][2 * h] / sum[h], z = out[j][2 * h + 1] / sum[h];
      if (a.is_wide) {
        if (d < a.size) *reinterpret_cast<uint32_t*>(a.y + at * a.size + d) = pack(x, z);
        continue;
      }
      if (d < a.size) a.y[at * a.size + d] = round_bf16(x);
      if (d + 1 < a.size) a.y[at * a.size + d + 1] = round_bf16(z);
    }
    if (lane % 4 == 0 && column == 0) a.lse[at] = log_sum_exp(top[h], sum[h]);
  }
}

template <int WARPS, int TILES, bool CACHED>
int attend(const pt_context* ctx, Attention a, pt_tensor y, pt_tensor lse, pt_tensor starts, pt_tensor lengths) {
  constexpr int ROWS = WARPS * 16, COLUMNS = TILES * 8;
  const int64_t rows = y.dims[0], shared = a.heads / a.groups, chunks = ceil_div(a.size, COLUMNS);
  a.together = CACHED ? smaller(ROWS, shared) : 1;
  Tiles tiles;
  if (cut_sequences(ctx, starts, static_cast<int>(ROWS / a.together), &tiles)) return 1;
  const int64_t most = most_tiles(rows, tiles.sequences, tiles.tile), parts = a.groups * ceil_div(shared, a.together);
  if (CACHED && take_pages(ctx, rows * a.heads, a.size, most * parts, &a.found)) return 1;
  const int depth = padded_size(a.size), stride = depth + 8;
  const Shape shape = {{count_of(most), count_of(parts), count_of(chunks * (a.found.outs ? a.found.pages_each : 1))},
                       ROWS * 2,
                       2 * (ROWS * stride + (CACHED ? depth * (BLOCK + 8) : BLOCK * stride) + BLOCK * (COLUMNS + 8))};
  if (launch<attention_bf16_kernel<WARPS, TILES, CACHED>>(ctx, shape, a, tiles)) return 1;
  return a.found.outs && join_pages(ctx, y, lse, a.found, starts, lengths);
}

}  // namespace

int attention_forward_bf16(const pt_context* ctx, pt_tensor y, pt_tensor lse, pt_tensor q, pt_tensor k, pt_tensor v,
                           pt_tensor starts, double scale) {
  const int64_t size = q.dims[2];
  const bool is_wide = size % 8 == 0 && wide(bf(y), bf(q), bf(k), bf(v));
  const Attention a = {bf(y),   f32(lse),  bf(q),     bf(k), bf(v), nullptr,
                       nullptr, q.dims[1], k.dims[1], size,  1,     static_cast<float>(scale),
                       is_wide, {}};
  return size <= 64 ? attend<4, 8, false>(ctx, a, y, lse, starts, {})
                    : attend<4, 16, false>(ctx, a, y, lse, starts, {});
}

int attention_cached_bf16(const pt_context* ctx, pt_tensor y, pt_tensor lse, pt_tensor q, pt_tensor keys,
                          pt_tensor values, pt_tensor starts, pt_tensor lengths, pt_tensor pages, double scale) {
  const int64_t size = q.dims[2], shared = q.dims[1] / keys.dims[1];
  const bool is_wide = size % 8 == 0 && wide(bf(y), bf(q), bf(keys), bf(values));
  Attention a = {bf(y),
                 f32(lse),
                 bf(q),
                 bf(keys),
                 bf(values),
                 i32(lengths),
                 i32(pages),
                 q.dims[1],
                 keys.dims[1],
                 size,
                 1,
                 static_cast<float>(scale),
                 is_wide,
                 {nullptr, nullptr, nullptr, pages.dims[1]}};
  // Decoding has a few rows a sequence.
  const bool few = y.dims[0] * shared <= 16 * lengths.dims[0];
  if (size <= 64)
    return few ? attend<1, 8, true>(ctx, a, y, lse, starts, lengths)
               : attend<4, 8, true>(ctx, a, y, lse, starts, lengths);
  return few ? attend<1, 16, true>(ctx, a, y, lse, starts, lengths)
             : attend<4, 16, true>(ctx, a, y, lse, starts, lengths);
}

}  // namespace pt_cuda
