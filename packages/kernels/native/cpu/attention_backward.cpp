// The backward of attention.cpp, from lse; delta_i = sum of dy_i * y_i by lanes and tree; s as in the forward:
//   p_ij = exp(s_ij - lse_i);  ds_ij = p_ij * (chain(dy_i[d] * v_j[d]) - delta_i)
//   dq_i = chain(ds_ij * k_j, j ascending) * scale
//   dk_j = chain(ds_ij * q_i, query heads ascending, in each i ascending from j) * scale
//   dv_j = chain(p_ij * dy_i, in the same order)
// Memory is linear in the tokens: p and ds exist for one pair of blocks at a time. Dao et al. 2022 (arXiv 2205.14135).
#include "attention.h"

namespace PT_NAMESPACE {

// The backward of one key-value head of one sequence: q and dy of its query heads, k and v.
struct HeadGroup {
  const float *q, *dy, *k, *v, *lse, *delta;
  int64_t tokens, heads, size, q_stride, k_stride, all_heads;
  float scale;
};

// Key block b across, as pairs() multiplies by it.
static void across(const HeadGroup& g, int64_t b, float* keys_across, float* values_across) {
  const int64_t at = b * KEY_BLOCK * g.k_stride, keys = smaller(KEY_BLOCK, g.tokens - b * KEY_BLOCK);
  transpose(keys_across, g.k + at, g.k_stride, keys, g.size);
  transpose(values_across, g.v + at, g.k_stride, keys, g.size);
}

// p and ds of head h for query block t and key block b, (KEY_BLOCK, KEY_BLOCK) each. Where a query does not see a key they hold
// nothing of meaning: callers leave those out of their chains.
static void pairs(const HeadGroup& g, int64_t h, int64_t t, int64_t b, const float* keys_across,
                  const float* values_across, float* p, float* ds) {
  const int64_t first = t * KEY_BLOCK, rows = smaller(KEY_BLOCK, g.tokens - first);
  const int64_t keys = smaller(KEY_BLOCK, g.tokens - b * KEY_BLOCK);
  const float *q = g.q + first * g.q_stride + h * g.size, *dy = g.dy + first * g.q_stride + h * g.size;
  for (int64_t r = 0; r < rows; r += TILE_ROWS) {
    const int64_t n = smaller(TILE_ROWS, rows - r), columns = round_up(t == b ? smaller(keys, r + n) : keys);
    float *s = p + r * KEY_BLOCK, *u = ds + r * KEY_BLOCK;
    product(n, columns, s, KEY_BLOCK, q + r * g.q_stride, g.q_stride, 1, keys_across, KEY_BLOCK, g.size, true);
    product(n, columns, u, KEY_BLOCK, dy + r * g.q_stride, g.q_stride, 1, values_across, KEY_BLOCK, g.size, true);
    for (int64_t i = 0; i < n; i++) {
      const int64_t statistics = (first + r + i) * g.all_heads + h;
      const f32x16 top = splat(g.lse[statistics]), mean = splat(g.delta[statistics]);
      for (int64_t c = i * KEY_BLOCK; c < i * KEY_BLOCK + columns; c += LANES) {
        const f32x16 weight = exp(sub(mul(load(s + c), splat(g.scale)), top));
        store(s + c, weight);
        store(u + c, mul(weight, sub(load(u + c), mean)));
      }
    }
  }
}

// sum[i] goes on along the keys of block b for the queries of block t: dq without its scale.
static void add_keys(const HeadGroup& g, int64_t t, int64_t b, const float* ds, const Rows& keys, float* sum,
                     int64_t stride) {
  const int64_t rows = smaller(KEY_BLOCK, g.tokens - t * KEY_BLOCK);
  for (int64_t r = 0; r < rows; r += TILE_ROWS) {
    int64_t visible[TILE_ROWS];
    for (int64_t i = 0; i < TILE_ROWS; i++) visible[i] = b < t ? KEY_BLOCK : r + i + 1;
    product_to_depth(smaller(TILE_ROWS, rows - r), round_up(g.size), sum + r * stride, stride, ds + r * KEY_BLOCK,
                     KEY_BLOCK, keys.data, keys.stride, visible, b == 0);
  }
}

// sum[j] goes on along the queries of block t for the keys of block b, a[i, j] * rows[i]: dv from p and dy, dk from ds and q.
// On the diagonal key j is first seen by query j: each key of a tile alone up to the tile's last, then together.
static void add_queries(const HeadGroup& g, int64_t t, int64_t b, const float* a, const Rows& rows, float* sum) {
  const int64_t padded = round_up(g.size);
  const int64_t count = smaller(KEY_BLOCK, g.tokens - t * KEY_BLOCK);
  const int64_t keys = smaller(KEY_BLOCK, g.tokens - b * KEY_BLOCK);
  for (int64_t j = 0; j < keys; j += TILE_ROWS) {
    const int64_t n = smaller(TILE_ROWS, keys - j), together = t == b ? j + n - 1 : 0;
    if (t == b)
      for (int64_t i = j; i < together; i++)
        product(1, padded, sum + i * padded, padded, a + i * KEY_BLOCK + i, 0, KEY_BLOCK, rows.data + i * rows.stride,
                rows.stride, together - i, false);
    product(n, padded, sum + j * padded, padded, a + together * KEY_BLOCK + j, 1, KEY_BLOCK,
            rows.data + together * rows.stride, rows.stride, count - together, false);
  }
}

static void put_scaled(float* to, int64_t to_stride, const float* from, int64_t from_stride, int64_t rows, int64_t size,
                       float scale) {
  for (int64_t r = 0; r < rows; r++)
    for (int64_t d = 0; d < size; d += LANES)
      store_first(to + r * to_stride + d, mul(load(from + r * from_stride + d), splat(scale)),
                  smaller(LANES, size - d));
}

static int64_t backward_floats(int64_t size) {
  return 2 * round_up(KEY_BLOCK * size) + 5 * KEY_BLOCK * round_up(size) + 2 * KEY_BLOCK * KEY_BLOCK;
}

// dq of query block t.
static void backward_queries(const HeadGroup& g, float* dq, int64_t t, float* memory) {
  const int64_t size = g.size, padded = round_up(size);
  Carver carver = {memory};
  float* keys_across = carver.take(KEY_BLOCK * size);
  float* values_across = carver.take(KEY_BLOCK * size);
  float* keys_copy = carver.take(KEY_BLOCK * padded);
  float* sum = carver.take(KEY_BLOCK * padded);
  float* p = carver.take(KEY_BLOCK * KEY_BLOCK);
  float* ds = carver.take(KEY_BLOCK * KEY_BLOCK);
  for (int64_t h = 0; h < g.heads; h++) {
    for (int64_t b = 0; b <= t; b++) {
      const int64_t start = b * KEY_BLOCK;
      across(g, b, keys_across, values_across);
      pairs(g, h, t, b, keys_across, values_across, p, ds);
      const Rows keys =
          dense_rows(keys_copy, g.k + start * g.k_stride, g.k_stride, smaller(KEY_BLOCK, g.tokens - start), size);
      add_keys(g, t, b, ds, keys, sum, padded);
    }
    const int64_t first = t * KEY_BLOCK;
    put_scaled(dq + first * g.q_stride + h * size, g.q_stride, sum, padded, smaller(KEY_BLOCK, g.tokens - first), size,
               g.scale);
  }
}

// dk and dv of key block b. With dq, whose size must then be whole vectors, dq's chains go on in place and are scaled when b is
// their last block: called for b ascending this is all of the backward, with one computation of p and ds instead of two.
static void backward_keys(const HeadGroup& g, float* dq, float* dk, float* dv, int64_t b, float* memory) {
  const int64_t size = g.size, padded = round_up(size);
  const int64_t start = b * KEY_BLOCK, keys = smaller(KEY_BLOCK, g.tokens - start);
  Carver carver = {memory};
  float* keys_across = carver.take(KEY_BLOCK * size);
  float* values_across = carver.take(KEY_BLOCK * size);
  float* keys_copy = carver.take(KEY_BLOCK * padded);
  float* queries_copy = carver.take(KEY_BLOCK * padded);
  float* dy_copy = carver.take(KEY_BLOCK * padded);
  float* dk_sum = carver.take(KEY_BLOCK * padded);
  float* dv_sum = carver.take(KEY_BLOCK * padded);
  float* p = carver.take(KEY_BLOCK * KEY_BLOCK);
  float* ds = carver.take(KEY_BLOCK * KEY_BLOCK);
  across(g, b, keys_across, values_across);
  const Rows k = dense_rows(keys_copy, g.k + start * g.k_stride, g.k_stride, keys, size);
  memset(dk_sum, 0, KEY_BLOCK * padded * sizeof(float));
  memset(dv_sum, 0, KEY_BLOCK * padded * sizeof(float));
  for (int64_t h = 0; h < g.heads; h++) {
    for (int64_t t = b; t * KEY_BLOCK < g.tokens; t++) {
      const int64_t first = t * KEY_BLOCK, count = smaller(KEY_BLOCK, g.tokens - first);
      const int64_t at = first * g.q_stride + h * size;
      pairs(g, h, t, b, keys_across, values_across, p, ds);
      add_queries(g, t, b, p, dense_rows(dy_copy, g.dy + at, g.q_stride, count, size), dv_sum);
      add_queries(g, t, b, ds, dense_rows(queries_copy, g.q + at, g.q_stride, count, size), dk_sum);
      if (dq) {
        add_keys(g, t, b, ds, k, dq + at, g.q_stride);
        if (t == b) put_scaled(dq + at, g.q_stride, dq + at, g.q_stride, count, size, g.scale);
      }
    }
  }
  put_scaled(dk + start * g.k_stride, g.k_stride, dk_sum, padded, keys, size, g.scale);
  put_scaled(dv + start * g.k_stride, g.k_stride, dv_sum, padded, keys, size, 1.0f);
}

// Whether to make a sequence's key-value head one piece of work (5 products of blocks instead of 7): when that many pieces still
// keep the threads busy. Either way has the same chains.
static bool whole_heads(const int32_t* starts, int64_t sequences, int64_t groups, int64_t size, int32_t threads) {
  double total = 0, longest = 0;
  for (int64_t s = 0; s < sequences; s++) {
    const double tokens = starts[s + 1] - starts[s], work = tokens * tokens;
    total += static_cast<double>(groups) * work;
    if (work > longest) longest = work;
  }
  return size % LANES == 0 && (threads == 1 || 5 * (total / threads + longest) <= 7 * total / threads);
}

int attention_backward(const pt_context* ctx, pt_tensor dq, pt_tensor dk, pt_tensor dv, pt_tensor dy, pt_tensor y,
                       pt_tensor lse, pt_tensor q, pt_tensor k, pt_tensor v, pt_tensor starts, double scale) {
  if (refuse_bf16(ctx, "dy", dy, "y", y, "q", q, "k", k, "v", v)) return 1;
  const int64_t rows = q.dims[0], all_heads = q.dims[1], size = q.dims[2], groups = k.dims[1];
  const int64_t sequences = starts.dims[0] - 1;
  if (check_heads(ctx, all_heads, groups) || check_starts(ctx, i32(starts), sequences, rows)) return 1;
  const int64_t heads = all_heads / groups;
  const int64_t pieces = cut(nullptr, i32(starts), sequences, KEY_BLOCK);
  if (pieces == 0) return 0;
  const int64_t floats = backward_floats(size), delta_floats = round_up(rows * all_heads);
  float* memory = static_cast<float*>(
      ctx->scratch(ctx, (delta_floats + ctx->threads * floats) * static_cast<int64_t>(sizeof(float)) +
                            pieces * static_cast<int64_t>(sizeof(Piece))));
  if (!memory) return 1;
  float* delta = memory + ctx->threads * floats;
  Piece* work = reinterpret_cast<Piece*>(delta + delta_floats);
  cut(work, i32(starts), sequences, KEY_BLOCK);

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

  const auto group = [=](int64_t s, int64_t g) {
    const int64_t row = i32(starts)[s], head = row * all_heads + g * heads, at = (row * groups + g) * size;
    return HeadGroup{f32(q) + head * size,
                     f32(dy) + head * size,
                     f32(k) + at,
                     f32(v) + at,
                     f32(lse) + head,
                     delta + head,
                     i32(starts)[s + 1] - row,
                     heads,
                     size,
                     all_heads * size,
                     groups * size,
                     all_heads,
                     static_cast<float>(scale)};
  };
  const auto query_at = [=](int64_t s, int64_t g) { return (i32(starts)[s] * all_heads + g * heads) * size; };
  const auto key_at = [=](int64_t s, int64_t g) { return (i32(starts)[s] * groups + g) * size; };
  if (whole_heads(i32(starts), sequences, groups, size, ctx->threads)) {
    parallel(ctx, sequences * groups, [=](int64_t item, int32_t thread) {
      const int64_t s = item / groups, g = item % groups;
      const HeadGroup head_group = group(s, g);
      for (int64_t b = 0; b * KEY_BLOCK < head_group.tokens; b++)
        backward_keys(head_group, f32(dq) + query_at(s, g), f32(dk) + key_at(s, g), f32(dv) + key_at(s, g), b,
                      memory + thread * floats);
    });
    return 0;
  }
  // The longest first: the first key blocks, the last queries.
  parallel(ctx, 2 * pieces * groups, [=](int64_t item, int32_t thread) {
    const bool for_keys = item < pieces * groups;
    const int64_t n = for_keys ? item : item - pieces * groups, g = n % groups;
    const Piece piece = work[for_keys ? n / groups : pieces - 1 - n / groups];
    const int64_t s = piece.sequence, b = piece.first / KEY_BLOCK;
    if (for_keys)
      backward_keys(group(s, g), nullptr, f32(dk) + key_at(s, g), f32(dv) + key_at(s, g), b, memory + thread * floats);
    else
      backward_queries(group(s, g), f32(dq) + query_at(s, g), b, memory + thread * floats);
  });
  return 0;
}

}  // namespace PT_NAMESPACE
