// Causal grouped-query attention, over packed sequences and over a paged cache, by online softmax over key blocks (Milakov &
// Gimelshein 2018, arXiv 1805.02867; Dao et al. 2022, arXiv 2205.14135). Query head h reads key-value head h / (H/G); query i sees
// keys j <= i of its own sequence, and nothing of later ones (a NaN there stays there).
//
// Forward, row by row. Key blocks are the KEY_BLOCK keys from multiples of KEY_BLOCK in the sequence on, cache or not. Per block:
//   s_j = chain(q[d] * k_j[d], d ascending) * scale         chain: fused multiply-adds, one after the other, from +0
//   m_b = max s_j;  p_j = exp(s_j - m_b);  l_b = sum of p_j, lane j mod 16, then the tree of simd.h
//   o_b[d] = chain(p_j * v_j[d], j ascending)
// Blocks join in order, from m = -inf, l = 0, o = 0, and always in full:
//   m' = max(m, m_b), a = exp(m - m'), c = exp(m_b - m');  l = fma(l_b, c, l * a);  o = fma(o_b, c, o * a)
// At the end y = o / l, lse = m + log(l) in double.
// A score of minus infinity weighs nothing, alone or as a whole block: where a maximum is minus infinity, exp is taken relative to the
// lowest finite number. A row all of whose scores are minus infinity has no softmax: y is NaN, lse minus infinity.
//
// How rows are grouped into tiles and tiles into work changes no chain, so it changes no bit.
#include "attention.h"
#include "math64.h"

namespace PT_NAMESPACE {

// Rows whose softmax is done together, a row to a lane where a row has one number.
constexpr int GROUP_ROWS = 2 * TILE_ROWS;
static_assert(GROUP_ROWS <= LANES, "a group's row statistics share one vector");

constexpr float LOWEST = -3.40282347e38f;
PT_INLINE f32x16 finite(f32x16 maximum) { return max(maximum, splat(LOWEST)); }

PT_INLINE int64_t larger(int64_t a, int64_t b) { return a > b ? a : b; }

// Where one key block of one key-value head lies.
struct KeyBlock {
  const float* keys;  // a row each, `stride` apart; or across: (size, KEY_BLOCK)
  const float* values;
  int64_t stride;
  bool across;
};

// One piece of work: consecutive queries of one sequence with all the query heads of one key-value head. A row is a query and a
// head, queries first; rows of one token are adjacent in memory, tokens `stride` floats apart.
struct Queries {
  int64_t count, heads, size, stride;
  int64_t first;  // position of the first query
};

static int64_t attend_floats(int64_t rows, int64_t size) {
  return round_up(rows * size) + rows * round_up(size) + 2 * round_up(rows + LANES) + round_up(KEY_BLOCK * size) +
         KEY_BLOCK * round_up(size) + GROUP_ROWS * KEY_BLOCK;
}

// The tree of simd.h for each row of x (rows, 16), four rows at a time; rows up to the next multiple of four are read.
template <class Combine>
PT_INLINE void reduce_rows(float* to, const float* x, int64_t rows, const Combine& combine) {
  for (int64_t r = 0; r < rows; r += 4) {
    quad left[4];
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) {
      const float* row = x + (r + i) * LANES;
      left[i] = combine(combine(load_quad(row), load_quad(row + 8)), combine(load_quad(row + 4), load_quad(row + 12)));
    }
    transpose_quads(left);
    const quad sums = combine(combine(left[0], left[2]), combine(left[1], left[3]));
    memcpy(to + r, &sums, sizeof sums);
  }
}

// The scores of columns c .. c + 15, scaled; minus infinity from `visible` on.
PT_INLINE f32x16 scaled(const float* s, int64_t c, int64_t visible, f32x16 scale) {
  const f32x16 x = mul(load(s + c), scale);
  return visible < c + LANES ? keep_first(x, visible - c, -__builtin_inff()) : x;
}

