// How: gemm_few_rows.h. The order of sums is gemm.h's: fused multiply-adds do not mind which factor is which.
#include "gemm_few_rows.h"

#include "gemm_lanes.h"

namespace PT_NAMESPACE {
namespace {

constexpr int64_t COLUMNS = 224;  // of C at a time: C^T stays in L2
constexpr int64_t DEPTH_BLOCK = 1024;
static_assert((FEW_ROWS_FLOATS + COLUMNS * FEW_ROWS) * 4 <= PRODUCT_SCRATCH, "scratch");
static_assert(DEPTH_BLOCK % SUM_BLOCK == 0, "sums begin at multiples of SUM_BLOCK");

template <int R, class Lanes>
struct Rows {
  Rows<R - 1, Lanes> above;
  Lanes last;
};
template <class Lanes>
struct Rows<0, Lanes> {};

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
PT_INLINE f32x16 zero_like(f32x16) { return splat(0.0f); }
#if defined(PT_AVX512)
PT_INLINE void store_lanes(float* p, Wide x) { store_wide(p, x); }
PT_INLINE Wide zero_like(Wide) { return splat_wide(0.0f); }
#endif

// Rows of B^T, `stride` apart. Three share a pointer: few registers address all.
struct Pointers {
  const float *p0, *p3, *p6, *p9, *p12;
};
template <int R>
PT_INLINE const float* pointer(const Pointers& p, int64_t stride) {
  const float* base = R < 3 ? p.p0 : R < 6 ? p.p3 : R < 9 ? p.p6 : R < 12 ? p.p9 : p.p12;
  return base + (R % 3) * stride;
}

template <int R, class Lanes>
PT_INLINE void clear(Rows<R, Lanes>& rows) {
  if constexpr (R > 0) {
    clear(rows.above);
    rows.last = zero_like(rows.last);
  }
}
template <int R, class Lanes>
PT_INLINE void step(Rows<R, Lanes>& rows, const Pointers& p, int64_t stride, Lanes a) {
  if constexpr (R > 0) {
    step(rows.above, p, stride, a);
    rows.last = fma(*pointer<R - 1>(p, stride), a, rows.last);
  }
}
template <int R>
PT_INLINE void prefetch(const Pointers& p, int64_t stride, int64_t ahead) {
  if constexpr (R > 0) {
    prefetch<R - 1>(p, stride, ahead);
    __builtin_prefetch(pointer<R - 1>(p, stride) + ahead, 0, 2);
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
  const float *a = t.a, *b = t.b;
  Pointers p = {b, R > 3 ? b + 3 * stride : nullptr, R > 6 ? b + 6 * stride : nullptr, R > 9 ? b + 9 * stride : nullptr,
                R > 12 ? b + 12 * stride : nullptr};
  const auto one = [&] {
    step(rows, p, stride, load_lanes<Lanes>(a));
    p.p0++, p.p3++, p.p6++, p.p9++, p.p12++;
    a += WIDTH_OF<Lanes>;
  };
  int64_t k = 0;
  for (; k + 16 <= t.depth; k += 16) {
    if (t.fetch) prefetch<R>(p, stride, R * stride);
    for (int i = 0; i < 16; i++) one();
  }
  for (; k < t.depth; k++) one();
  finish(rows, t.c, t.c_row, t.add_c);
}
template <class Lanes, int R = TILE_ROWS>
PT_INLINE void run_tile_of(int64_t rows, const Tile& t) {
  if (R == 1 || rows == R)
    run_tile<R, Lanes>(t);
  else if constexpr (R > 1)
    run_tile_of<Lanes, R - 1>(rows, t);
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

void multiply_few_rows(const Product& p, void* scratch) {
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

}  // namespace PT_NAMESPACE
