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
//
// Backward, from lse: delta_i = sum of dy_i * y_i by lanes and tree;  p_ij = exp(s_ij - lse_i);
//   ds_ij = p_ij * (chain(dy_i[d] * v_j[d]) - delta_i);  dq_i = chain(ds_ij * k_j, j ascending) * scale;
//   dk_j = chain(ds_ij * q_i, query heads ascending, in each i ascending) * scale;  dv_j = chain(p_ij * dy_i, same order).
//
// How rows are grouped into tiles and tiles into work changes no chain, so it changes no bit.
#pragma GCC diagnostic ignored "-Wuninitialized"  // gcc 12: the undefined operands in its own AVX-512 header
#include "cpu.h"
#include "math64.h"

namespace PT_NAMESPACE {

constexpr int64_t KEY_BLOCK = 64;

// The tile of one product: as many rows and vectors of columns as the registers hold.
#if defined(PT_AVX512)
constexpr int TILE_ROWS = 6, TILE_VECTORS = 4;
#else
constexpr int TILE_ROWS = 6, TILE_VECTORS = 1;
#endif
// Rows whose softmax is done together, a row to a lane where a row has one number.
constexpr int GROUP_ROWS = 2 * TILE_ROWS;
static_assert(GROUP_ROWS <= LANES, "a group's row statistics share one vector");

PT_INLINE int64_t larger(int64_t a, int64_t b) { return a > b ? a : b; }
PT_INLINE int64_t round_up(int64_t n) { return ceil_div(n, LANES) * LANES; }

// c[r, n] = chain(a[r, k] * b[k, n], k ascending), from zero or going on from c. a[r, k] lies at a[r * a_row + k * a_k].
template <int R, int V>
static void product_tile(float* c, int64_t ldc, const float* a, int64_t a_row, int64_t a_k, const float* b, int64_t ldb,
                         int64_t depth, bool from_zero) {
  f32x16 sum[R][V];
#pragma GCC unroll 8
  for (int r = 0; r < R; r++)
#pragma GCC unroll 8
    for (int v = 0; v < V; v++) sum[r][v] = from_zero ? splat(0.0f) : load(c + r * ldc + v * LANES);
  for (int64_t k = 0; k < depth; k++) {
    f32x16 column[V];
#pragma GCC unroll 8
    for (int v = 0; v < V; v++) column[v] = load(b + k * ldb + v * LANES);
#pragma GCC unroll 8
    for (int r = 0; r < R; r++) {
      const f32x16 x = splat(a[r * a_row + k * a_k]);
#pragma GCC unroll 8
      for (int v = 0; v < V; v++) sum[r][v] = fma(x, column[v], sum[r][v]);
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < R; r++)
#pragma GCC unroll 8
    for (int v = 0; v < V; v++) store(c + r * ldc + v * LANES, sum[r][v]);
}

template <int V>
PT_INLINE void product_rows(int64_t rows, float* c, int64_t ldc, const float* a, int64_t a_row, int64_t a_k,
                            const float* b, int64_t ldb, int64_t depth, bool from_zero) {
  switch (rows) {
    case 1:
      return product_tile<1, V>(c, ldc, a, a_row, a_k, b, ldb, depth, from_zero);
    case 2:
      return product_tile<2, V>(c, ldc, a, a_row, a_k, b, ldb, depth, from_zero);
    case 3:
      return product_tile<3, V>(c, ldc, a, a_row, a_k, b, ldb, depth, from_zero);
    case 4:
      return product_tile<4, V>(c, ldc, a, a_row, a_k, b, ldb, depth, from_zero);
    case 5:
      return product_tile<5, V>(c, ldc, a, a_row, a_k, b, ldb, depth, from_zero);
    default:
      return product_tile<6, V>(c, ldc, a, a_row, a_k, b, ldb, depth, from_zero);
  }
}

// At most TILE_ROWS rows; `columns` is a multiple of 16.
static void product(int64_t rows, int64_t columns, float* c, int64_t ldc, const float* a, int64_t a_row, int64_t a_k,
                    const float* b, int64_t ldb, int64_t depth, bool from_zero) {
  int64_t n = 0;
  for (; n + TILE_VECTORS * LANES <= columns; n += TILE_VECTORS * LANES)
    product_rows<TILE_VECTORS>(rows, c + n, ldc, a, a_row, a_k, b + n, ldb, depth, from_zero);
  for (; n < columns; n += LANES) product_rows<1>(rows, c + n, ldc, a, a_row, a_k, b + n, ldb, depth, from_zero);
}

// A product whose row r has its own depth[r], ascending: what rows share in one tile, then each row goes on alone.
static void product_to_depth(int64_t rows, int64_t columns, float* c, int64_t ldc, const float* a, int64_t a_row,
                             const float* b, int64_t ldb, const int64_t* depth, bool from_zero) {
  const int64_t shared = depth[0];
  product(rows, columns, c, ldc, a, a_row, 1, b, ldb, shared, from_zero);
  for (int64_t r = 1; r < rows; r++)
    if (depth[r] > shared)
      product(1, columns, c + r * ldc, ldc, a + r * a_row + shared, a_row, 1, b + shared * ldb, ldb, depth[r] - shared,
              false);
}

typedef float quad __attribute__((vector_size(16)));
PT_INLINE quad load_quad(const float* p) {
  quad x;
  memcpy(&x, p, sizeof x);
  return x;
}
PT_INLINE void transpose_quads(quad* x) {
#if defined(__clang__)
#define PT_SHUFFLE(a, b, i, j, k, l) __builtin_shufflevector(a, b, i, j, k, l)
#else
  typedef int32_t order __attribute__((vector_size(16)));
#define PT_SHUFFLE(a, b, i, j, k, l) __builtin_shuffle(a, b, order{i, j, k, l})
#endif
  const quad a = PT_SHUFFLE(x[0], x[1], 0, 4, 1, 5), b = PT_SHUFFLE(x[2], x[3], 0, 4, 1, 5);
  const quad c = PT_SHUFFLE(x[0], x[1], 2, 6, 3, 7), d = PT_SHUFFLE(x[2], x[3], 2, 6, 3, 7);
  x[0] = PT_SHUFFLE(a, b, 0, 1, 4, 5);
  x[1] = PT_SHUFFLE(a, b, 2, 3, 6, 7);
  x[2] = PT_SHUFFLE(c, d, 0, 1, 4, 5);
  x[3] = PT_SHUFFLE(c, d, 2, 3, 6, 7);
#undef PT_SHUFFLE
}

// to[c, r] = from[r, c], to's rows KEY_BLOCK wide; columns from `rows` on become zero.
static void transpose(float* to, const float* from, int64_t stride, int64_t rows, int64_t columns) {
  int64_t r = 0;
  for (; r + 4 <= rows; r += 4) {
    const float* f = from + r * stride;
    int64_t c = 0;
    for (; c + 4 <= columns; c += 4) {
      quad x[4];
#pragma GCC unroll 4
      for (int i = 0; i < 4; i++) x[i] = load_quad(f + i * stride + c);
      transpose_quads(x);
#pragma GCC unroll 4
      for (int i = 0; i < 4; i++) memcpy(to + (c + i) * KEY_BLOCK + r, &x[i], sizeof x[i]);
    }
    for (; c < columns; c++)
      for (int i = 0; i < 4; i++) to[c * KEY_BLOCK + r + i] = f[i * stride + c];
  }
  for (; r < KEY_BLOCK; r++)
    for (int64_t c = 0; c < columns; c++) to[c * KEY_BLOCK + r] = r < rows ? from[r * stride + c] : 0.0f;
}

// Rows as the right side of a product: where they lie if they are whole vectors, else copied, padded with zeros. Rows a multiple
// of 1 KiB apart are copied too: they would share a few sets of the first-level cache.
struct Rows {
  const float* data;
  int64_t stride;
};
static Rows dense_rows(float* copy, const float* from, int64_t stride, int64_t rows, int64_t columns) {
  const int64_t padded = round_up(columns);
  if (columns == padded && (stride == padded || stride % 256 != 0)) return {from, stride};
  for (int64_t r = 0; r < rows; r++) {
    memcpy(copy + r * padded, from + r * stride, columns * sizeof(float));
    memset(copy + r * padded + columns, 0, (padded - columns) * sizeof(float));
  }
  return {copy, padded};
}

// Where one key block of one key-value head lies.
struct KeyBlock {
  const float *keys, *values;
  int64_t stride;
};

// One piece of work: consecutive queries of one sequence with all the query heads of one key-value head. A row is a query and a
// head, queries first; rows of one token are adjacent in memory, tokens `stride` floats apart.
struct Queries {
  int64_t count, heads, size, stride;
  int64_t first;  // position of the first query
};

// Carves buffers from one thread's scratch, each aligned to a cache line.
struct Carver {
  float* next;
  float* take(int64_t floats) {
    float* p = next;
    next += round_up(floats);
    return p;
  }
};

static int64_t attend_floats(int64_t rows, int64_t size) {
  return round_up(rows * size) + rows * round_up(size) + 2 * round_up(rows + LANES) + round_up(KEY_BLOCK * size) +
         KEY_BLOCK * round_up(size) + GROUP_ROWS * KEY_BLOCK + TILE_ROWS * round_up(size);
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

// s_j * scale in place, minus infinity from `visible` on as far as whole vectors go; returns the lanes' maxima.
PT_INLINE f32x16 scale_scores(float* s, int64_t visible, f32x16 scale) {
  const float lowest = -__builtin_inff();
  f32x16 top = splat(lowest);
  for (int64_t c = 0; c < visible; c += LANES) {
    f32x16 x = mul(load(s + c), scale);
    if (visible < c + LANES) x = keep_first(x, visible - c, lowest);
    store(s + c, x);
    top = max(x, top);
  }
  return top;
}

// p_j = exp(s_j - m) in place; returns the lanes' sums.
PT_INLINE f32x16 soften(float* s, int64_t visible, f32x16 m) {
  f32x16 sum = splat(0.0f);
  for (int64_t c = 0; c < visible; c += LANES) {
    const f32x16 p = exp(sub(load(s + c), m));
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
    store(lanes + i * LANES, scale_scores(s + i * KEY_BLOCK, WHOLE ? KEY_BLOCK : visible[i], splat(scale)));
  reduce_rows(block_max, lanes, rows, [](quad a, quad b) { return a > b ? a : b; });
  for (int64_t i = 0; i < rows; i++)
    store(lanes + i * LANES, soften(s + i * KEY_BLOCK, WHOLE ? KEY_BLOCK : visible[i], splat(block_max[i])));
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
  float* block_o = carver.take(TILE_ROWS * padded);

  for (int64_t i = 0; i < w.count; i++)
    memcpy(packed + i * w.heads * size, q + i * w.stride, w.heads * size * sizeof(float));
  memset(o, 0, rows * padded * sizeof(float));
  for (int64_t r = 0; r < rows + LANES; r++) m[r] = -__builtin_inff(), l[r] = 0.0f;

  const int64_t all_keys = w.first + w.count;
  for (int64_t start = 0, b = 0; start < all_keys; start += KEY_BLOCK, b++) {
    const int64_t keys = smaller(KEY_BLOCK, all_keys - start);
    const KeyBlock at = block(b);
    transpose(keys_across, at.keys, at.stride, keys, size);
    const Rows values = dense_rows(values_copy, at.values, at.stride, keys, size);
    const int64_t first_row = larger(0, start - w.first) * w.heads;
    for (int64_t r = first_row; r < rows; r += GROUP_ROWS) {
      const int64_t n = smaller(GROUP_ROWS, rows - r);
      int64_t visible[GROUP_ROWS];
      visible[0] = smaller(keys, w.first + r / w.heads + 1 - start);
      for (int64_t i = 1; i < n; i++)
        visible[i] = visible[0] == keys ? keys : smaller(keys, w.first + (r + i) / w.heads + 1 - start);
      for (int64_t i = 0; i < n; i += TILE_ROWS) {
        const int64_t height = smaller(TILE_ROWS, n - i);
        product(height, round_up(visible[i + height - 1]), p + i * KEY_BLOCK, KEY_BLOCK, packed + (r + i) * size, size,
                1, keys_across, KEY_BLOCK, size, true);
      }

      alignas(64) float block_max[LANES] = {}, block_sum[LANES] = {};
      if (visible[0] == KEY_BLOCK)
        soften_rows<true>(p, n, visible, scale, block_max, block_sum);
      else
        soften_rows<false>(p, n, visible, scale, block_max, block_sum);

      alignas(64) float keeps[LANES], enters[LANES];
      const f32x16 old = load(m + r), here = load(block_max), both = max(old, here);
      const f32x16 keep = exp(sub(old, both)), enter = exp(sub(here, both));
      store_first(m + r, both, n);
      store_first(l + r, fma(load(block_sum), enter, mul(load(l + r), keep)), n);
      store(keeps, keep);
      store(enters, enter);
      for (int64_t i = 0; i < n; i += TILE_ROWS) {
        const int64_t height = smaller(TILE_ROWS, n - i);
        product_to_depth(height, padded, block_o, padded, p + i * KEY_BLOCK, KEY_BLOCK, values.data, values.stride,
                         visible + i, true);
        for (int64_t j = 0; j < height; j++) {
          float* to = o + (r + i + j) * padded;
          const f32x16 a = splat(keeps[i + j]), c = splat(enters[i + j]);
          for (int64_t d = 0; d < padded; d += LANES)
            store(to + d, fma(load(block_o + j * padded + d), c, mul(load(to + d), a)));
        }
      }
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

// A range of work: the queries of sequence `sequence` from `first` (counted in the call) on.
struct Piece {
  int32_t sequence, first;
};

static int check_heads(const pt_context* ctx, int64_t heads, int64_t groups) {
  if (groups > 0 && heads % groups == 0) return 0;
  ctx->fail(ctx, "%lld query heads cannot share %lld key-value heads evenly", static_cast<long long>(heads),
            static_cast<long long>(groups));
  return 1;
}

static int check_starts(const pt_context* ctx, const int32_t* starts, int64_t sequences, int64_t rows) {
  for (int64_t s = 0; s <= sequences; s++) {
    const bool wrong = s == 0 ? starts[0] != 0 : starts[s] < starts[s - 1];
    if (wrong || (s == sequences && starts[s] != rows)) {
      ctx->fail(ctx, "starts[%lld] is %d: starts must begin with 0, never fall and end with the %lld rows",
                static_cast<long long>(s), static_cast<int>(starts[s]), static_cast<long long>(rows));
      return 1;
    }
  }
  return 0;
}

// The pieces of all sequences, `tile` queries each (the last of a sequence fewer). Returns how many; null pieces: only counts.
static int64_t cut(Piece* pieces, const int32_t* starts, int64_t sequences, int64_t tile) {
  int64_t n = 0;
  for (int64_t s = 0; s < sequences; s++)
    for (int64_t i = 0; i < starts[s + 1] - starts[s]; i += tile, n++)
      if (pieces) pieces[n] = {static_cast<int32_t>(s), static_cast<int32_t>(i)};
  return n;
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
  const int64_t groups = k.dims[1], size = k.dims[2], sequences = starts.dims[0] - 1;
  if (check_heads(ctx, q.dims[1], groups) || check_starts(ctx, i32(starts), sequences, q.dims[0])) return 1;
  return attention(
      ctx, y, lse, q, groups, i32(starts), sequences, scale, [](int64_t) { return static_cast<int64_t>(0); },
      [=](int64_t s, int64_t g, int64_t b) {
        const int64_t at = ((i32(starts)[s] + b * KEY_BLOCK) * groups + g) * size;
        return KeyBlock{f32(k) + at, f32(v) + at, groups * size};
      });
}

int attention_cached_forward(const pt_context* ctx, pt_tensor y, pt_tensor lse, pt_tensor q, pt_tensor keys,
                             pt_tensor values, pt_tensor starts, pt_tensor lengths, pt_tensor pages, double scale) {
  const int64_t groups = keys.dims[1], page_keys = keys.dims[2], size = keys.dims[3];
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
        return KeyBlock{f32(keys) + at, f32(values) + at, size};
      });
}

// p and ds of `rows` queries of one head against one key block, both (rows, KEY_BLOCK). Keys that a query does not see get
// numbers without meaning: callers leave them out of their chains.
static void pair(float* p, float* ds, const float* q, const float* dy, int64_t stride, const float* lse,
                 const float* delta, int64_t statistics_stride, int64_t rows, int64_t keys, int64_t size, float scale,
                 const float* keys_across, const float* values_across) {
  const int64_t columns = round_up(keys);
  for (int64_t r = 0; r < rows; r += TILE_ROWS) {
    const int64_t n = smaller(TILE_ROWS, rows - r);
    float *s = p + r * KEY_BLOCK, *t = ds + r * KEY_BLOCK;
    product(n, columns, s, KEY_BLOCK, q + r * stride, stride, 1, keys_across, KEY_BLOCK, size, true);
    product(n, columns, t, KEY_BLOCK, dy + r * stride, stride, 1, values_across, KEY_BLOCK, size, true);
    for (int64_t i = 0; i < n; i++) {
      const f32x16 top = splat(lse[(r + i) * statistics_stride]), mean = splat(delta[(r + i) * statistics_stride]);
      for (int64_t c = i * KEY_BLOCK; c < i * KEY_BLOCK + columns; c += LANES) {
        const f32x16 weight = exp(sub(mul(load(s + c), splat(scale)), top));
        store(s + c, weight);
        store(t + c, mul(weight, sub(load(t + c), mean)));
      }
    }
  }
}

// The backward of one key-value head of one sequence: q and dy for its query heads, k and v.
struct HeadGroup {
  const float *q, *dy, *k, *v, *lse, *delta;
  int64_t tokens, heads, size, q_stride, k_stride, all_heads;
  float scale;
};

static int64_t backward_floats(int64_t size) {
  return 2 * round_up(KEY_BLOCK * size) + 4 * KEY_BLOCK * round_up(size) + 2 * KEY_BLOCK * KEY_BLOCK;
}

PT_INLINE void put_scaled(float* to, const float* from, int64_t size, f32x16 scale) {
  for (int64_t d = 0; d < size; d += LANES) store_first(to + d, mul(load(from + d), scale), smaller(LANES, size - d));
}

// dq of the queries of query block t, head by head: key blocks ascending.
static void backward_queries(const HeadGroup& g, float* dq, int64_t t, float* memory) {
  const int64_t size = g.size, padded = round_up(size);
  const int64_t first = t * KEY_BLOCK, count = smaller(KEY_BLOCK, g.tokens - first);
  Carver carver = {memory};
  float* keys_across = carver.take(KEY_BLOCK * size);
  float* values_across = carver.take(KEY_BLOCK * size);
  float* keys_copy = carver.take(KEY_BLOCK * padded);
  float* sum = carver.take(KEY_BLOCK * padded);
  float* p = carver.take(KEY_BLOCK * KEY_BLOCK);
  float* ds = carver.take(KEY_BLOCK * KEY_BLOCK);
  for (int64_t h = 0; h < g.heads; h++) {
    const int64_t at = first * g.q_stride + h * size, statistics = first * g.all_heads + h;
    for (int64_t b = 0; b <= t; b++) {
      const int64_t start = b * KEY_BLOCK, keys = smaller(KEY_BLOCK, g.tokens - start);
      transpose(keys_across, g.k + start * g.k_stride, g.k_stride, keys, size);
      transpose(values_across, g.v + start * g.k_stride, g.k_stride, keys, size);
      const Rows k = dense_rows(keys_copy, g.k + start * g.k_stride, g.k_stride, keys, size);
      pair(p, ds, g.q + at, g.dy + at, g.q_stride, g.lse + statistics, g.delta + statistics, g.all_heads, count, keys,
           size, g.scale, keys_across, values_across);
      for (int64_t r = 0; r < count; r += TILE_ROWS) {
        int64_t visible[TILE_ROWS];
        for (int64_t i = 0; i < TILE_ROWS; i++) visible[i] = b < t ? keys : r + i + 1;
        product_to_depth(smaller(TILE_ROWS, count - r), padded, sum + r * padded, padded, ds + r * KEY_BLOCK, KEY_BLOCK,
                         k.data, k.stride, visible, b == 0);
      }
    }
    for (int64_t r = 0; r < count; r++)
      put_scaled(dq + (first + r) * g.q_stride + h * size, sum + r * padded, size, splat(g.scale));
  }
}

// dk and dv of the keys of key block b: heads ascending, in each the queries that see them ascending.
static void backward_keys(const HeadGroup& g, float* dk, float* dv, int64_t b, float* memory) {
  const int64_t size = g.size, padded = round_up(size);
  const int64_t start = b * KEY_BLOCK, keys = smaller(KEY_BLOCK, g.tokens - start);
  Carver carver = {memory};
  float* keys_across = carver.take(KEY_BLOCK * size);
  float* values_across = carver.take(KEY_BLOCK * size);
  float* queries_copy = carver.take(KEY_BLOCK * padded);
  float* dy_copy = carver.take(KEY_BLOCK * padded);
  float* dk_sum = carver.take(KEY_BLOCK * padded);
  float* dv_sum = carver.take(KEY_BLOCK * padded);
  float* p = carver.take(KEY_BLOCK * KEY_BLOCK);
  float* ds = carver.take(KEY_BLOCK * KEY_BLOCK);
  transpose(keys_across, g.k + start * g.k_stride, g.k_stride, keys, size);
  transpose(values_across, g.v + start * g.k_stride, g.k_stride, keys, size);
  memset(dk_sum, 0, KEY_BLOCK * padded * sizeof(float));
  memset(dv_sum, 0, KEY_BLOCK * padded * sizeof(float));
  for (int64_t h = 0; h < g.heads; h++) {
    for (int64_t first = start; first < g.tokens; first += KEY_BLOCK) {
      const int64_t count = smaller(KEY_BLOCK, g.tokens - first);
      const int64_t at = first * g.q_stride + h * size, statistics = first * g.all_heads + h;
      pair(p, ds, g.q + at, g.dy + at, g.q_stride, g.lse + statistics, g.delta + statistics, g.all_heads, count, keys,
           size, g.scale, keys_across, values_across);
      const Rows q = dense_rows(queries_copy, g.q + at, g.q_stride, count, size);
      const Rows dy = dense_rows(dy_copy, g.dy + at, g.q_stride, count, size);
      for (int64_t j = 0; j < keys; j += TILE_ROWS) {
        const int64_t n = smaller(TILE_ROWS, keys - j);
        // On the diagonal key j + i is first seen by query j + i: each key alone up to the tile's last, then together.
        const int64_t together = first == start ? j + n - 1 : 0;
        for (int64_t i = 0; i < n - 1 && first == start; i++) {
          const int64_t from = j + i;
          product(1, padded, dv_sum + from * padded, padded, p + from * KEY_BLOCK + from, 0, KEY_BLOCK,
                  dy.data + from * dy.stride, dy.stride, together - from, false);
          product(1, padded, dk_sum + from * padded, padded, ds + from * KEY_BLOCK + from, 0, KEY_BLOCK,
                  q.data + from * q.stride, q.stride, together - from, false);
        }
        product(n, padded, dv_sum + j * padded, padded, p + together * KEY_BLOCK + j, 1, KEY_BLOCK,
                dy.data + together * dy.stride, dy.stride, count - together, false);
        product(n, padded, dk_sum + j * padded, padded, ds + together * KEY_BLOCK + j, 1, KEY_BLOCK,
                q.data + together * q.stride, q.stride, count - together, false);
      }
    }
  }
  for (int64_t j = 0; j < keys; j++) {
    const int64_t at = (start + j) * g.k_stride;
    put_scaled(dk + at, dk_sum + j * padded, size, splat(g.scale));
    for (int64_t d = 0; d < size; d += LANES)
      store_first(dv + at + d, load(dv_sum + j * padded + d), smaller(LANES, size - d));
  }
}

int attention_backward(const pt_context* ctx, pt_tensor dq, pt_tensor dk, pt_tensor dv, pt_tensor dy, pt_tensor y,
                       pt_tensor lse, pt_tensor q, pt_tensor k, pt_tensor v, pt_tensor starts, double scale) {
  const int64_t rows = q.dims[0], all_heads = q.dims[1], size = q.dims[2], groups = k.dims[1];
  const int64_t heads = groups > 0 ? all_heads / groups : 0, sequences = starts.dims[0] - 1;
  if (check_heads(ctx, all_heads, groups) || check_starts(ctx, i32(starts), sequences, rows)) return 1;
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
  // The longest first: the first key blocks, the last queries.
  parallel(ctx, 2 * pieces * groups, [=](int64_t item, int32_t thread) {
    const bool for_keys = item < pieces * groups;
    const int64_t n = for_keys ? item : item - pieces * groups, g = n % groups;
    const Piece piece = work[for_keys ? n / groups : pieces - 1 - n / groups];
    const int64_t row = i32(starts)[piece.sequence], head = row * all_heads + g * heads;
    const int64_t at = (row * groups + g) * size;
    const HeadGroup group = {f32(q) + head * size,
                             f32(dy) + head * size,
                             f32(k) + at,
                             f32(v) + at,
                             f32(lse) + head,
                             delta + head,
                             i32(starts)[piece.sequence + 1] - row,
                             heads,
                             size,
                             all_heads * size,
                             groups * size,
                             all_heads,
                             static_cast<float>(scale)};
    if (for_keys)
      backward_keys(group, f32(dk) + at, f32(dv) + at, piece.first / KEY_BLOCK, memory + thread * floats);
    else
      backward_queries(group, f32(dq) + head * size, piece.first / KEY_BLOCK, memory + thread * floats);
  });
  return 0;
}

}  // namespace PT_NAMESPACE