// The lanes' maxima of the scaled scores.
PT_INLINE f32x16 maxima(const float* s, int64_t visible, f32x16 scale) {
  f32x16 top = splat(-__builtin_inff());
  for (int64_t c = 0; c < visible; c += LANES) top = max(scaled(s, c, visible, scale), top);
  return top;
}

// p_j = exp(s_j - m) in place; returns the lanes' sums.
PT_INLINE f32x16 soften(float* s, int64_t visible, f32x16 scale, f32x16 m) {
  f32x16 sum = splat(0.0f);
  for (int64_t c = 0; c < visible; c += LANES) {
    const f32x16 p = exp(sub(scaled(s, c, visible, scale), m));
    store(s + c, p);
    sum = add(sum, p);
  }
  return sum;
}

// The softmax of one block over a group of rows, in place in s (rows, KEY_BLOCK); block_max and block_sum get m_b and l_b.
template <bool WHOLE>
static void soften_rows(float* s, int64_t rows, const int64_t* visible, float scale, float* block_max,
                        float* block_sum) {
  alignas(64) float lanes[(GROUP_ROWS + 3) / 4 * 4 * LANES];
  for (int64_t i = rows; i % 4 != 0; i++) store(lanes + i * LANES, splat(0.0f));
  for (int64_t i = 0; i < rows; i++)
    store(lanes + i * LANES, maxima(s + i * KEY_BLOCK, WHOLE ? KEY_BLOCK : visible[i], splat(scale)));
  reduce_rows(block_max, lanes, rows, [](quad a, quad b) { return a > b ? a : b; });
  for (int64_t i = 0; i < rows; i++)
    store(lanes + i * LANES, soften(s + i * KEY_BLOCK, WHOLE ? KEY_BLOCK : visible[i], splat(scale), finite(splat(block_max[i]))));
  reduce_rows(block_sum, lanes, rows, [](quad a, quad b) { return a + b; });
}

