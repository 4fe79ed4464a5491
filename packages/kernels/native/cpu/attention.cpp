// Causal grouped-query attention, over packed sequences and over a paged cache, by online softmax over key blocks (Milakov &
// Gimelshein 2018, arXiv 1805.02867; Dao et al. 2022, arXiv 2205.14135). Query head h reads key-value head h / (H/G); query i sees
// keys j <= i of its own sequence. A key that it does not see gives it nothing, whatever its value: NaN and infinities stay with those
// who see them, forward and backward, in a block or in a cache.
//
// Forward, row by row. Key blocks are the KEY_BLOCK keys from multiples of KEY_BLOCK in the sequence on, cache or not. Per block:
//   s_j = chain(q[d] * k_j[d], d ascending) * scale         chain: fused multiply-adds, one after the other, from +0
//   m_b = max s_j;  p_j = exp(s_j - m_b);  l_b = sum of p_j, lane j mod 16, then the tree of simd.h
//   o_b[d] = chain(p_j * v_j[d], j ascending)
// Blocks join in order, from m = -inf, l = 0, o = 0, and always in full:
//   m' = max(m, m_b), a = exp(m - m'), c = exp(m_b - m');  l = fma(l_b, c, l * a);  o = fma(o_b, c, o * a)
// At the end y = o / l, lse = m + log(l) in double.
//
// bf16: the two products are summed in the order of AMX (attention.h), scores along D with zeros behind it to a multiple of 32, o_b along
// the block's 64 keys; l_b sums what exp gave, p_j is rounded to bf16 for o_b, y at the end. Keys of the block that a query does not see
// take part with weight zero, which changes nothing; where a value among them is not finite they are left out.
//
// A score of minus infinity weighs nothing, alone or as a whole block: where a maximum is minus infinity, exp is taken relative to the
// lowest finite number. A row all of whose scores are minus infinity has no softmax: y is NaN, lse minus infinity.
//
// How rows are grouped into tiles and tiles into work changes no chain, so it changes no bit.
#include "attention_tiles.h"
#include "math64.h"

