// What attention's kernels share, in the order of cpu/attention.cpp and cpu/attention_backward.cpp. A block of threads has ROWS rows (queries, or
// keys where their gradients are made) of one head and walks the other side in blocks of 64. Half a warp has four rows: its 16 threads are the
// lanes of a row's sums, thread x owning columns x, x + 16, x + 32 and x + 48 of a block, and the four x + 64 g .. of what is summed over it.
#pragma once
#include "checks.h"
#include "copies.h"

namespace pt_cuda {

constexpr int BLOCK = 64;           // keys, or queries, of a block
constexpr int ACROSS = BLOCK + 4;   // floats from row to row of weights in shared memory
constexpr int64_t MOST_SIZE = 256;  // of a head

// Sequences cut into tiles of rows: tiles [first[s], first[s + 1]) are those of sequence s.
struct Tiles {
  const int32_t* starts;
  const int32_t* first;
  int64_t sequences;
  int tile;
};
struct Tile {
  int64_t row;     // of the call: the tile's first
  int64_t begin;   // the same in its sequence
  int64_t length;  // of the sequence
  int64_t sequence;
};
// Tile number i; false where there is none.
PT_SCALAR bool find_tile(const Tiles& tiles, int64_t i, Tile* tile) {
  if (i >= tiles.first[tiles.sequences]) return false;
  int64_t low = 0, high = tiles.sequences;  // first[low] <= i < first[high]
  while (high - low > 1) {
    const int64_t middle = (low + high) / 2;
    if (tiles.first[middle] <= i)
      low = middle;
    else
      high = middle;
  }
  tile->begin = (i - tiles.first[low]) * tiles.tile;
  tile->row = tiles.starts[low] + tile->begin;
  tile->length = tiles.starts[low + 1] - tiles.starts[low];
  tile->sequence = low;
  return true;
}
// Enqueues the cut; first: sequences + 1 numbers of scratch. At most most_tiles() are there: as many blocks are launched.
int cut_sequences(const pt_context* ctx, pt_tensor starts, int tile, Tiles* tiles);
inline int64_t most_tiles(int64_t rows, int64_t sequences, int tile) { return rows / tile + sequences; }

// s[i][j] = chain(row ty * 4 + i [d] * column tx + 16 j [d], d ascending), rows and columns `stride` floats apart in shared memory.
PT_SCALAR void dot_rows(float (&s)[4][4], const float* rows, const float* columns, int stride, int size, int tx,
                        int ty) {
#pragma unroll
  for (int i = 0; i < 4; i++)
#pragma unroll
    for (int j = 0; j < 4; j++) s[i][j] = 0.0f;
  rows += ty * 4 * stride;
  columns += tx * stride;
  int d = 0;
  for (; d + 4 <= size; d += 4) {
    float4 a[4], b[4];
#pragma unroll
    for (int i = 0; i < 4; i++) a[i] = load4(rows + i * stride + d), b[i] = load4(columns + i * 16 * stride + d);
#pragma unroll
    for (int i = 0; i < 4; i++)
#pragma unroll
      for (int j = 0; j < 4; j++) {
        float sum = s[i][j];
        sum = multiply_add(a[i].x, b[j].x, sum);
        sum = multiply_add(a[i].y, b[j].y, sum);
        sum = multiply_add(a[i].z, b[j].z, sum);
        s[i][j] = multiply_add(a[i].w, b[j].w, sum);
      }
  }
  for (; d < size; d++)
#pragma unroll
    for (int i = 0; i < 4; i++)
#pragma unroll
      for (int j = 0; j < 4; j++) s[i][j] = multiply_add(rows[i * stride + d], columns[j * 16 * stride + d], s[i][j]);
}

// The softmax of a block of keys against its own maximum, of which row i sees the first visible[i]: weights are written, s is in place.
PT_SCALAR void soften(float (&s)[4][4], const int (&visible)[4], float scale, float* weights, float (&block_top)[4],
                      float (&block_sum)[4], int tx, int ty) {
#pragma unroll
  for (int i = 0; i < 4; i++) {
    float top = -__int_as_float(0x7f800000), sum = 0.0f;
#pragma unroll
    for (int j = 0; j < 4; j++) {
      s[i][j] = tx + 16 * j < visible[i] ? s[i][j] * scale : -__int_as_float(0x7f800000);
      top = larger(s[i][j], top);
    }
    block_top[i] = larger_of_halfwarp(top);
    const float shift = larger(block_top[i], LOWEST);
#pragma unroll
    for (int j = 0; j < 4; j++) {
      const float p = exp_one(s[i][j] - shift);
      weights[(ty * 4 + i) * ACROSS + tx + 16 * j] = p;
      sum = sum + p;
    }
    block_sum[i] = add_halfwarp(sum);
  }
}

// A row's statistics with those of its next block: what is there is to be kept times `keep`, the block's enters times `enter`.
struct Joined {
  float top, sum, keep, enter;
};
PT_SCALAR Joined join_blocks(float top, float sum, float block_top, float block_sum) {
  const float both = larger(top, block_top), at = larger(both, LOWEST);
  const float keep = exp_one(top - at), enter = exp_one(block_top - at);
  return {both, multiply_add(block_sum, enter, sum * keep), keep, enter};
}
PT_SCALAR float log_sum_exp(float top, float sum) {
  return static_cast<float>(static_cast<double>(top) + log64(static_cast<double>(sum)));
}

// sum[i][g][e] goes on with chain(weight[ty * 4 + i][k] * right[k][64 g + 4 tx + e], k ascending from begin[i] up to end[i]).
template <int GROUPS>
PT_SCALAR void add_weighted(float (&sum)[4][GROUPS][4], const float* weights, const float* right, int stride, int size,
                            const int (&begin)[4], const int (&end)[4], int tx, int ty) {
  weights += ty * 4 * ACROSS;
  int first = BLOCK, last = 0, all_from = 0, all_to = BLOCK;
#pragma unroll
  for (int i = 0; i < 4; i++) {
    if (begin[i] < end[i]) first = begin[i] < first ? begin[i] : first;
    last = end[i] > last ? end[i] : last;
    all_from = begin[i] > all_from ? begin[i] : all_from;
    all_to = end[i] < all_to ? end[i] : all_to;
  }
  for (int k = first / 4 * 4; k < last; k += 4) {
    float w[4][4];
#pragma unroll
    for (int i = 0; i < 4; i++) {
      const float4 v = load4(weights + i * ACROSS + k);
      w[i][0] = v.x, w[i][1] = v.y, w[i][2] = v.z, w[i][3] = v.w;
    }
    const bool whole = k >= all_from && k + 4 <= all_to;
#pragma unroll
    for (int g = 0; g < GROUPS; g++) {
      const int d = 64 * g + 4 * tx;
      if (d >= size) continue;
#pragma unroll
      for (int n = 0; n < 4; n++) {
        const float4 r = load4(right + (k + n) * stride + d);
#pragma unroll
        for (int i = 0; i < 4; i++) {
          if (!whole && (k + n < begin[i] || k + n >= end[i])) continue;
          sum[i][g][0] = multiply_add(w[i][n], r.x, sum[i][g][0]);
          sum[i][g][1] = multiply_add(w[i][n], r.y, sum[i][g][1]);
          sum[i][g][2] = multiply_add(w[i][n], r.z, sum[i][g][2]);
          sum[i][g][3] = multiply_add(w[i][n], r.w, sum[i][g][3]);
        }
      }
    }
  }
}

template <int GROUPS>
PT_SCALAR void clear(float (&sum)[4][GROUPS][4]) {
#pragma unroll
  for (int i = 0; i < 4; i++)
#pragma unroll
    for (int g = 0; g < GROUPS; g++)
#pragma unroll
      for (int e = 0; e < 4; e++) sum[i][g][e] = 0.0f;
}

// What is put, of row i's numbers: finish(sum) each.
template <bool WIDE, int GROUPS, class Finish>
PT_SCALAR void put_row(float* to, const float (&sum)[GROUPS][4], int size, int tx, const Finish& finish) {
#pragma unroll
  for (int g = 0; g < GROUPS; g++) {
    const int d = 64 * g + 4 * tx;
    if (WIDE && d < size)
      store4(to + d, float4{finish(sum[g][0]), finish(sum[g][1]), finish(sum[g][2]), finish(sum[g][3])});
    if (!WIDE)
#pragma unroll
      for (int e = 0; e < 4; e++)
        if (d + e < size) to[d + e] = finish(sum[g][e]);
  }
}

// What pages of a cache gave each row, where blocks of threads have a page each: of row (m, h) and page b at (m * heads + h) * pages_each + b. Null
// where rows walk their pages.
struct Pages {
  float *tops, *sums, *outs;
  int64_t pages_each;
};
// Memory for that, if so many blocks of threads are too few to fill the device; rows: queries times heads. Nonzero where there is none.
int take_pages(const pt_context* ctx, int64_t rows, int64_t size, int64_t blocks, Pages* pages);
// y and lse from what each row's pages gave, in their order.
int join_pages(const pt_context* ctx, pt_tensor y, pt_tensor lse, const Pages& pages, pt_tensor starts,
               pt_tensor lengths);

// run(groups of 64 numbers a head, rows wide): how many rows a block has is what its shared memory holds, 99 KB on the smallest target.
inline int refuse_heads(const pt_context* ctx, int64_t heads, int64_t groups, int64_t size) {
  if (groups <= 0 || heads <= 0 || heads % groups != 0) {
    ctx->fail(ctx, "%lld query heads cannot share %lld key-value heads evenly", static_cast<long long>(heads),
              static_cast<long long>(groups));
    return 1;
  }
  if (size <= MOST_SIZE) return 0;
  ctx->fail(ctx, "heads of %lld numbers: the cuda backend takes %lld at most", static_cast<long long>(size),
            static_cast<long long>(MOST_SIZE));
  return 1;
}
inline int stride_of(int64_t size) { return static_cast<int>(ceil_div(size, 4) * 4 + 4); }

}  // namespace pt_cuda