// The forward of one piece of work. block(b) says where key block b lies; only keys up to the last query's are read.
template <class Block>
static void attend(const Queries& w, float* y, float* lse, int64_t lse_stride, const float* q, float scale,
                   const Block& block, float* memory) {
  const int64_t rows = w.count * w.heads, size = w.size, padded = round_up(size);
  Carver carver = {memory};
  float* packed = carver.take(rows * size);
  float* o = carver.take(rows * padded);
  float* m = carver.take(rows + LANES);
  float* l = carver.take(rows + LANES);
  float* keys_across = carver.take(KEY_BLOCK * size);
  float* values_copy = carver.take(KEY_BLOCK * padded);
  float* p = carver.take(GROUP_ROWS * KEY_BLOCK);

  for (int64_t i = 0; i < w.count; i++)
    memcpy(packed + i * w.heads * size, q + i * w.stride, w.heads * size * sizeof(float));
  memset(o, 0, rows * padded * sizeof(float));
  for (int64_t r = 0; r < rows + LANES; r++) m[r] = -__builtin_inff(), l[r] = 0.0f;

  int64_t whole[TILE_ROWS];
  for (int64_t& end : whole) end = size;
  const int64_t all_keys = w.first + w.count;
  for (int64_t start = 0, b = 0; start < all_keys; start += KEY_BLOCK, b++) {
    const int64_t keys = smaller(KEY_BLOCK, all_keys - start);
    const KeyBlock at = block(b);
    if (!at.across) transpose(keys_across, at.keys, at.stride, keys, size);
    const float* across = at.across ? at.keys : keys_across;
    const Right values = dense_rows(values_copy, at.values, at.stride, keys, size);
    const int64_t first_row = larger(0, start - w.first) * w.heads;
    for (int64_t r = first_row; r < rows; r += GROUP_ROWS) {
      const int64_t n = smaller(GROUP_ROWS, rows - r);
      int64_t visible[GROUP_ROWS];
      visible[0] = smaller(keys, w.first + r / w.heads + 1 - start);
      for (int64_t i = 1; i < n; i++)
        visible[i] = visible[0] == keys ? keys : smaller(keys, w.first + (r + i) / w.heads + 1 - start);
      for (int64_t i = 0; i < n; i += TILE_ROWS) {
        const int64_t height = smaller(TILE_ROWS, n - i);
        product_to_ends(height, round_up(visible[i + height - 1]), Along(packed + (r + i) * size, size),
                        {across, KEY_BLOCK}, whole, nullptr, 0, Store{p + i * KEY_BLOCK, KEY_BLOCK});
      }

      alignas(64) float block_max[LANES] = {}, block_sum[LANES] = {};
      if (visible[0] == KEY_BLOCK)
        soften_rows<true>(p, n, visible, scale, block_max, block_sum);
      else
        soften_rows<false>(p, n, visible, scale, block_max, block_sum);

      alignas(64) float keeps[LANES], enters[LANES];
      const f32x16 old = load(m + r), here = load(block_max), both = max(old, here);
      const f32x16 keep = exp(sub(old, finite(both))), enter = exp(sub(here, finite(both)));
      store_first(m + r, both, n);
      store_first(l + r, fma(load(block_sum), enter, mul(load(l + r), keep)), n);
      store(keeps, keep);
      store(enters, enter);
      for (int64_t i = 0; i < n; i += TILE_ROWS)
        product_to_ends(smaller(TILE_ROWS, n - i), padded, Along(p + i * KEY_BLOCK, KEY_BLOCK), values, visible + i,
                        nullptr, 0, Join{o + (r + i) * padded, padded, keeps + i, enters + i});
    }
  }
  for (int64_t r = 0; r < rows; r++) {
    const int64_t i = r / w.heads, h = r % w.heads;
    float* to = y + i * w.stride + h * size;
    for (int64_t d = 0; d < size; d += LANES) {
      const f32x16 value = div(load(o + r * padded + d), splat(l[r]));
      if (d + LANES <= size)
        store(to + d, value);
      else
        store_first(to + d, value, size - d);
    }
    lse[i * lse_stride + h] = static_cast<float>(static_cast<double>(m[r]) + log64(static_cast<double>(l[r])));
  }
}

// Queries of a piece: enough rows to pay for transposing a key block, few enough to stay in the second-level cache.
PT_INLINE int64_t query_tile(int64_t heads) { return heads >= 192 ? 1 : smaller(KEY_BLOCK, 192 / heads); }

// Both forwards: position(s) is that of a sequence's first query, block(s, g, b) says where its key block b lies.
template <class Position, class Block>
static int attention(const pt_context* ctx, pt_tensor y, pt_tensor lse, pt_tensor q, int64_t groups,
                     const int32_t* starts, int64_t sequences, double scale, const Position& position,
                     const Block& block) {
  const int64_t all_heads = q.dims[1], size = q.dims[2], heads = all_heads / groups, tile = query_tile(heads);
  const int64_t pieces = cut(nullptr, starts, sequences, tile);
  if (pieces == 0) return 0;
  const int64_t floats = attend_floats(tile * heads, size);
  float* memory = static_cast<float*>(ctx->scratch(
      ctx, ctx->threads * floats * static_cast<int64_t>(sizeof(float)) + pieces * static_cast<int64_t>(sizeof(Piece))));
  if (!memory) return 1;
  Piece* work = reinterpret_cast<Piece*>(memory + ctx->threads * floats);
  cut(work, starts, sequences, tile);
  // Last pieces first: under causality they are the longest.
  parallel(ctx, pieces * groups, [&](int64_t item, int32_t thread) {
    const int64_t g = item % groups;
    const Piece piece = work[pieces - 1 - item / groups];
    const int64_t s = piece.sequence, row = starts[s] + piece.first;
    const Queries w = {smaller(tile, starts[s + 1] - row), heads, size, all_heads * size, position(s) + piece.first};
    const int64_t head = row * all_heads + g * heads;
    attend(
        w, f32(y) + head * size, f32(lse) + head, all_heads, f32(q) + head * size, static_cast<float>(scale),
        [&](int64_t b) { return block(s, g, b); }, memory + thread * floats);
  });
  return 0;
}