namespace PT_NAMESPACE {

// Rows whose softmax is done together, a row to a lane where a row has one number.
template <class T>
constexpr int GROUP_ROWS = IS_BF16<T> ? LANES : 2 * SCORE_ROWS;
// Rows of p that are stored: tiles store sixteen from where a part begins.
template <class T>
constexpr int GROUP_STORED = GROUP_ROWS<T> + (IS_BF16<T> ? LANES : 0);
static_assert(GROUP_ROWS<float> <= LANES, "a group's row statistics share one vector");

constexpr float LOWEST = -3.40282347e38f;
PT_INLINE f32x16 finite(f32x16 maximum) { return max(maximum, splat(LOWEST)); }

PT_INLINE int64_t larger(int64_t a, int64_t b) { return a > b ? a : b; }

// Where one key block of one key-value head lies.
template <class T>
struct KeyBlock {
  const T* keys;  // a row each, `stride` apart; or across: (size, KEY_BLOCK)
  const T* values;
  int64_t stride;
  bool across;
};

// One piece of work: queries that follow each other, of one sequence or one of each of several, with all the query heads of one key-value
// head. A row is a query and a head, queries first; rows of one token are adjacent in memory, tokens `stride` floats apart.
struct Queries {
  int64_t count, heads, size, stride;
};

// Rows of a piece that meet one key block together: queries of one sequence, or of sequences that share a page.
template <class T>
struct Part {
  int64_t row, count;
  KeyBlock<T> at;
  int64_t keys;  // as many as its last query sees
};

// Along what scores are summed: heads of bf16 have zeros behind them.
template <class T>
PT_INLINE int64_t inner(int64_t size) {
  return IS_BF16<T> ? round_up_pairs(size) : size;
}
// The rows of values and of y: in bf16 whole pairs of tiles.
template <class T>
PT_INLINE int64_t values_size(int64_t size) {
  return IS_BF16<T> ? round_up_pairs(size) : round_up(size);
}
template <class T>
static int64_t attend_floats(int64_t rows, int64_t size) {
  const int64_t depth = inner<T>(size), padded = values_size<T>(size);
  const int64_t narrow =
      (rows + LANES) * depth / 2 + KEY_BLOCK * depth / 2 + KEY_BLOCK * padded / 2 + GROUP_STORED<T> * KEY_BLOCK / 2;
  return (IS_BF16<T> ? round_up(narrow) + 4 * LANES : 0) + round_up(rows * depth) + rows * padded +
         2 * round_up(rows + LANES) + KEY_BLOCK * depth + KEY_BLOCK * depth + KEY_BLOCK * padded +
         GROUP_STORED<T> * KEY_BLOCK + GROUP_ROWS<T> * padded;
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

// p_j = exp(s_j - m) in place, in bf16 rounded and with zeros behind it; returns the lanes' sums, of what was not rounded.
template <class T>
PT_INLINE f32x16 soften(float* s, int64_t visible, f32x16 scale, f32x16 m) {
  f32x16 sum = splat(0.0f);
  int64_t c = 0;
  for (; c < visible; c += LANES) {
    const f32x16 p = exp(sub(scaled(s, c, visible, scale), m));
    store(s + c, IS_BF16<T> ? to_bf16_and_back(p) : p);
    sum = add(sum, p);
  }
  if (IS_BF16<T>)
    for (; c < KEY_BLOCK; c += LANES) store(s + c, splat(0.0f));
  return sum;
}

// The softmax of one block over a group of rows, in place in s (rows, KEY_BLOCK); block_max and block_sum get m_b and l_b.
template <class T, bool WHOLE>
static void soften_rows(float* s, int64_t rows, const int64_t* visible, float scale, float* block_max,
                        float* block_sum) {
  alignas(64) float lanes[(GROUP_ROWS<T> + 3) / 4 * 4 * LANES];
  for (int64_t i = rows; i % 4 != 0; i++) store(lanes + i * LANES, splat(0.0f));
  for (int64_t i = 0; i < rows; i++)
    store(lanes + i * LANES, maxima(s + i * KEY_BLOCK, WHOLE ? KEY_BLOCK : visible[i], splat(scale)));
  reduce_rows(block_max, lanes, rows, [](quad a, quad b) { return a > b ? a : b; });
  for (int64_t i = 0; i < rows; i++)
    store(lanes + i * LANES,
          soften<T>(s + i * KEY_BLOCK, WHOLE ? KEY_BLOCK : visible[i], splat(scale), finite(splat(block_max[i]))));
  reduce_rows(block_sum, lanes, rows, [](quad a, quad b) { return a + b; });
}

// The forward of one piece of work: position(i) is that of query i in its sequence, block(i, b) says where its key block b lies. Only keys
// up to a query's own are read, and of those that follow in its block none is used.
template <class T, class Tiles, class Position, class Block>
static void attend(const Queries& w, T* y, float* lse, int64_t lse_stride, const T* q, float scale,
                   const Position& position, const Block& block, float* memory) {
  const int64_t rows = w.count * w.heads, size = w.size, padded = values_size<T>(size), depth = inner<T>(size);
  Carver carver = {memory};
  float* packed = carver.take(rows * depth);
  float* o = carver.take(rows * padded);
  float* m = carver.take(rows + LANES);
  float* l = carver.take(rows + LANES);
  float* keys_across = carver.take(KEY_BLOCK * depth);
  float* keys_copy = carver.take(KEY_BLOCK * depth);
  float* values_copy = carver.take(KEY_BLOCK * padded);
  float* p = carver.take(GROUP_STORED<T> * KEY_BLOCK);
  float* block_o = carver.take(GROUP_ROWS<T> * padded);

  for (int64_t i = 0; i < w.count; i++) {
    if constexpr (IS_BF16<T>)
      get_rows(packed + i * w.heads * depth, depth, q + i * w.stride, size, w.heads, size, w.heads);
    else
      memcpy(packed + i * w.heads * size, q + i * w.stride, w.heads * size * sizeof(float));
  }
  // What tiles load: rows of queries and of p as they are, rows of keys across and of values in pairs.
  [[maybe_unused]] Tiles tiles;
  [[maybe_unused]] bf16 *narrow_packed = nullptr, *narrow_p = nullptr;
  [[maybe_unused]] uint32_t *key_pairs = nullptr, *value_pairs = nullptr;
  if constexpr (HAS_TILES<Tiles>) {
    narrow_packed = reinterpret_cast<bf16*>(carver.take((rows + LANES) * depth / 2));
    narrow_p = reinterpret_cast<bf16*>(carver.take(GROUP_STORED<T> * KEY_BLOCK / 2));
    key_pairs = reinterpret_cast<uint32_t*>(carver.take(KEY_BLOCK * depth / 2));
    value_pairs = reinterpret_cast<uint32_t*>(carver.take(KEY_BLOCK * padded / 2));
    narrow_rows(narrow_packed, packed, rows * depth);
    memset(narrow_packed + rows * depth, 0, LANES * depth * sizeof(bf16));
  }
  memset(o, 0, rows * padded * sizeof(float));
  for (int64_t r = 0; r < rows + LANES; r++) m[r] = -__builtin_inff(), l[r] = 0.0f;

  int64_t whole[SCORE_ROWS];
  for (int64_t& end : whole) end = size;
  // What of a block is in the buffers, so that parts which share it bring it there once.
  const T *keys_here = nullptr, *values_here = nullptr;
  int64_t keys_count = 0, values_count = 0;
  const float* across = keys_across;
  Right values = {values_copy, padded};
  [[maybe_unused]] int infinite = -1;  // unknown
  const auto get_keys = [&](const Part<T>& part) {
    if (keys_here == part.at.keys && keys_count == part.keys) return;
    keys_here = part.at.keys, keys_count = part.keys;
    if constexpr (IS_BF16<T>) {
      if (part.at.across) {
        get_rows(keys_across, KEY_BLOCK, part.at.keys, KEY_BLOCK, size, KEY_BLOCK, depth);
      } else {
        get_rows(keys_copy, depth, part.at.keys, part.at.stride, part.keys, size, KEY_BLOCK);
        transpose(keys_across, keys_copy, depth, part.keys, depth);
      }
      if constexpr (HAS_TILES<Tiles>) pair_rows(key_pairs, keys_across, KEY_BLOCK, depth);
    } else if (part.at.across) {
      across = part.at.keys;
    } else {
      transpose(keys_across, part.at.keys, part.at.stride, part.keys, size);
    }
  };
  const auto get_values = [&](const Part<T>& part) {
    if (values_here == part.at.values && values_count == part.keys) return;
    values_here = part.at.values, values_count = part.keys;
    if constexpr (IS_BF16<T>) {
      get_rows(values_copy, padded, part.at.values, part.at.stride, part.keys, size, KEY_BLOCK);
      if constexpr (HAS_TILES<Tiles>) pair_rows(value_pairs, values_copy, padded, KEY_BLOCK);
      infinite = -1;
    } else {
      values = dense_rows(values_copy, part.at.values, part.at.stride, part.keys, size);
    }
  };

  // A group: parts whose rows follow each other, softmax done together.
  Part<T> parts[GROUP_ROWS<T>];
  int64_t part_count = 0, filled = 0;
  const auto attend_group = [&](int64_t start) {
    const int64_t r = parts[0].row, n = filled;
    int64_t visible[GROUP_ROWS<T>], least = KEY_BLOCK;
    for (int64_t i = 0; i < n; i++) {
      visible[i] = smaller(KEY_BLOCK, position((r + i) / w.heads) + 1 - start);
      least = smaller(least, visible[i]);
    }
    for (int64_t part = 0; part < part_count; part++) {
      const Part<T>& x = parts[part];
      const int64_t at = x.row - r, *const seen = visible + at;
      get_keys(x);
      // Sixteen rows are stored by tiles: what lies behind the part's own is overwritten by the parts that follow, or by nobody read.
      if constexpr (HAS_TILES<Tiles>) {
        product_of_tiles(tiles, LANES, KEY_BLOCK, depth, narrow_packed + x.row * depth, key_pairs, p + at * KEY_BLOCK,
                         true);
      } else if constexpr (IS_BF16<T>) {
        const FlushSubnormals flush;
        product_of_pairs(x.count, round_up(seen[x.count - 1]), along(packed + x.row * depth, depth),
                         {across, KEY_BLOCK}, depth, p + at * KEY_BLOCK, KEY_BLOCK, true);
      } else {
        for (int64_t i = 0; i < x.count; i += SCORE_ROWS) {
          const int64_t height = smaller(SCORE_ROWS, x.count - i);
          product_to_ends(height, round_up(seen[i + height - 1]), along(packed + (x.row + i) * size, size),
                          {across, KEY_BLOCK}, whole, nullptr, 0, Store{p + (at + i) * KEY_BLOCK, KEY_BLOCK});
        }
      }
    }

    alignas(64) float block_max[LANES] = {}, block_sum[LANES] = {};
    if (least == KEY_BLOCK)
      soften_rows<T, true>(p, n, visible, scale, block_max, block_sum);
    else
      soften_rows<T, false>(p, n, visible, scale, block_max, block_sum);

    alignas(64) float keeps[LANES], enters[LANES];
    const f32x16 old = load(m + r), here = load(block_max), both = max(old, here);
    const f32x16 keep = exp(sub(old, finite(both))), enter = exp(sub(here, finite(both)));
    store_first(m + r, both, n);
    store_first(l + r, fma(load(block_sum), enter, mul(load(l + r), keep)), n);
    store(keeps, keep);
    store(enters, enter);
    if constexpr (HAS_TILES<Tiles>) narrow_rows(narrow_p, p, n * KEY_BLOCK);
    for (int64_t part = 0; part < part_count; part++) {
      const Part<T>& x = parts[part];
      const int64_t at = x.row - r, *const seen = visible + at;
      float* const weights = p + at * KEY_BLOCK;
      get_values(x);
      if constexpr (IS_BF16<T>) {
        if (seen[0] < x.keys && infinite < 0) infinite = any_infinite(values_copy, x.keys * padded);
        if (seen[0] < x.keys && infinite) {
          // Somebody does not see a value that a weight of zero would not silence.
          product_of_seen(
              x.count, padded, along(weights, KEY_BLOCK), values, KEY_BLOCK, [](int64_t) { return 0; },
              [&](int64_t i) { return seen[i]; }, block_o, padded, true);
        } else if constexpr (HAS_TILES<Tiles>) {
          product_of_tiles(tiles, LANES, padded, KEY_BLOCK, narrow_p + at * KEY_BLOCK, value_pairs, block_o, true);
        } else {
          const FlushSubnormals flush;
          // Further keys weigh zero, and zeros at the end change no sum that began at +0.
          product_of_pairs(x.count, padded, along(weights, KEY_BLOCK), values, round_up_pairs(seen[x.count - 1]),
                           block_o, padded, true);
        }
        const Join join = {o + x.row * padded, padded, keeps + at, enters + at};
        for (int64_t i = 0; i < x.count; i++)
          for (int64_t d = 0; d < padded; d += LANES) join(i, d, load(block_o + i * padded + d));
      } else {
        for (int64_t i = 0; i < x.count; i += SCORE_ROWS)
          product_to_ends(smaller(SCORE_ROWS, x.count - i), padded, along(weights + i * KEY_BLOCK, KEY_BLOCK), values,
                          seen + i, nullptr, 0,
                          Join{o + (x.row + i) * padded, padded, keeps + at + i, enters + at + i});
      }
    }
    part_count = filled = 0;
  };

  int64_t all_keys = 0;
  for (int64_t i = 0; i < w.count; i++) all_keys = larger(all_keys, position(i) + 1);
  for (int64_t start = 0, b = 0; start < all_keys; start += KEY_BLOCK, b++) {
    for (int64_t i = 0, end; i < w.count; i = end) {
      end = i + 1;
      if (position(i) < start) {
        if (filled > 0) attend_group(start);
        continue;
      }
      const KeyBlock<T> at = block(i, b);
      while (end < w.count && position(end) >= position(end - 1) && block(end, b).keys == at.keys) end++;
      const int64_t keys = smaller(KEY_BLOCK, position(end - 1) + 1 - start), last = end * w.heads;
      if (filled + last - i * w.heads > GROUP_ROWS<T> && filled > 0) attend_group(start);
      for (int64_t r = i * w.heads; r < last;) {
        const int64_t count = smaller(GROUP_ROWS<T> - filled, last - r);
        parts[part_count++] = {r, count, at, keys};
        r += count;
        filled += count;
        if (filled == GROUP_ROWS<T>) attend_group(start);
      }
    }
    if (filled > 0) attend_group(start);
  }
  for (int64_t r = 0; r < rows; r++) {
    const int64_t i = r / w.heads, h = r % w.heads;
    T* to = y + i * w.stride + h * size;
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

// A range of work: `count` queries from `first` on (counted in the call, of `sequence`), or one query of each of `count` sequences.
struct Piece {
  int32_t sequence, first, count;
  bool each;
};

// The pieces of all sequences, `tile` queries each at most. Sequences of one query come together as long as shares(s) says that s shares
// its first page with the one before, and up to `fewest` even if not. Returns how many pieces; null: only counts.
template <class Shares>
static int64_t cut_sequences(Piece* pieces, const int32_t* starts, int64_t sequences, int64_t tile, int64_t fewest,
                             const Shares& shares) {
  int64_t n = 0, open = 0;  // queries of the piece that goes on
  for (int64_t s = 0; s < sequences; s++) {
    const int64_t added = starts[s + 1] - starts[s];
    if (added == 1 && open > 0 && open < tile && (open < fewest || shares(s))) {
      open++;
      if (pieces) pieces[n - 1].count++;
      continue;
    }
    for (int64_t i = 0; i < added; i += tile, n++)
      if (pieces)
        pieces[n] = {static_cast<int32_t>(s), static_cast<int32_t>(i), static_cast<int32_t>(smaller(tile, added - i)),
                     added == 1};
    open = added == 1 ? 1 : 0;
  }
  return n;
}

// Both forwards: position(s) is that of a sequence's first query, block(s, g, b) says where its key block b lies, shares(s) whether it has
// the first of them from the sequence before it.
template <class T, class Tiles, class Position, class Block, class Shares>
static int attention(const pt_context* ctx, pt_tensor y, pt_tensor lse, pt_tensor q, int64_t groups,
                     const int32_t* starts, int64_t sequences, double scale, const Position& position,
                     const Block& block, const Shares& shares) {
  const int64_t all_heads = q.dims[1], size = q.dims[2], heads = all_heads / groups, tile = query_tile(heads);
  // Single queries: a group's rows, as long as no thread waits for it.
  const int64_t fewest = smaller(ceil_div(sequences * groups, 4 * ctx->threads), larger(1, GROUP_ROWS<T> / heads));
  const int64_t pieces = cut_sequences(nullptr, starts, sequences, tile, fewest, shares);
  if (pieces == 0) return 0;
  const int64_t floats = attend_floats<T>(tile * heads, size);
  float* memory = static_cast<float*>(ctx->scratch(
      ctx, ctx->threads * floats * static_cast<int64_t>(sizeof(float)) + pieces * static_cast<int64_t>(sizeof(Piece))));
  if (!memory) return 1;
  Piece* work = reinterpret_cast<Piece*>(memory + ctx->threads * floats);
  cut_sequences(work, starts, sequences, tile, fewest, shares);
  // Last pieces first: under causality they are the longest.
  parallel(ctx, pieces * groups, [&](int64_t item, int32_t thread) {
    const int64_t g = item % groups;
    const Piece piece = work[pieces - 1 - item / groups];
    const int64_t s = piece.sequence, row = starts[s] + piece.first;
    const Queries w = {piece.count, heads, size, all_heads * size};
    const int64_t head = row * all_heads + g * heads;
    const auto run = [&](const auto& positions, const auto& blocks) {
      attend<T, Tiles>(w, static_cast<T*>(y.data) + head * size, f32(lse) + head, all_heads,
                       static_cast<const T*>(q.data) + head * size, static_cast<float>(scale), positions, blocks,
                       memory + thread * floats);
    };
    if (piece.each)
      run([&](int64_t i) { return position(s + i); }, [&](int64_t i, int64_t b) { return block(s + i, g, b); });
    else
      run([&, first = position(s) + piece.first](int64_t i) { return first + i; },
          [&](int64_t, int64_t b) { return block(s, g, b); });
  });
  return 0;
}

template <class T, class Tiles>
static int packed_forward(const pt_context* ctx, pt_tensor y, pt_tensor lse, pt_tensor q, pt_tensor k, pt_tensor v,
                          pt_tensor starts, double scale) {
  const int64_t groups = k.dims[1], size = k.dims[2], sequences = starts.dims[0] - 1;
  return attention<T, Tiles>(
      ctx, y, lse, q, groups, i32(starts), sequences, scale, [](int64_t) { return static_cast<int64_t>(0); },
      [=](int64_t s, int64_t g, int64_t b) {
        const int64_t at = ((i32(starts)[s] + b * KEY_BLOCK) * groups + g) * size;
        return KeyBlock<T>{static_cast<const T*>(k.data) + at, static_cast<const T*>(v.data) + at, groups * size,
                           false};
      },
      [](int64_t) { return false; });
}
template <class T, class Tiles>
static int cached_forward(const pt_context* ctx, pt_tensor y, pt_tensor lse, pt_tensor q, pt_tensor keys,
                          pt_tensor values, pt_tensor starts, pt_tensor lengths, pt_tensor pages, double scale) {
  const int64_t groups = keys.dims[1], size = keys.dims[2], pages_each = pages.dims[1];
  return attention<T, Tiles>(
      ctx, y, lse, q, groups, i32(starts), starts.dims[0] - 1, scale,
      [=](int64_t s) { return static_cast<int64_t>(i32(lengths)[s] - (i32(starts)[s + 1] - i32(starts)[s])); },
      [=](int64_t s, int64_t g, int64_t b) {
        const int64_t at = (i32(pages)[s * pages_each + b] * groups + g) * KEY_BLOCK * size;
        return KeyBlock<T>{static_cast<const T*>(keys.data) + at, static_cast<const T*>(values.data) + at, size, true};
      },
      [=](int64_t s) { return i32(pages)[s * pages_each] == i32(pages)[(s - 1) * pages_each]; });
}

int attention_forward(const pt_context* ctx, pt_tensor y, pt_tensor lse, pt_tensor q, pt_tensor k, pt_tensor v,
                      pt_tensor starts, double scale) {
  if (refuse_mixed(ctx, "q", q, "k", k) || refuse_mixed(ctx, "q", q, "v", v) || refuse_mixed(ctx, "q", q, "y", y))
    return 1;
  if (check_heads(ctx, q.dims[1], k.dims[1]) || check_starts(ctx, i32(starts), starts.dims[0] - 1, q.dims[0])) return 1;
  if (!is_bf16(q)) return packed_forward<float, NoTiles>(ctx, y, lse, q, k, v, starts, scale);
  return with_tiles(ctx, [&](auto tiles) {
    return packed_forward<bf16, typename decltype(tiles)::type>(ctx, y, lse, q, k, v, starts, scale);
  });
}

int attention_cached_forward(const pt_context* ctx, pt_tensor y, pt_tensor lse, pt_tensor q, pt_tensor keys,
                             pt_tensor values, pt_tensor starts, pt_tensor lengths, pt_tensor pages, double scale) {
  if (refuse_mixed(ctx, "q", q, "keys", keys) || refuse_mixed(ctx, "q", q, "values", values)) return 1;
  if (refuse_mixed(ctx, "q", q, "y", y)) return 1;
  const int64_t groups = keys.dims[1], page_keys = keys.dims[3];
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
  if (!is_bf16(q)) return cached_forward<float, NoTiles>(ctx, y, lse, q, keys, values, starts, lengths, pages, scale);
  return with_tiles(ctx, [&](auto tiles) {
    return cached_forward<bf16, typename decltype(tiles)::type>(ctx, y, lse, q, keys, values, starts, lengths, pages,
                                                                scale);
  });
}

}  // namespace PT_NAMESPACE
