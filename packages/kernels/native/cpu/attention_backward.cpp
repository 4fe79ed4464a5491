// The backward of attention.cpp, from lse; delta_i = sum of dy_i * y_i by lanes and tree; s as in the forward:
//   p_ij = exp(s_ij - lse_i);  ds_ij = p_ij * (chain(dy_i[d] * v_j[d]) - delta_i)
//   dq_i = chain(ds_ij * k_j, j ascending) * scale
//   dk_j = chain(ds_ij * q_i, query heads ascending, in each i ascending from j) * scale
//   dv_j = chain(p_ij * dy_i, in the same order)
// Memory is linear in the tokens: p and ds exist for one pair of blocks at a time. Dao et al. 2022 (arXiv 2205.14135).
#include "attention.h"
#include "attention_turns.h"

namespace PT_NAMESPACE {

// One query head of one sequence with its key-value head: where its first token lies.
struct Head {
  const float *q, *dy, *k, *v, *lse, *delta;
  float *dq, *dk, *dv;
  int64_t tokens, size, q_stride, k_stride, statistics_stride;
  bool first, last;  // among the heads of its group
  float scale;
};

// Key blocks of a piece of work: the queries' rows stream past that many at once; what they need lies in the second-level cache.
PT_INLINE int64_t span(int64_t size) { return size <= 64 ? 4 : 2; }

struct KeyBuffers {
  float *keys_across, *values_across, *keys, *dk, *dv;
};
// One query block's.
struct QueryBuffers {
  float *q, *dy, *dq, *p, *ds;
};
static KeyBuffers take_keys(Carver& c, int64_t size) {
  const int64_t across = KEY_BLOCK * size, rows = KEY_BLOCK * round_up(size);
  return {c.take(across), c.take(across), c.take(rows), c.take(rows), c.take(rows)};
}
static QueryBuffers take_queries(Carver& c, int64_t size) {
  const int64_t rows = KEY_BLOCK * round_up(size), square = KEY_BLOCK * KEY_BLOCK;
  return {c.take(rows), c.take(rows), c.take(rows), c.take(square), c.take(square)};
}
static int64_t backward_floats(int64_t size) {
  return span(size) * (2 * round_up(KEY_BLOCK * size) + 3 * KEY_BLOCK * round_up(size)) +
         3 * KEY_BLOCK * round_up(size) + 2 * KEY_BLOCK * KEY_BLOCK;
}

// p and ds for `rows` queries, of which `first` is the first, and `keys` keys, (KEY_BLOCK, KEY_BLOCK) each. Where a query does not
// see a key they hold nothing of meaning: that is left out of the chains.
static void pairs(const Head& h, int64_t first, int64_t rows, int64_t keys, bool diagonal, const KeyBuffers& k,
                  const QueryBuffers& m) {
  const int64_t padded = round_up(h.size);
  int64_t depth[TILE_ROWS];
  for (int64_t& end : depth) end = h.size;
  const auto scores = [&](const float* left, const float* across, float* to) {
    for (int64_t r = 0; r < rows; r += TILE_ROWS) {
      const int64_t n = smaller(TILE_ROWS, rows - r), columns = round_up(diagonal ? smaller(keys, r + n) : keys);
      product_to_ends(n, columns, Along(left + r * padded, padded), {across, KEY_BLOCK}, depth, nullptr, 0,
                      Store{to + r * KEY_BLOCK, KEY_BLOCK});
    }
  };
  scores(m.q, k.keys_across, m.p);
  scores(m.dy, k.values_across, m.ds);
  const f32x16 scale = splat(h.scale);
  for (int64_t r = 0; r < rows; r++) {
    const int64_t end = r * KEY_BLOCK + (diagonal ? smaller(keys, r + 1) : keys);
    const int64_t statistics = (first + r) * h.statistics_stride;
    const f32x16 top = splat(h.lse[statistics]), mean = splat(h.delta[statistics]);
    for (int64_t c = r * KEY_BLOCK; c < end; c += LANES) {
      const f32x16 weight = exp(sub(mul(load(m.p + c), scale), top));
      store(m.p + c, weight);
      store(m.ds + c, mul(weight, sub(load(m.ds + c), mean)));
    }
  }
}

// sum[i] goes on along the keys of a block: dq without its scale.
static void add_keys(int64_t rows, int64_t keys, int64_t padded, bool diagonal, const float* ds, const float* k,
                     float* sum) {
  for (int64_t r = 0; r < rows; r += TILE_ROWS) {
    int64_t end[TILE_ROWS];
    for (int64_t i = 0; i < TILE_ROWS; i++) end[i] = diagonal ? r + i + 1 : keys;
    float* to = sum + r * padded;
    product_to_ends(smaller(TILE_ROWS, rows - r), padded, Along(ds + r * KEY_BLOCK, KEY_BLOCK), {k, padded}, end, to,
                    padded, Store{to, padded});
  }
}

// sum[j] goes on along the queries of a block, a[i, j] * rows[i]: dv from p and dy, dk from ds and q. On the diagonal key j is
// first seen by query j.
static void add_queries(int64_t queries, int64_t keys, int64_t padded, bool diagonal, const float* a, const float* rows,
                        float* sum) {
  for (int64_t j = 0; j < keys; j += TILE_ROWS) {
    const int64_t from = diagonal ? j : 0;
    product_on(smaller(TILE_ROWS, keys - j), padded, Across{a + from * KEY_BLOCK + j}, {rows + from * padded, padded},
               queries - from, diagonal, Store{sum + j * padded, padded});
  }
}

// Rows of `size` floats with zeros behind them up to a whole vector; and back, times `scale`.
static void get_rows(float* to, const float* from, int64_t stride, int64_t rows, int64_t size) {
  const int64_t padded = round_up(size);
  for (int64_t r = 0; r < rows; r++)
    for (int64_t d = 0; d < size; d += LANES) {
      const float* x = from + r * stride + d;
      store(to + r * padded + d, d + LANES <= size ? load(x) : load_first(x, size - d));
    }
}
static void put_rows(float* to, int64_t stride, const float* from, int64_t rows, int64_t size, float scale) {
  const int64_t padded = round_up(size);
  for (int64_t r = 0; r < rows; r++)
    for (int64_t d = 0; d < size; d += LANES)
      store_first(to + r * stride + d, mul(load(from + r * padded + d), splat(scale)), smaller(LANES, size - d));
}
PT_INLINE void prefetch_rows(const float* from, int64_t stride, int64_t rows, int64_t size) {
  for (int64_t r = 0; r < rows; r++)
    for (int64_t d = 0; d < size; d += LANES) __builtin_prefetch(from + r * stride + d, 0, 2);
}

// One head's key blocks from `block` on: dk and dv go on from the head before, dq from the blocks before, all in their places.
static void backward_blocks(const Head& h, int64_t block, float* memory) {
  const int64_t size = h.size, padded = round_up(size);
  Carver carver = {memory};
  const QueryBuffers m = take_queries(carver, size);
  KeyBuffers buffers[4];
  const int64_t blocks = smaller(span(size), ceil_div(h.tokens, KEY_BLOCK) - block);
  const auto keys_of = [&](int64_t i) { return smaller(KEY_BLOCK, h.tokens - (block + i) * KEY_BLOCK); };
  for (int64_t i = 0; i < blocks; i++) {
    const KeyBuffers& k = buffers[i] = take_keys(carver, size);
    const int64_t keys = keys_of(i), at = (block + i) * KEY_BLOCK * h.k_stride;
    get_rows(k.keys, h.v + at, h.k_stride, keys, size);
    transpose(k.values_across, k.keys, padded, keys, size);
    get_rows(k.keys, h.k + at, h.k_stride, keys, size);
    transpose(k.keys_across, k.keys, padded, keys, size);
    if (h.first) {
      memset(k.dk, 0, keys * padded * sizeof(float));
      memset(k.dv, 0, keys * padded * sizeof(float));
    } else {
      get_rows(k.dk, h.dk + at, h.k_stride, keys, size);
      get_rows(k.dv, h.dv + at, h.k_stride, keys, size);
    }
  }
  for (int64_t t = block; t * KEY_BLOCK < h.tokens; t++) {
    const int64_t first = t * KEY_BLOCK, count = smaller(KEY_BLOCK, h.tokens - first), at = first * h.q_stride;
    get_rows(m.q, h.q + at, h.q_stride, count, size);
    get_rows(m.dy, h.dy + at, h.q_stride, count, size);
    if (block == 0)
      memset(m.dq, 0, count * padded * sizeof(float));
    else
      get_rows(m.dq, h.dq + at, h.q_stride, count, size);
    const int64_t next = at + KEY_BLOCK * h.q_stride, more = smaller(KEY_BLOCK, h.tokens - first - KEY_BLOCK);
    prefetch_rows(h.q + next, h.q_stride, more, size);
    prefetch_rows(h.dy + next, h.q_stride, more, size);
    if (block > 0) prefetch_rows(h.dq + next, h.q_stride, more, size);
    for (int64_t i = 0; i < blocks && block + i <= t; i++) {
      const KeyBuffers& k = buffers[i];
      const int64_t keys = keys_of(i);
      const bool diagonal = block + i == t;
      pairs(h, first, count, keys, diagonal, k, m);
      add_queries(count, keys, padded, diagonal, m.p, m.dy, k.dv);
      add_queries(count, keys, padded, diagonal, m.ds, m.q, k.dk);
      add_keys(count, keys, padded, diagonal, m.ds, k.keys, m.dq);
    }
    put_rows(h.dq + at, h.q_stride, m.dq, count, size, t < block + blocks ? h.scale : 1.0f);
  }
  for (int64_t i = 0; i < blocks; i++) {
    const int64_t at = (block + i) * KEY_BLOCK * h.k_stride;
    put_rows(h.dk + at, h.k_stride, buffers[i].dk, keys_of(i), size, h.last ? h.scale : 1.0f);
    put_rows(h.dv + at, h.k_stride, buffers[i].dv, keys_of(i), size, 1.0f);
  }
}

int attention_backward(const pt_context* ctx, pt_tensor dq, pt_tensor dk, pt_tensor dv, pt_tensor dy, pt_tensor y,
                       pt_tensor lse, pt_tensor q, pt_tensor k, pt_tensor v, pt_tensor starts, double scale) {
  if (refuse_bf16(ctx, "dy", dy, "y", y, "q", q, "k", k, "v", v)) return 1;
  const int64_t rows = q.dims[0], all_heads = q.dims[1], size = q.dims[2], groups = k.dims[1];
  const int64_t sequences = starts.dims[0] - 1;
  if (check_heads(ctx, all_heads, groups) || check_starts(ctx, i32(starts), sequences, rows)) return 1;
  const int64_t heads = all_heads / groups;
  const int64_t floats = backward_floats(size), delta_floats = round_up(rows * all_heads);
  const int64_t tokens = span(size) * KEY_BLOCK;
  int64_t pieces = 0;
  for (int64_t s = 0; s < sequences; s++) pieces += ceil_div(i32(starts)[s + 1] - i32(starts)[s], tokens) * all_heads;
  if (pieces == 0) return 0;
  const int64_t bytes = (delta_floats + ctx->threads * floats) * static_cast<int64_t>(sizeof(float));
  char* memory = static_cast<char*>(ctx->scratch(ctx, bytes + Turns::bytes(sequences * all_heads)));
  if (!memory) return 1;
  float *buffers = reinterpret_cast<float*>(memory), *delta = buffers + ctx->threads * floats;
  Turns turns(memory + bytes, i32(starts), sequences, groups, heads, tokens);

  parallel_ranges(ctx, rows * all_heads, 64, [=](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; r++) {
      f32x16 sum = splat(0.0f);
      for (int64_t d = 0; d < size; d += LANES) {
        const int64_t n = smaller(LANES, size - d);
        sum = fma(load_first(f32(dy) + r * size + d, n), load_first(f32(y) + r * size + d, n), sum);
      }
      delta[r] = reduce_add(sum);
    }
  });
  parallel(ctx, pieces, [&](int64_t, int32_t thread) {
    const Turn turn = turns.take();
    const int64_t s = turn.sequence, g = turn.group, row = i32(starts)[s], head = g * heads + turn.head;
    const int64_t at = (row * all_heads + head) * size, at_keys = (row * groups + g) * size;
    const int64_t statistics = row * all_heads + head;
    backward_blocks({f32(q) + at,
                    f32(dy) + at,
                    f32(k) + at_keys,
                    f32(v) + at_keys,
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
                    static_cast<float>(scale)},
                   turn.piece * span(size), buffers + thread * floats);
    turns.done(turn);
  });
  return 0;
}

}  // namespace PT_NAMESPACE