int attention_forward(const pt_context* ctx, pt_tensor y, pt_tensor lse, pt_tensor q, pt_tensor k, pt_tensor v,
                      pt_tensor starts, double scale) {
  if (refuse_bf16(ctx, "y", y, "q", q, "k", k, "v", v)) return 1;
  const int64_t groups = k.dims[1], size = k.dims[2], sequences = starts.dims[0] - 1;
  if (check_heads(ctx, q.dims[1], groups) || check_starts(ctx, i32(starts), sequences, q.dims[0])) return 1;
  return attention(
      ctx, y, lse, q, groups, i32(starts), sequences, scale, [](int64_t) { return static_cast<int64_t>(0); },
      [=](int64_t s, int64_t g, int64_t b) {
        const int64_t at = ((i32(starts)[s] + b * KEY_BLOCK) * groups + g) * size;
        return KeyBlock{f32(k) + at, f32(v) + at, groups * size, false};
      });
}

int attention_cached_forward(const pt_context* ctx, pt_tensor y, pt_tensor lse, pt_tensor q, pt_tensor keys,
                             pt_tensor values, pt_tensor starts, pt_tensor lengths, pt_tensor pages, double scale) {
  if (refuse_bf16(ctx, "y", y, "q", q, "keys", keys, "values", values)) return 1;
  const int64_t groups = keys.dims[1], size = keys.dims[2], page_keys = keys.dims[3];
  const int64_t sequences = starts.dims[0] - 1, pages_each = pages.dims[1];
  if (check_heads(ctx, q.dims[1], groups) || check_starts(ctx, i32(starts), sequences, q.dims[0])) return 1;
  if (page_keys != KEY_BLOCK) {
    ctx->fail(ctx, "pages hold %lld keys, expected %lld", static_cast<long long>(page_keys),
              static_cast<long long>(KEY_BLOCK));
    return 1;
  }
  for (int64_t s = 0; s < sequences; s++) {
    const int64_t added = i32(starts)[s + 1] - i32(starts)[s], length = i32(lengths)[s];
    if (added == 0) continue;
    if (length < added || length > pages_each * KEY_BLOCK) {
      ctx->fail(ctx, "lengths[%lld] is %lld: expected the %lld new keys at least and %lld, all its pages, at most",
                static_cast<long long>(s), static_cast<long long>(length), static_cast<long long>(added),
                static_cast<long long>(pages_each * KEY_BLOCK));
      return 1;
    }
    for (int64_t b = 0; b * KEY_BLOCK < length; b++) {
      const int32_t page = i32(pages)[s * pages_each + b];
      if (page < 0 || page >= keys.dims[0]) {
        ctx->fail(ctx, "pages[%lld, %lld] is %d, but the cache has %lld pages", static_cast<long long>(s),
                  static_cast<long long>(b), static_cast<int>(page), static_cast<long long>(keys.dims[0]));
        return 1;
      }
    }
  }
  return attention(
      ctx, y, lse, q, groups, i32(starts), sequences, scale,
      [=](int64_t s) { return static_cast<int64_t>(i32(lengths)[s] - (i32(starts)[s + 1] - i32(starts)[s])); },
      [=](int64_t s, int64_t g, int64_t b) {
        const int64_t at = (i32(pages)[s * pages_each + b] * groups + g) * KEY_BLOCK * size;
        return KeyBlock{f32(keys) + at, f32(values) + at, size, true};
      });
}

}  // namespace PT_NAMESPACE
