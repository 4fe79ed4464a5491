// The backward of attention.cpp, from lse; delta_i = sum of dy_i * y_i by lanes and tree; s as in the forward:
//   p_ij = exp(s_ij - lse_i);  ds_ij = p_ij * (chain(dy_i[d] * v_j[d]) - delta_i)
//   dq_i = chain(ds_ij * k_j, j ascending) * scale
//   dk_j = chain(ds_ij * q_i, query heads ascending, in each i ascending from j) * scale
//   dv_j = chain(p_ij * dy_i, in the same order)
// bf16: dy, p and ds are rounded to bf16 for the products, which are summed in the order of AMX (attention.h): dq along whole key
// blocks, dk and dv along whole query blocks from the key's own on, what is not seen being zero, or left out where it would meet what is
// not finite. Gradients stay fp32.
// Memory is linear in the tokens: p and ds exist for one pair of blocks at a time. Dao et al. 2022 (arXiv 2205.14135).
#include "attention_tiles.h"
#include "attention_turns.h"

namespace PT_NAMESPACE {

// dy, of either dtype: rows of it are read once for many products, so that their dtype is asked for there.
struct Output {
  const void* data;
  bool narrow;
};

// One query head of one sequence with its key-value head: where its first token lies.
template <class T>
struct Head {
  const T *q, *k, *v, *y;
  Output dy;
  const float* lse;
  float *delta, *dq, *dk, *dv;
  int64_t tokens, size, q_stride, k_stride, statistics_stride;
  bool first, last;  // among the heads of its group
  float scale;
};

template <class F>
PT_INLINE void with_output(const Output& dy, const F& f) {
  if (dy.narrow)
    f(static_cast<const bf16*>(dy.data));
  else
    f(static_cast<const float*>(dy.data));
}

// Key blocks of a piece of work: the queries' rows stream past that many at once; what they need lies in the second-level cache.
PT_INLINE int64_t span(int64_t size) { return size <= 64 ? 4 : 2; }

// Rows have zeros behind them: to whole vectors, in bf16 to whole blocks of its sums.
template <class T>
PT_INLINE int64_t padded_size(int64_t size) {
  return IS_BF16<T> ? round_up_pairs(size) : round_up(size);
}

struct KeyBuffers {
  float *keys_across, *values_across, *keys, *dk, *dv;
};
// One query block's.
struct QueryBuffers {
  float *q, *dy, *dq, *p, *ds;
};
// The same as tiles load them: of a key block what is on the right of scores, of dy v and of dq; of a query block rows and columns of q
// and dy, and p and ds in pairs of queries. dk and dv are summed across then, so that p and ds need not be turned.
struct KeyPairs {
  uint32_t *keys_across, *values_across, *keys;
};
struct NarrowQueries {
  bf16 *q, *dy, *q_across, *dy_across, *ds;
  uint32_t *p_pairs, *ds_pairs;
  float* across;
};
static KeyPairs take_key_pairs(Carver& c, int64_t padded) {
  const auto take = [&] { return reinterpret_cast<uint32_t*>(c.take(KEY_BLOCK * padded / 2)); };
  return {take(), take(), take()};
}
static NarrowQueries take_narrow(Carver& c, int64_t padded) {
  const auto take = [&](int64_t columns) { return c.take(KEY_BLOCK * columns / 2); };
  const auto narrow = [&](int64_t columns) { return reinterpret_cast<bf16*>(take(columns)); };
  const auto pairs = [&] { return reinterpret_cast<uint32_t*>(take(KEY_BLOCK)); };
  return {narrow(padded),    narrow(padded), narrow(padded), narrow(padded),
          narrow(KEY_BLOCK), pairs(),        pairs(),        c.take(KEY_BLOCK * padded)};
}
static KeyBuffers take_keys(Carver& c, int64_t padded) {
  const int64_t rows = KEY_BLOCK * padded;
  return {c.take(rows), c.take(rows), c.take(rows), c.take(rows), c.take(rows)};
}
static QueryBuffers take_queries(Carver& c, int64_t padded) {
  const int64_t rows = KEY_BLOCK * padded, square = KEY_BLOCK * KEY_BLOCK;
  return {c.take(rows), c.take(rows), c.take(rows), c.take(square), c.take(square)};
}
static int64_t backward_floats(int64_t size, int64_t padded, bool bf16_too) {
  const int64_t widened = (5 * span(size) + 3) * KEY_BLOCK * padded + 2 * KEY_BLOCK * KEY_BLOCK;
  return widened + (bf16_too ? (2 * span(size) + 3) * KEY_BLOCK * padded + 2 * KEY_BLOCK * KEY_BLOCK : 0);
}

template <class T>
PT_INLINE void prefetch_rows(const T* from, int64_t stride, int64_t rows, int64_t size) {
  for (int64_t r = 0; r < rows; r++)
    for (int64_t d = 0; d < size; d += static_cast<int64_t>(64 / sizeof(T)))
      __builtin_prefetch(from + r * stride + d, 0, 2);
}

// Scores and dy v for `rows` queries and `keys` keys in p and ds, (KEY_BLOCK, KEY_BLOCK) each; then p and ds themselves, `first` being
// the first query. Where a query does not see a key they hold nothing of meaning in fp32, where that is left out of the chains, and
// zero in bf16.
template <class T>
static void score_block(const Head<T>& h, int64_t rows, int64_t keys, bool diagonal, const KeyBuffers& k,
                        const QueryBuffers& m) {
  const int64_t padded = padded_size<T>(h.size);
  int64_t depth[SCORE_ROWS];
  for (int64_t& end : depth) end = h.size;
  const auto scores = [&](const float* left, const float* across, float* to) {
    for (int64_t r = 0; r < rows; r += SCORE_ROWS) {
      const int64_t n = smaller(SCORE_ROWS, rows - r), columns = round_up(diagonal ? smaller(keys, r + n) : keys);
      const Along a = along(left + r * padded, padded);
      if constexpr (IS_BF16<T>)
        product_of_pairs(n, columns, a, {across, KEY_BLOCK}, padded, to + r * KEY_BLOCK, KEY_BLOCK, true);
      else
        product_to_ends(n, columns, a, {across, KEY_BLOCK}, depth, nullptr, 0, Store{to + r * KEY_BLOCK, KEY_BLOCK});
    }
  };
  with_flushing<T>([&] {
    scores(m.q, k.keys_across, m.p);
    scores(m.dy, k.values_across, m.ds);
  });
}
template <class T>
static void weigh_block(const Head<T>& h, int64_t first, int64_t rows, int64_t keys, bool diagonal,
                        const QueryBuffers& m) {
  const f32x16 scale = splat(h.scale);
  for (int64_t r = 0; r < rows; r++) {
    const int64_t visible = diagonal ? smaller(keys, r + 1) : keys, statistics = (first + r) * h.statistics_stride;
    float *s = m.p + r * KEY_BLOCK, *u = m.ds + r * KEY_BLOCK;
    const f32x16 top = splat(h.lse[statistics]), mean = splat(h.delta[statistics]);
    int64_t c = 0;
    for (; c < visible; c += LANES) {
      f32x16 weight = exp(sub(mul(load(s + c), scale), top));
      f32x16 slope = mul(weight, sub(load(u + c), mean));
      if constexpr (IS_BF16<T>) {
        weight = to_bf16_and_back(weight), slope = to_bf16_and_back(slope);
        if (visible < c + LANES)
          weight = keep_first(weight, visible - c, 0.0f), slope = keep_first(slope, visible - c, 0.0f);
      }
      store(s + c, weight);
      store(u + c, slope);
    }
    if constexpr (IS_BF16<T>)
      for (; c < KEY_BLOCK; c += LANES) store(s + c, splat(0.0f)), store(u + c, splat(0.0f));
  }
  if constexpr (IS_BF16<T>) {
    memset(m.p + rows * KEY_BLOCK, 0, (KEY_BLOCK - rows) * KEY_BLOCK * sizeof(float));
    memset(m.ds + rows * KEY_BLOCK, 0, (KEY_BLOCK - rows) * KEY_BLOCK * sizeof(float));
  }
}

// sum[i] goes on along the keys of a block: dq without its scale.
static void add_keys(int64_t rows, int64_t keys, int64_t padded, bool diagonal, const float* ds, const float* k,
                     float* sum) {
  for (int64_t r = 0; r < rows; r += SCORE_ROWS) {
    int64_t end[SCORE_ROWS];
    for (int64_t i = 0; i < SCORE_ROWS; i++) end[i] = diagonal ? r + i + 1 : keys;
    float* to = sum + r * padded;
    product_to_ends(smaller(SCORE_ROWS, rows - r), padded, along(ds + r * KEY_BLOCK, KEY_BLOCK), {k, padded}, end, to,
                    padded, Store{to, padded});
  }
}

// sum[j] goes on along the queries of a block, a[i, j] * rows[i]: dv from p and dy, dk from ds and q. On the diagonal key j is
// first seen by query j.
static void add_queries(int64_t queries, int64_t keys, int64_t padded, bool diagonal, const float* a, const float* rows,
                        float* sum) {
  for (int64_t j = 0; j < keys; j += SCORE_ROWS) {
    const int64_t from = diagonal ? j : 0;
    product_on(smaller(SCORE_ROWS, keys - j), padded, Across{a + from * KEY_BLOCK + j}, {rows + from * padded, padded},
               queries - from, diagonal, Store{sum + j * padded, padded});
  }
}

static void put_rows(float* to, int64_t stride, const float* from, int64_t padded, int64_t rows, int64_t size,
                     float scale) {
  for (int64_t r = 0; r < rows; r++)
    for (int64_t d = 0; d < size; d += LANES)
      store_first(to + r * stride + d, mul(load(from + r * padded + d), splat(scale)), smaller(LANES, size - d));
}

// delta of `rows` tokens from their y and, padded, dy.
template <class T>
static void put_delta(float* delta, int64_t delta_stride, const T* y, int64_t y_stride, const float* dy, int64_t padded,
                      int64_t rows, int64_t size) {
  for (int64_t r = 0; r < rows; r++) {
    f32x16 sum = splat(0.0f);
    for (int64_t d = 0; d < size; d += LANES)
      sum = fma(load(dy + r * padded + d), load_first(y + r * y_stride + d, smaller(LANES, size - d)), sum);
    delta[r * delta_stride] = reduce_add(sum);
  }
}

// One head's key blocks from `block` on: dk and dv go on from the head before, dq from the blocks before, all in their places. `held`:
// keys and values are in this memory, from another head of the group.
template <class T, class Tiles>
static void backward_blocks(const Head<T>& h, int64_t block, bool held, float* memory) {
  const int64_t size = h.size, padded = padded_size<T>(size);
  Carver carver = {memory};
  const QueryBuffers m = take_queries(carver, padded);
  KeyBuffers buffers[4];
  [[maybe_unused]] Tiles tiles;
  [[maybe_unused]] KeyPairs key_pairs[4];
  [[maybe_unused]] NarrowQueries narrow;
  if constexpr (HAS_TILES<Tiles>) narrow = take_narrow(carver, padded);
  const int64_t blocks = smaller(span(size), ceil_div(h.tokens, KEY_BLOCK) - block);
  const auto send_for = [&](int64_t t) {
    const int64_t first = t * KEY_BLOCK, rows = smaller(KEY_BLOCK, h.tokens - first), at = first * h.q_stride;
    prefetch_rows(h.q + at, h.q_stride, rows, size);
    with_output(h.dy, [&](auto dy) { prefetch_rows(dy + at, h.q_stride, rows, size); });
    if (block > 0)
      prefetch_rows(h.dq + at, h.q_stride, rows, size);
    else
      prefetch_rows(h.y + at, h.q_stride, rows, size);
  };
  send_for(block);
  // dk and dv of a key block, from rows of keys to rows of dimensions and back, for tiles.
  [[maybe_unused]] const auto turn = [&](float* sum, int64_t keys) {
    memcpy(narrow.across, sum, KEY_BLOCK * padded * sizeof(float));
    transpose(sum, narrow.across, padded, keys, padded);
  };
  [[maybe_unused]] const auto turn_back = [&](float* sum) {
    memcpy(narrow.across, sum, KEY_BLOCK * padded * sizeof(float));
    transpose(sum, narrow.across, KEY_BLOCK, padded, KEY_BLOCK, padded, padded);
  };
  // The three sums of a block on the diagonal where a query or key holds what is not finite.
  [[maybe_unused]] const auto add_seen = [&](int64_t count, int64_t keys, const KeyBuffers& k) {
    const auto no_earlier = [](int64_t j) { return j; };
    const auto add = [&](const float* a, const float* rows, float* sum) {
      product_of_seen(
          keys, padded, Across{a}, {rows, padded}, KEY_BLOCK, no_earlier, [=](int64_t) { return count; }, sum, padded,
          false);
    };
    add(m.p, m.dy, k.dv);
    add(m.ds, m.q, k.dk);
    product_of_seen(
        count, padded, along(m.ds, KEY_BLOCK), {k.keys, padded}, KEY_BLOCK, [](int64_t) { return 0; },
        [=](int64_t i) { return smaller(keys, i + 1); }, m.dq, padded, false);
  };
  const auto keys_of = [&](int64_t i) { return smaller(KEY_BLOCK, h.tokens - (block + i) * KEY_BLOCK); };
  for (int64_t i = 0; i < blocks; i++) {
    const KeyBuffers& k = buffers[i] = take_keys(carver, padded);
    const int64_t keys = keys_of(i), at = (block + i) * KEY_BLOCK * h.k_stride;
    if (!held) {
      get_rows(k.keys, padded, h.v + at, h.k_stride, keys, size, KEY_BLOCK);
      transpose(k.values_across, k.keys, padded, keys, padded);
      get_rows(k.keys, padded, h.k + at, h.k_stride, keys, size, KEY_BLOCK);
      transpose(k.keys_across, k.keys, padded, keys, padded);
    }
    if constexpr (HAS_TILES<Tiles>) {
      const KeyPairs& pairs = key_pairs[i] = take_key_pairs(carver, padded);
      if (!held) {
        pair_rows(pairs.keys_across, k.keys_across, KEY_BLOCK, padded);
        pair_rows(pairs.values_across, k.values_across, KEY_BLOCK, padded);
        pair_rows(pairs.keys, k.keys, padded, KEY_BLOCK);
      }
    }
    const int64_t before = h.first ? 0 : keys;
    get_rows(k.dk, padded, h.dk + at, h.k_stride, before, size, KEY_BLOCK);
    get_rows(k.dv, padded, h.dv + at, h.k_stride, before, size, KEY_BLOCK);
    if constexpr (HAS_TILES<Tiles>) turn(k.dk, before), turn(k.dv, before);
  }
  for (int64_t t = block; t * KEY_BLOCK < h.tokens; t++) {
    const int64_t first = t * KEY_BLOCK, count = smaller(KEY_BLOCK, h.tokens - first), at = first * h.q_stride;
    get_rows(m.q, padded, h.q + at, h.q_stride, count, size, KEY_BLOCK);
    with_output(h.dy, [&](auto dy) { get_rows(m.dy, padded, dy + at, h.q_stride, count, size, KEY_BLOCK); });
    if (IS_BF16<T> && !h.dy.narrow)
      for (int64_t i = 0; i < count * padded; i += LANES) store(m.dy + i, to_bf16_and_back(load(m.dy + i)));
    get_rows(m.dq, padded, h.dq + at, h.q_stride, block == 0 ? 0 : count, size, KEY_BLOCK);
    if (block == 0)
      put_delta(h.delta + first * h.statistics_stride, h.statistics_stride, h.y + at, h.q_stride, m.dy, padded, count,
                size);
    send_for(t + 1);
    if constexpr (HAS_TILES<Tiles>) {
      narrow_rows(narrow.q, m.q, KEY_BLOCK * padded);
      narrow_rows(narrow.dy, m.dy, KEY_BLOCK * padded);
      transpose(narrow.across, m.q, padded, count, padded);
      narrow_rows(narrow.q_across, narrow.across, KEY_BLOCK * padded);
      transpose(narrow.across, m.dy, padded, count, padded);
      narrow_rows(narrow.dy_across, narrow.across, KEY_BLOCK * padded);
    }
    for (int64_t i = 0; i < blocks && block + i <= t; i++) {
      const KeyBuffers& k = buffers[i];
      const int64_t keys = keys_of(i);
      const bool diagonal = block + i == t;
      // On the diagonal a weight of zero would not silence these.
      const bool loud = IS_BF16<T> && diagonal &&
                        (any_infinite(m.q, count * padded) || any_infinite(m.dy, count * padded) ||
                         any_infinite(k.keys, keys * padded));
      if constexpr (HAS_TILES<Tiles>) {
        const KeyPairs& right = key_pairs[i];
        product_of_tiles(tiles, KEY_BLOCK, KEY_BLOCK, padded, narrow.q, right.keys_across, m.p, true);
        product_of_tiles(tiles, KEY_BLOCK, KEY_BLOCK, padded, narrow.dy, right.values_across, m.ds, true);
        weigh_block(h, first, count, keys, diagonal, m);
        if (loud) {
          turn_back(k.dk), turn_back(k.dv);
          add_seen(count, keys, k);
          turn(k.dk, keys), turn(k.dv, keys);
          continue;
        }
        pair_rows(narrow.p_pairs, m.p, KEY_BLOCK, KEY_BLOCK);
        pair_rows(narrow.ds_pairs, m.ds, KEY_BLOCK, KEY_BLOCK);
        narrow_rows(narrow.ds, m.ds, KEY_BLOCK * KEY_BLOCK);
        product_of_tiles(tiles, padded, KEY_BLOCK, KEY_BLOCK, narrow.dy_across, narrow.p_pairs, k.dv, false);
        product_of_tiles(tiles, padded, KEY_BLOCK, KEY_BLOCK, narrow.q_across, narrow.ds_pairs, k.dk, false);
        product_of_tiles(tiles, KEY_BLOCK, padded, KEY_BLOCK, narrow.ds, right.keys, m.dq, false);
        continue;
      }
      score_block(h, count, keys, diagonal, k, m);
      weigh_block(h, first, count, keys, diagonal, m);
      if (loud) {
        add_seen(count, keys, k);
      } else if constexpr (IS_BF16<T>) {
        const FlushSubnormals flush;
        const int64_t columns = round_up(size);
        product_of_pairs(keys, columns, Across{m.p}, {m.dy, padded}, KEY_BLOCK, k.dv, padded, false);
        product_of_pairs(keys, columns, Across{m.ds}, {m.q, padded}, KEY_BLOCK, k.dk, padded, false);
        product_of_pairs(count, columns, along(m.ds, KEY_BLOCK), {k.keys, padded}, KEY_BLOCK, m.dq, padded, false);
      } else {
        add_queries(count, keys, padded, diagonal, m.p, m.dy, k.dv);
        add_queries(count, keys, padded, diagonal, m.ds, m.q, k.dk);
        add_keys(count, keys, padded, diagonal, m.ds, k.keys, m.dq);
      }
    }
    put_rows(h.dq + at, h.q_stride, m.dq, padded, count, size, t < block + blocks ? h.scale : 1.0f);
  }
  for (int64_t i = 0; i < blocks; i++) {
    const int64_t at = (block + i) * KEY_BLOCK * h.k_stride;
    if constexpr (HAS_TILES<Tiles>) turn_back(buffers[i].dk), turn_back(buffers[i].dv);
    put_rows(h.dk + at, h.k_stride, buffers[i].dk, padded, keys_of(i), size, h.last ? h.scale : 1.0f);
    put_rows(h.dv + at, h.k_stride, buffers[i].dv, padded, keys_of(i), size, 1.0f);
  }
}

template <class T, class Tiles>
static int backward(const pt_context* ctx, pt_tensor dq, pt_tensor dk, pt_tensor dv, pt_tensor dy, pt_tensor y,
                    pt_tensor lse, pt_tensor q, pt_tensor k, pt_tensor v, pt_tensor starts, double scale) {
  const int64_t rows = q.dims[0], all_heads = q.dims[1], size = q.dims[2], groups = k.dims[1];
  const int64_t sequences = starts.dims[0] - 1;
  const int64_t heads = all_heads / groups;
  const int64_t floats = backward_floats(size, padded_size<T>(size), IS_BF16<T>),
                delta_floats = round_up(rows * all_heads);
  const int64_t tokens = span(size) * KEY_BLOCK;
  int64_t pieces = 0;
  for (int64_t s = 0; s < sequences; s++) pieces += ceil_div(i32(starts)[s + 1] - i32(starts)[s], tokens) * all_heads;
  if (pieces == 0) return 0;
  const int64_t bytes = (delta_floats + ctx->threads * floats) * static_cast<int64_t>(sizeof(float));
  char* memory = static_cast<char*>(ctx->scratch(
      ctx, bytes + ctx->threads * static_cast<int64_t>(sizeof(Turn)) + Turns::bytes(sequences * all_heads)));
  if (!memory) return 1;
  float *buffers = reinterpret_cast<float*>(memory), *delta = buffers + ctx->threads * floats;
  Turn* held = reinterpret_cast<Turn*>(memory + bytes);  // what each thread's buffers hold keys of
  for (int32_t i = 0; i < ctx->threads; i++) held[i].sequence = -1;
  Turns turns(held + ctx->threads, i32(starts), sequences, groups, heads, tokens);

  parallel(ctx, pieces, [&](int64_t, int32_t thread) {
    const Turn turn = turns.take();
    const int64_t s = turn.sequence, g = turn.group, row = i32(starts)[s], head = g * heads + turn.head;
    const int64_t at = (row * all_heads + head) * size, at_keys = (row * groups + g) * size;
    const int64_t statistics = row * all_heads + head;
    const Head<T> h = {
        static_cast<const T*>(q.data) + at,
        static_cast<const T*>(k.data) + at_keys,
        static_cast<const T*>(v.data) + at_keys,
        static_cast<const T*>(y.data) + at,
        {static_cast<const char*>(dy.data) + at * (is_bf16(dy) ? sizeof(bf16) : sizeof(float)), is_bf16(dy)},
        f32(lse) + statistics,
        delta + statistics,
        f32(dq) + at,
        f32(dk) + at_keys,
        f32(dv) + at_keys,
        i32(starts)[s + 1] - row,
        size,
        all_heads * size,
        groups * size,
        all_heads,
        turn.head == 0,
        turn.head == heads - 1,
        static_cast<float>(scale)};
    Turn& before = held[thread];
    const bool same = before.sequence == s && before.group == g && before.piece == turn.piece;
    before = turn;
    backward_blocks<T, Tiles>(h, turn.piece * span(size), same, buffers + thread * floats);
    turns.done(turn);
  });
  return 0;
}

int attention_backward(const pt_context* ctx, pt_tensor dq, pt_tensor dk, pt_tensor dv, pt_tensor dy, pt_tensor y,
                       pt_tensor lse, pt_tensor q, pt_tensor k, pt_tensor v, pt_tensor starts, double scale) {
  if (refuse_mixed(ctx, "q", q, "k", k) || refuse_mixed(ctx, "q", q, "v", v) || refuse_mixed(ctx, "q", q, "y", y))
    return 1;
  if (!is_bf16(q) && is_bf16(dy)) return refuse_mixed(ctx, "q", q, "dy", dy);
  if (check_heads(ctx, q.dims[1], k.dims[1]) || check_starts(ctx, i32(starts), starts.dims[0] - 1, q.dims[0])) return 1;
  if (!is_bf16(q)) return backward<float, NoTiles>(ctx, dq, dk, dv, dy, y, lse, q, k, v, starts, scale);
  return with_tiles(ctx, [&](auto tiles) {
    return backward<bf16, typename decltype(tiles)::type>(ctx, dq, dk, dv, dy, y, lse, q, k, v, starts, scale);
  });
}

}  // namespace PT_NAMESPACE
