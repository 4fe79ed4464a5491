// How: gemm_few_rows.h. The order of sums is gemm.h's: fused multiply-adds do not mind which factor is which.
#include "gemm_few_rows.h"

#include "gemm_lanes.h"

namespace PT_NAMESPACE {
namespace {

constexpr int64_t FEW_ROWS_FLOATS = 512 * 1024;  // of packed A
constexpr int64_t GROUP_ROWS = 128;              // at a time
constexpr int64_t COLUMNS = 224;                 // of C at a time: C^T stays in L2
constexpr int64_t DEPTH_BLOCK = 1024;
static_assert((FEW_ROWS_FLOATS + COLUMNS * GROUP_ROWS) * 4 <= PRODUCT_SCRATCH, "scratch");
static_assert(DEPTH_BLOCK % SUM_BLOCK == 0, "sums begin at multiples of SUM_BLOCK");

template <class Lanes>
constexpr int64_t WIDTH_OF = sizeof(Lanes) / sizeof(float);
template <class Lanes>
PT_INLINE Lanes load_lanes(const float* p) {
  if constexpr (WIDTH_OF<Lanes> == LANES)
    return {load(p)};
  else
    return load_wide(p);
}
PT_INLINE void store_lanes(float* p, f32x16 x) { store(p, x); }
#if defined(PT_AVX512)
PT_INLINE void store_lanes(float* p, Wide x) { store_wide(p, x); }
#endif

template <int R>
PT_INLINE void prefetch(const RowPointers& p, int64_t ahead) {
  if constexpr (R > 0) {
    prefetch<R - 1>(p, ahead);
    __builtin_prefetch(p.pointer<R - 1>() + ahead, 0, 2);
  }
}
template <int R, class Lanes>
PT_INLINE void finish(const Rows<R, Lanes>& rows, float* c, int64_t c_row, bool add_c) {
  if constexpr (R > 0) {
    finish(rows.above, c, c_row, add_c);
    float* to = c + (R - 1) * c_row;
    store_lanes(to, add_c ? add(load_lanes<Lanes>(to), rows.last) : rows.last);
  }
}

struct Tile {
  float* c;  // of C^T
  int64_t c_row;
  const float* b;  // rows of B^T, b_row apart
  int64_t b_row;
  const float* a;  // (depth, lanes)
  int64_t depth;
  bool add_c;
  bool fetch;  // the tile after this one from memory
};

template <int R, class Lanes>
__attribute__((noinline)) void run_tile(const Tile& t) {
  Rows<R, Lanes> rows;
  clear(rows);
  const int64_t stride = t.b_row;
  const float* a = t.a;
  RowPointers p = row_pointers<R>(t.b, stride);
  const auto one = [&] {
    step_rows(rows, p, load_lanes<Lanes>(a));
    p.next();
    a += WIDTH_OF<Lanes>;
  };
  int64_t k = 0;
  for (; k + 16 <= t.depth; k += 16) {
    if (t.fetch) prefetch<R>(p, R * stride);
    for (int i = 0; i < 16; i++) one();
  }
  for (; k < t.depth; k++) one();
  finish(rows, t.c, t.c_row, t.add_c);
}
template <class Lanes>
PT_INLINE void run_tile_of(int64_t rows, const Tile& t) {
  with_count<TILE_ROWS>(rows, [&](auto count) { run_tile<decltype(count)::value, Lanes>(t); });
}

// Panels of A^T, each (depth, lanes): WIDTH lanes, and LANES in the last where they suffice. Rows that do not exist are 0.
PT_INLINE int64_t lanes_of(int64_t rows, int64_t panel) { return rows - panel <= LANES ? LANES : WIDTH; }

void pack(float* to, const Product& p) {
  for (int64_t row = 0; row < p.rows; row += LANES) {
    const int64_t panel = row / WIDTH * WIDTH, lanes = lanes_of(p.rows, panel), n = smaller(LANES, p.rows - row);
    float* group = to + panel * p.depth + (row - panel);
    const float* from = p.a.data + row * p.a.row;
    int64_t k = 0;
    if (n == LANES)
      for (; k + 16 <= p.depth; k += 16) transpose16(group + k * lanes, lanes, from + k, p.a.row);
    for (; k < p.depth; k++)
      for (int64_t i = 0; i < LANES; i++) group[k * lanes + i] = i < n ? from[i * p.a.row + k] : 0.0f;
  }
}

// C, from its transpose.
void put(const Product& p, const float* transpose, int64_t padded, int64_t column, int64_t columns) {
  for (int64_t row = 0; row < p.rows; row += LANES)
    for (int64_t j = 0; j < columns; j += LANES) {
      float* to = p.c + row * p.c_row + column + j;
      const float* from = transpose + j * padded + row;
      if (row + LANES <= p.rows && j + LANES <= columns) {
        transpose16(to, p.c_row, from, padded);
        continue;
      }
      for (int64_t r = 0; r < smaller(LANES, p.rows - row); r++)
        for (int64_t i = 0; i < smaller(LANES, columns - j); i++) to[r * p.c_row + i] = from[i * padded + r];
    }
  if (!p.bias) return;
  for (int64_t row = 0; row < p.rows; row++) {
    float* line = p.c + row * p.c_row + column;
    for (int64_t j = 0; j < columns; j++) line[j] = line[j] + p.bias[column + j];
  }
}

}  // namespace

static void multiply_group(const Product& p, void* scratch) {
  float* panels = static_cast<float*>(scratch);
  float* transpose = panels + FEW_ROWS_FLOATS;
  const int64_t padded = ceil_div(p.rows, LANES) * LANES;
  pack(panels, p);
  Tile t;
  t.c_row = padded;
  t.b_row = p.b.column;
  for (int64_t column = 0; column < p.columns; column += COLUMNS) {
    const int64_t columns = smaller(COLUMNS, p.columns - column), tiles = ceil_div(columns, TILE_ROWS);
    for (int64_t block = 0; block < p.depth; block += DEPTH_BLOCK)
      for (int64_t i = 0; i < tiles; i++) {
        const int64_t first = i * columns / tiles, rows = (i + 1) * columns / tiles - first;
        const float* b = p.b.data + (column + first) * p.b.column;
        for (int64_t k = block; k < smaller(p.depth, block + DEPTH_BLOCK); k += SUM_BLOCK) {
          t.b = b + k;
          t.depth = smaller(SUM_BLOCK, p.depth - k);
          t.add_c = k > 0;
          for (int64_t row = 0; row < p.rows; row += WIDTH) {
            const int64_t lanes = lanes_of(p.rows, row);
            t.c = transpose + first * padded + row;
            t.a = panels + row * p.depth + k * lanes;
            t.fetch = row == 0;
            if (lanes == LANES)
              run_tile_of<f32x16>(rows, t);
            else
              run_tile_of<Wide>(rows, t);
          }
        }
      }
    put(p, transpose, padded, column, columns);
  }
}

void multiply_few_rows(const Product& p, void* scratch) {
  const int64_t held = smaller(GROUP_ROWS, FEW_ROWS_FLOATS / p.depth / WIDTH * WIDTH);
  const int64_t panels = ceil_div(p.rows, WIDTH), groups = ceil_div(p.rows, held);
  for (int64_t group = 0; group < groups; group++) {
    const int64_t row = group * panels / groups * WIDTH;
    Product part = p;
    part.c += row * p.c_row;
    part.a.data += row * p.a.row;
    part.rows = smaller(p.rows, (group + 1) * panels / groups * WIDTH) - row;
    multiply_group(part, scratch);
  }
}

}  // namespace PT_NAMESPACE
