// cpu/attention.cpp over the paged cache; in bf16: attention_bf16.cu. A row is a query and one of the heads that share a key-value head, queries first. Where too few
// rows ask to fill the device, each block of threads takes one page and writes what it found; a second kernel joins the pages of a row in their order.
// Else it walks them and joins as it goes. As pages are joined in full and in order either way, both give the same bits.
#include "attention_bf16.h"

namespace pt_cuda {
namespace {

#if defined(PT_EMULATED)
constexpr int64_t FULL = 8;  // so that tests reach both ways
#else
constexpr int64_t FULL = 264;  // blocks of threads that keep the device busy
#endif
constexpr int64_t MOST_BYTES = 256 << 20;  // of what pages give, before they are joined
constexpr int JOIN_ROWS = 4;               // of a block of threads: a warp each

struct Cached {
  float *y, *lse;
  const float *q, *keys, *values;
  const int32_t *lengths, *pages;
  int64_t heads, groups;
  int size, stride;
  float scale;
  bool is_wide;
  Pages found;
};

// s[i][j] = chain(row ty * 4 + i [d] * key tx + 16 j [d], d ascending); keys lie across: (size, BLOCK).
PT_SCALAR void dot_across(float (&s)[4][4], const float* rows, const float* keys, int stride, int size, int tx,
                          int ty) {
#pragma unroll
  for (int i = 0; i < 4; i++)
#pragma unroll
    for (int j = 0; j < 4; j++) s[i][j] = 0.0f;
  rows += ty * 4 * stride;
  keys += tx;
  const auto step = [&](const float (&a)[4], int d) {
#pragma unroll
    for (int j = 0; j < 4; j++) {
      const float b = keys[d * BLOCK + 16 * j];
#pragma unroll
      for (int i = 0; i < 4; i++) s[i][j] = multiply_add(a[i], b, s[i][j]);
    }
  };
  int d = 0;
  for (; d + 4 <= size; d += 4) {
    float a[4][4];  // of step d + n, row i
#pragma unroll
    for (int i = 0; i < 4; i++) {
      const float4 v = load4(rows + i * stride + d);
      a[0][i] = v.x, a[1][i] = v.y, a[2][i] = v.z, a[3][i] = v.w;
    }
#pragma unroll
    for (int n = 0; n < 4; n++) step(a[n], d + n);
  }
  for (; d < size; d++) {
    const float a[4] = {rows[d], rows[stride + d], rows[2 * stride + d], rows[3 * stride + d]};
    step(a, d);
  }
}

template <int GROUPS, class Finish>
PT_SCALAR void put_any(float* to, const float (&sum)[GROUPS][4], int size, int tx, bool is_wide, const Finish& finish) {
  if (is_wide)
    put_row<true>(to, sum, size, tx, finish);
  else
    put_row<false>(to, sum, size, tx, finish);
}

template <int ROWS, int GROUPS>
__global__ void __launch_bounds__(ROWS * 4) attention_cached_kernel(Cached a, Tiles tiles) {
  PT_DYNAMIC_SHARED(float, queries);
  float* const keys = queries + ROWS * a.stride;
  float* const values = keys + BLOCK * a.size;
  float* const weights = values + BLOCK * a.stride;
  Tile tile;
  if (!find_tile(tiles, blockIdx.x, &tile)) return;
  const int tx = static_cast<int>(threadIdx.x) % 16, ty = static_cast<int>(threadIdx.x) / 16;
  const int64_t together = a.heads / a.groups, parts = ceil_div(together, ROWS);
  const int64_t group = blockIdx.y / parts, first_head = group * together + blockIdx.y % parts * ROWS;
  const int64_t heads = smaller(ROWS, (group + 1) * together - first_head);
  const int64_t count = smaller(tiles.tile, tile.length - tile.begin), rows = count * heads;
  // Positions of the tile's first query and behind its last.
  const int64_t position = a.lengths[tile.sequence] - tile.length + tile.begin, end = position + count;
  const int64_t first = a.found.outs ? blockIdx.z * BLOCK : 0, last = a.found.outs ? first + BLOCK : end;
  if (first >= end) return;
  const auto row_at = [&](int64_t row) { return (tile.row + row / heads) * a.heads + first_head + row % heads; };
  const auto copy_keys = [&](int64_t begin) {
    const int64_t page = a.pages[tile.sequence * a.found.pages_each + begin / BLOCK];
    const float* const from = a.keys + (page * a.groups + group) * BLOCK * a.size;
    for (int i = static_cast<int>(threadIdx.x) * 4; i < BLOCK * a.size; i += ROWS * 16) {
      if (a.is_wide)
        copy_async16(keys + i, from + i);
      else
        for (int j = 0; j < 4; j++) keys[i + j] = from[i + j];
    }
    commit_async();
  };
  const auto copy_values = [&](int64_t begin) {
    const int64_t page = a.pages[tile.sequence * a.found.pages_each + begin / BLOCK];
    const float* const from = a.values + (page * a.groups + group) * BLOCK * a.size;
    const int64_t there = smaller(BLOCK, end - begin);
    if (a.is_wide)
      copy_rows<BLOCK, true>(values, a.stride, from, a.size, there, a.size);
    else
      copy_rows<BLOCK, false>(values, a.stride, from, a.size, there, a.size);
    commit_async();
  };

  const int pieces = (a.size + 3) / 4;
  for (int i = static_cast<int>(threadIdx.x); i < ROWS * pieces; i += ROWS * 4) {
    const int row = i / pieces, column = i % pieces * 4;
    const float* const from = a.q + (row < rows ? row_at(row) : 0) * a.size + column;
    for (int j = 0; j < 4; j++)
      queries[row * a.stride + column + j] = row < rows && column + j < a.size ? from[j] : 0.0f;
  }
  copy_keys(first);
  float top[4], sum[4], out[4][GROUPS][4];
  clear(out);
#pragma unroll
  for (int i = 0; i < 4; i++) top[i] = -__int_as_float(0x7f800000), sum[i] = 0.0f;

  for (int64_t begin = first; begin < last && begin < end; begin += BLOCK) {
    copy_values(begin);
    wait_async<1>();
    __syncthreads();
    float s[4][4];
    dot_across(s, queries, keys, a.stride, a.size, tx, ty);
    __syncthreads();
    if (begin + BLOCK < last)
      copy_keys(begin + BLOCK);
    else
      commit_async();

    int visible[4], from_first[4] = {0, 0, 0, 0};
    float block_top[4], block_sum[4];
#pragma unroll
    for (int i = 0; i < 4; i++) {
      const int64_t row = ty * 4 + i, seen = row < rows ? position + row / heads + 1 - begin : 0;
      visible[i] = static_cast<int>(smaller(BLOCK, seen > 0 ? seen : 0));
    }
    soften(s, visible, a.scale, weights, block_top, block_sum, tx, ty);
    wait_async<1>();
    __syncthreads();
    float block_out[4][GROUPS][4];
    clear(block_out);
    add_weighted(block_out, weights, values, a.stride, a.size, from_first, visible, tx, ty);
#pragma unroll
    for (int i = 0; i < 4; i++) {
      if (visible[i] == 0) continue;
      if (a.found.outs) {
        const int64_t at = row_at(ty * 4 + i) * a.found.pages_each + begin / BLOCK;
        put_any(a.found.outs + at * a.size, block_out[i], a.size, tx, a.is_wide, [](float x) { return x; });
        if (tx == 0) a.found.tops[at] = block_top[i], a.found.sums[at] = block_sum[i];
        continue;
      }
      const Joined joined = join_blocks(top[i], sum[i], block_top[i], block_sum[i]);
      top[i] = joined.top, sum[i] = joined.sum;
#pragma unroll
      for (int g = 0; g < GROUPS; g++)
#pragma unroll
        for (int e = 0; e < 4; e++)
          out[i][g][e] = multiply_add(block_out[i][g][e], joined.enter, out[i][g][e] * joined.keep);
    }
    __syncthreads();
  }
  wait_async<0>();
  if (a.found.outs) return;
#pragma unroll
  for (int i = 0; i < 4; i++) {
    if (ty * 4 + i >= rows) continue;
    const int64_t at = row_at(ty * 4 + i);
    const float l = sum[i];
    put_any(a.y + at * a.size, out[i], a.size, tx, a.is_wide, [=](float x) { return x / l; });
    if (tx == 0) a.lse[at] = log_sum_exp(top[i], l);
  }
}

// A warp a row of heads.
template <class T>
__global__ void join_pages_kernel(const Note* note, T* y, float* lse, Pages pages, const int32_t* starts,
                                  const int32_t* lengths, int64_t sequences, int64_t rows, int64_t heads, int size) {
  constexpr int EACH = static_cast<int>(MOST_SIZE) / 32;
  const int64_t row = blockIdx.x * JOIN_ROWS + threadIdx.x / 32, m = row / heads;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  if (failed(note) || row >= rows) return;
  int64_t low = 0, high = sequences;  // starts[low] <= m < starts[high]
  while (high - low > 1) {
    const int64_t middle = (low + high) / 2;
    if (starts[middle] <= m)
      low = middle;
    else
      high = middle;
  }
  const int64_t seen = lengths[low] - (starts[low + 1] - m) + 1, first = row * pages.pages_each;
  float top = -__int_as_float(0x7f800000), sum = 0.0f, out[EACH];
#pragma unroll
  for (int i = 0; i < EACH; i++) out[i] = 0.0f;
  for (int64_t at = first; at < first + ceil_div(seen, BLOCK); at++) {
    const Joined joined = join_blocks(top, sum, pages.tops[at], pages.sums[at]);
    top = joined.top, sum = joined.sum;
#pragma unroll
    for (int i = 0; i < EACH; i++) {
      const int d = lane + 32 * i;
      if (d < size) out[i] = multiply_add(pages.outs[at * size + d], joined.enter, out[i] * joined.keep);
    }
  }
#pragma unroll
  for (int i = 0; i < EACH; i++)
    if (lane + 32 * i < size) put_one(y + row * size + lane + 32 * i, out[i] / sum);
  if (lane == 0) lse[row] = log_sum_exp(top, sum);
}

template <int ROWS, int GROUPS>
int attend(const pt_context* ctx, Cached a, pt_tensor y, pt_tensor lse, pt_tensor starts, pt_tensor lengths) {
  const int64_t together = a.heads / a.groups, rows = y.dims[0], sequences = starts.dims[0] - 1;
  Tiles tiles;
  if (cut_sequences(ctx, starts, static_cast<int>(ROWS / smaller(ROWS, together)), &tiles)) return 1;
  const int64_t most = most_tiles(rows, sequences, tiles.tile), parts = a.groups * ceil_div(together, ROWS);
  if (take_pages(ctx, rows * a.heads, a.size, most * parts, &a.found)) return 1;
  const Shape shape = {{count_of(most), count_of(parts), a.found.outs ? count_of(a.found.pages_each) : 1},
                       ROWS * 4,
                       4 * (ROWS * a.stride + BLOCK * a.size + BLOCK * a.stride + ROWS * ACROSS)};
  if (launch<attention_cached_kernel<ROWS, GROUPS>>(ctx, shape, a, tiles)) return 1;
  return a.found.outs && join_pages(ctx, y, lse, a.found, starts, lengths);
}

}  // namespace

int take_pages(const pt_context* ctx, int64_t rows, int64_t size, int64_t blocks, Pages* pages) {
  const int64_t entries = rows * pages->pages_each, bytes = entries * (size + 2) * 4;
  if (pages->pages_each <= 1 || blocks >= FULL || bytes > MOST_BYTES) return 0;
  pages->outs = static_cast<float*>(ctx->scratch(ctx, bytes));
  if (!pages->outs) return 1;
  pages->tops = pages->outs + entries * size;
  pages->sums = pages->tops + entries;
  return 0;
}

int join_pages(const pt_context* ctx, pt_tensor y, pt_tensor lse, const Pages& pages, pt_tensor starts,
               pt_tensor lengths) {
  const int64_t heads = y.dims[1], rows = y.dims[0] * heads;
  return with_float(y, [&](auto* to) {
    return launch<join_pages_kernel<std::remove_pointer_t<decltype(to)>>>(
        ctx, {count_of(ceil_div(rows, JOIN_ROWS)), 32 * JOIN_ROWS}, note_of(ctx), to, f32(lse), pages, i32(starts),
        i32(lengths), lengths.dims[0], rows, heads, static_cast<int>(y.dims[2]));
  });
}

int attention_cached_forward(const pt_context* ctx, pt_tensor y, pt_tensor lse, pt_tensor q, pt_tensor keys,
                             pt_tensor values, pt_tensor starts, pt_tensor lengths, pt_tensor pages, double scale) {
  if (refuse_mixed(ctx, "q", q, "keys", keys) || refuse_mixed(ctx, "q", q, "values", values)) return 1;
  if (refuse_mixed(ctx, "q", q, "y", y)) return 1;
  const int64_t rows = q.dims[0], heads = q.dims[1], size = q.dims[2], groups = keys.dims[1];
  if (refuse_heads(ctx, heads, groups, size) || check_starts(ctx, starts, rows)) return 1;
  if (keys.dims[3] != BLOCK) {
    ctx->fail(ctx, "pages hold %lld keys, expected %d", static_cast<long long>(keys.dims[3]), BLOCK);
    return 1;
  }
  if (check_pages(ctx, starts, lengths, pages, BLOCK, keys.dims[0])) return 1;
  if (is_bf16(q)) return attention_cached_bf16(ctx, y, lse, q, keys, values, starts, lengths, pages, scale);
  const Cached a = {f32(y),
                    f32(lse),
                    f32(q),
                    f32(keys),
                    f32(values),
                    i32(lengths),
                    i32(pages),
                    heads,
                    groups,
                    static_cast<int>(size),
                    stride_of(size),
                    static_cast<float>(scale),
                    size % 4 == 0 && wide(f32(y), f32(keys), f32(values)),
                    {nullptr, nullptr, nullptr, pages.dims[1]}};
  // Decoding has a few rows a sequence.
  const bool few = rows * (heads / groups) <= 16 * lengths.dims[0];
  if (size <= 64)
    return few ? attend<16, 1>(ctx, a, y, lse, starts, lengths) : attend<64, 1>(ctx, a, y, lse, starts, lengths);
  if (size <= 128)
    return few ? attend<16, 2>(ctx, a, y, lse, starts, lengths) : attend<32, 2>(ctx, a, y, lse, starts, lengths);
  return attend<16, 4>(ctx, a, y, lse, starts, lengths);
}

}  // namespace pt_cuda
