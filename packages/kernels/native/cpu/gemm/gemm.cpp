// B is packed into panels of WIDTH columns, its inner dimension outermost; a block of A, packed or where it lies, stays in L2 while slabs
// of B (a panel, SUM_BLOCK deep) pass through L1 one after the other and meet all its register tiles, up to TILE_ROWS rows each. A
// tile fetches ahead what is needed next: its C, and the next slab. Block sizes suit 48 KB of L1 and 1 MB of L2 a core.
#include "gemm_few_rows.h"
#include "gemm_lanes.h"
#include "gemv.h"

namespace PT_NAMESPACE {
namespace {

constexpr int64_t WHOLE_DEPTH =
    1024;  // of the inner dimension: up to here one block; deeper ones are cut into blocks of
constexpr int64_t DEPTH_BLOCK = 512;
constexpr int64_t PANEL_FLOATS = 512 * 1024;    // of packed B: streams from L3, a slab (SUM_BLOCK, WIDTH) at a time
constexpr int64_t A_BLOCK_FLOATS = 112 * 1024;  // of packed A: stays in L2 while all panels pass
constexpr int64_t FLAT_ROWS = 2 * TILE_ROWS;    // up to here one panel at a time, in L1, and A is read where it lies
constexpr int64_t FLAT_DEPTH_BLOCK = 8192 / WIDTH;
static_assert(DEPTH_BLOCK % SUM_BLOCK == 0 && FLAT_DEPTH_BLOCK % SUM_BLOCK == 0,
              "sums begin at multiples of SUM_BLOCK");
constexpr int64_t MOST_TILES = 64;  // of A in a block
constexpr int64_t TILE_GAP = 16;    // floats between packed tiles: a store of 16 may write what was too much
static_assert(TILE_ROWS * WHOLE_DEPTH <= A_BLOCK_FLOATS, "a block of A has a tile");
static_assert((PANEL_FLOATS + A_BLOCK_FLOATS + MOST_TILES * TILE_GAP) * 4 <= PRODUCT_SCRATCH, "scratch");

// ---- the register tile ----

// The left factor of a packed tile: R numbers a step.
struct Packed {
  const float* a;
  template <int R>
  __attribute__((always_inline)) float at() const {
    return a[R];
  }
};
template <int R>
PT_INLINE void start_rows(Rows<R>& rows, const float* c, int64_t c_row, int64_t columns, bool from_c) {
  if constexpr (R > 0) {
    start_rows<R - 1>(rows.above, c, c_row, columns, from_c);
    const float* p = c + (R - 1) * c_row;
    rows.last = !from_c ? splat_wide(0.0f) : columns == WIDTH ? load_wide(p) : load_first_wide(p, columns);
  }
}

struct Tile {
  float* c;
  int64_t c_row;
  int64_t columns;  // of this panel that exist
  const float* a;   // rows a_row apart and contiguous along depth; or packed, (depth, R)
  int64_t a_row;
  const float* b;  // (depth, WIDTH)
  int64_t depth;
  bool from_c;           // the chain starts from the stored C, not from +0
  bool add_c;            // the finished chain is added to the stored C
  const float* bias;     // in the last block of the inner dimension, or null
  const float* c_ahead;  // C of a tile that needs it soon
  const float* ahead;    // packed B that is needed soon: AHEAD floats for every 8 steps of the inner dimension
};
constexpr int64_t AHEAD = 64;

template <int R, bool PACKED>
__attribute__((noinline)) void run_tile(const Tile& t) {
  for (int64_t r = 0; r < R; r++)
    for (int64_t j = 0; j < WIDTH + 15; j += 16)
      __builtin_prefetch(t.c_ahead + r * t.c_row + (j < WIDTH ? j : WIDTH - 1), 1, 3);
  Rows<R> rows;
  start_rows<R>(rows, t.c, t.c_row, t.columns, t.from_c);
  const float *b = t.b, *a = t.a, *ahead = t.ahead;
  const int64_t stride = t.a_row;
  RowPointers p = row_pointers<R>(a, stride);  // not packed
  const auto step = [&] {
    if constexpr (PACKED) {
      step_rows(rows, Packed{a}, load_wide(b));
      a += R;
    } else {
      step_rows(rows, p, load_wide(b));
      p.next();
    }
    b += WIDTH;
  };
  int64_t k = 0;
  for (; k + 8 <= t.depth; k += 8) {
    for (int64_t line = 0; line < AHEAD; line += 16) __builtin_prefetch(ahead + line, 0, 2);
    ahead += AHEAD;
    for (int64_t i = 0; i < 8; i++) step();
  }
  for (; k < t.depth; k++) step();
  finish_rows<R>(rows, t.c, t.c_row, t.columns, t.add_c, t.bias);
}

template <bool PACKED>
PT_INLINE void run_tile_of(int64_t rows, const Tile& t) {
  with_count<TILE_ROWS>(rows, [&](auto count) { run_tile<decltype(count)::value, PACKED>(t); });
}

// ---- packing ----

// `columns` columns of B from `b` on (element (k, j) at b[k + j * stride]) into panels (depth, WIDTH), one after the other.
void pack_from_columns(float* to, const float* b, int64_t stride, int64_t depth, int64_t columns) {
  for (int64_t j = 0; j < columns; j += 16) {
    float* group = to + j / WIDTH * WIDTH * depth + j % WIDTH;
    const float* from = b + j * stride;
    const int64_t n = smaller(16, columns - j);
    int64_t k = 0;
    if (n == 16)
      for (; k + 16 <= depth; k += 16) {
        for (int64_t i = 16; i < 32; i++) __builtin_prefetch(from + k + i * stride, 0, 2);  // of the next group
        transpose16(group + k * WIDTH, WIDTH, from + k, stride);
      }
    for (; k < depth; k++)
      for (int64_t i = 0; i < 16; i++) group[k * WIDTH + i] = i < n ? from[k + i * stride] : 0.0f;
  }
}

// The same where element (k, j) lies at b[k * stride + j].
void pack_from_rows(float* to, const float* b, int64_t stride, int64_t depth, int64_t columns) {
  const int64_t whole = columns / WIDTH * WIDTH;
  for (int64_t k = 0; k < depth; k++) {
    const float* from = b + k * stride;
    float* line = to + k * WIDTH;
    for (int64_t j = 0; j < whole; j += WIDTH) store_wide(line + j * depth, load_wide(from + j));
    if (whole < columns) store_wide(line + whole * depth, load_first_wide(from + whole, columns - whole));
  }
}

// Rows are spread evenly over tiles.
PT_INLINE int64_t first_row(const Product& p, int64_t tile) {
  const int64_t tiles = ceil_div(p.rows, TILE_ROWS);
  return tile * (p.rows / tiles) + smaller(tile, p.rows % tiles);
}

// Where tile i of a block of A begins, whose first tile is `first`.
PT_INLINE float* packed_tile(float* to, const Product& p, int64_t first, int64_t i, int64_t depth) {
  return to + (first_row(p, i) - first_row(p, first)) * depth + (i - first) * TILE_GAP;
}

// Tiles [begin, end) of an A whose columns lie along the inner dimension (element (i, k) at a[i + k * stride]), each as (depth, rows).
// A store writes 16 floats, the next one overwrites what was too much.
void pack_tiles_from_columns(float* to, const Product& p, int64_t begin, int64_t end, int64_t k, int64_t depth) {
  const int64_t first = first_row(p, begin), last = first_row(p, end);
  const float* line = p.a.data + k * p.a.column;
  for (int64_t d = 0; d < depth; d++, line += p.a.column) {
    for (int64_t i = first; i < last; i += 16) __builtin_prefetch(line + 8 * p.a.column + i, 0, 3);
    float* tile = to;
    int64_t row = first;
    for (int64_t i = begin; i < end; i++) {
      const int64_t next = first_row(p, i + 1), rows = next - row;
      store(tile + d * rows, row + 16 <= last ? load(line + row) : load_first(line + row, rows));
      tile += rows * depth + TILE_GAP;
      row = next;
    }
  }
}

// The same of an A whose rows lie along it (element (i, k) at a[i * stride + k]).
void pack_tiles_from_rows(float* to, const Product& p, int64_t begin, int64_t end, int64_t k, int64_t depth) {
  const int64_t stride = p.a.row;
  for (int64_t i = begin; i < end; i++) {
    const int64_t row = first_row(p, i), rows = first_row(p, i + 1) - row;
    const float* from = p.a.data + row * stride + k;
    int64_t d = 0;
    if (row + 16 <= p.rows)
      for (; d + 16 <= depth; d += 16) {
        for (int64_t r = 16; r < 16 + rows; r++) __builtin_prefetch(from + r * stride + d, 0, 2);  // of the next tile
        transpose16(to + d * rows, rows, from + d, stride);
      }
    for (; d < depth; d++)
      for (int64_t r = 0; r < rows; r++) to[d * rows + r] = from[r * stride + d];
    to += rows * depth + TILE_GAP;
  }
}

// ---- blocks ----

struct Block {
  int64_t column, columns;  // of C
  int64_t k, depth;         // of the inner dimension
};

void pack_b(float* panels, const Factor<float>& b, const Block& block) {
  const float* from = b.data + block.k * b.row + block.column * b.column;
  if (b.column == 1)
    pack_from_rows(panels, from, b.row, block.depth, block.columns);
  else
    pack_from_columns(panels, from, b.column, block.depth, block.columns);
}

// Whether A is read where it lies: its rows along the inner dimension and close enough together, or used too few times to be worth a copy;
// and their distance no multiple of 2 KB, or they would meet in few sets of L1.
PT_INLINE bool in_place(const Product& p) {
  if (p.a.column != 1) return false;
  return p.rows <= FLAT_ROWS || (p.a.row % 512 != 0 && (p.a.row <= WHOLE_DEPTH || p.columns < 384));
}

void pack_a(float* to, const Product& p, int64_t begin, int64_t end, int64_t k, int64_t depth) {
  if (p.a.column == 1)
    pack_tiles_from_rows(to, p, begin, end, k, depth);
  else
    pack_tiles_from_columns(to, p, begin, end, k, depth);
}

// Tiles [begin, end) of A, packed in `tiles` or (null) where they lie, against the packed panels of a block. Each slab of B (a chain deep) comes to
// L1 once and meets all tiles.
void run_tiles(const Product& p, const Block& block, int64_t begin, int64_t end, float* tiles, const float* panels) {
  Tile tile;
  tile.c_row = p.c_row;
  tile.a_row = p.a.row;
  tile.from_c = p.sum == Sum::chain;
  const int64_t chain = SUM_BLOCK;
  for (int64_t j = 0; j < block.columns; j += WIDTH) {
    const int64_t column = block.column + j;
    tile.columns = smaller(WIDTH, block.columns - j);
    int64_t k = 0;
    do {
      tile.depth = smaller(chain, block.depth - k);
      tile.add_c = p.sum == Sum::more_blocks || (p.sum == Sum::blocks && block.k + k > 0);
      const bool last = block.k + k + tile.depth == p.depth;
      tile.bias = p.bias && last ? p.bias + column : nullptr;
      tile.b = panels + j * block.depth + k * WIDTH;
      // The slab after this one follows it in memory, except from one panel to the next when sums are short.
      const float* ahead = tile.b + tile.depth * WIDTH;
      const float* ahead_end = ahead + tile.depth * WIDTH;
      for (int64_t i = begin; i < end; i++) {
        const int64_t row = first_row(p, i), rows = first_row(p, i + 1) - row;
        tile.c = p.c + row * p.c_row + column;
        tile.c_ahead = tile.from_c ? tile.c + rows * p.c_row : tile.c;
        tile.ahead = ahead < ahead_end ? ahead : tile.b;
        ahead += tile.depth * (AHEAD / 8);
        if (tiles) {
          tile.a = packed_tile(tiles, p, begin, i, block.depth) + k * rows;
          run_tile_of<true>(rows, tile);
        } else {
          tile.a = p.a.data + row * p.a.row + block.k + k;
          run_tile_of<false>(rows, tile);
        }
      }
      k += tile.depth;
    } while (k < block.depth);
  }
}

}  // namespace

// How deep blocks are, how many columns they have, and how many tiles of A meet them at a time.
static int64_t depth_of_blocks(const Product& p) {
  if (p.rows <= FLAT_ROWS) return FLAT_DEPTH_BLOCK;
  return p.depth <= WHOLE_DEPTH ? WHOLE_DEPTH : DEPTH_BLOCK;
}

static int64_t columns_of_blocks(int64_t depth) { return PANEL_FLOATS / depth / WIDTH * WIDTH; }

void multiply(const Product& p, void* scratch) {
  if (is_gemv(p)) return multiply_gemv(p);
  if (has_few_rows(p)) return multiply_few_rows(p, scratch);
  const bool flat = p.rows <= FLAT_ROWS;
  const int64_t depth = depth_of_blocks(p), held = smaller(depth, p.depth > 0 ? p.depth : 1);
  const int64_t columns = flat ? WIDTH : columns_of_blocks(held);
  const int64_t tiles = ceil_div(p.rows, TILE_ROWS);
  const int64_t block_tiles = smaller(MOST_TILES, A_BLOCK_FLOATS / (TILE_ROWS * held));
  const int64_t tile_blocks = ceil_div(tiles, block_tiles);
  float* panels = static_cast<float*>(scratch);
  float* packed = panels + PANEL_FLOATS;
  for (int64_t column = 0; column < p.columns; column += columns) {
    int64_t k = 0;
    do {
      const Block block = {column, smaller(columns, p.columns - column), k, smaller(depth, p.depth - k)};
      pack_b(panels, p.b, block);
      for (int64_t i = 0; i < tile_blocks; i++) {
        const int64_t begin = i * tiles / tile_blocks, end = (i + 1) * tiles / tile_blocks;
        if (!in_place(p)) pack_a(packed, p, begin, end, k, block.depth);
        run_tiles(p, block, begin, end, in_place(p) ? nullptr : packed, panels);
      }
      k += depth;
    } while (k < p.depth);
  }
}

// Into how many parts rows and columns are cut. Parts that share columns pack the same of B, parts that share rows pack the same of A
// (if they do): of the cuts that give every thread as many parts, those of least time by a model; more parts where they cost little,
// because a thread may be held up.
struct Cut {
  int64_t rows, columns;
};
static Cut cut(const Product& p, int64_t threads) {
  const int64_t panels = ceil_div(p.columns, WIDTH), tiles = ceil_div(p.rows, TILE_ROWS);
  if (is_gemv(p) || has_few_rows(p)) {  // each part packs A, or waits for its first columns
    return {1, smaller(panels, streamed_parts(p.columns, threads))};
  }
  if (p.rows <= FLAT_ROWS) {
    const int64_t wanted = 4 * threads;
    return {1, smaller(panels, ceil_div(ceil_div(panels, 8), wanted) * wanted)};
  }
  const int64_t depth = smaller(depth_of_blocks(p), p.depth > 0 ? p.depth : 1),
                block = columns_of_blocks(depth) / WIDTH;
  const int64_t a_cost = in_place(p) ? 2 : 16, b_cost = 12;  // 1/32 cycles an element
  Cut best = {1, 1};
  int64_t least = 0;
  for (int64_t each = 1; each <= 4; each++)
    for (int64_t rows = 1; rows <= each * threads; rows++) {
      const int64_t columns = each * threads / rows;
      if (rows * columns != each * threads || rows > tiles || columns > panels) continue;
      const int64_t m = ceil_div(tiles, rows) * TILE_ROWS, n = ceil_div(panels, columns);
      const int64_t time =
          each * (m * n * WIDTH + a_cost * m * ceil_div(n, block) + b_cost * n * WIDTH + 262144 / depth);
      if (least == 0 || time < least || (each > 1 && time - time / 128 < least)) {
        if (least == 0 || time < least) least = time;
        best = {rows, columns};
      }
    }
  return best;
}

// Part `i` of a product that is cut so.
static void multiply_part(const Product& p, const Cut& parts, int64_t i, void* scratch) {
  const int64_t panels = ceil_div(p.columns, WIDTH);
  const int64_t column_part = i / parts.rows, row_part = i % parts.rows;
  const int64_t column = column_part * panels / parts.columns * WIDTH;
  const int64_t row = row_part * p.rows / parts.rows;
  Product part = p;
  part.c += row * p.c_row + column;
  part.a.data += row * p.a.row;
  part.b.data += column * p.b.column;
  part.rows = (row_part + 1) * p.rows / parts.rows - row;
  part.columns = smaller(p.columns, (column_part + 1) * panels / parts.columns * WIDTH) - column;
  if (p.bias) part.bias += column;
  multiply(part, scratch);
}

void multiply_parallel(const pt_context* ctx, const Product* products, int64_t count, void* scratch) {
  Cut cuts[MOST_TOGETHER];
  int64_t ends[MOST_TOGETHER], parts = 0;
  for (int64_t n = 0; n < count; n++) {
    const Product& p = products[n];
    cuts[n] = p.rows == 0 || p.columns == 0 ? Cut{0, 0} : cut(p, ctx->threads);
    ends[n] = parts += cuts[n].rows * cuts[n].columns;
  }
  parallel(ctx, parts, [&](int64_t i, int32_t thread) {
    int64_t n = 0;
    while (i >= ends[n]) n++;
    multiply_part(products[n], cuts[n], n > 0 ? i - ends[n - 1] : i,
                  static_cast<char*>(scratch) + thread * PRODUCT_SCRATCH);
  });
}

}  // namespace PT_NAMESPACE
