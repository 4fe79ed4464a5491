// bf16 products, cut into blocks: chunks of rows of A, packed once, against blocks of columns of B that fit L2, packed once a chunk. The inner
// dimension is cut, at multiples of 32, where blocks would be too deep; totals go on from the stored C then. A kernel (gemm_bf16_lanes.h,
// gemm_bf16_tiles.h, gemm_bf16_vectors.h) packs and computes a block.
#include "gemm.h"
#include "gemm_bf16_lanes.h"
#include "gemm_bf16_tiles.h"
#include "gemm_bf16_vectors.h"

namespace PT_NAMESPACE {
namespace {

constexpr int64_t A_BYTES = 4 << 20;
constexpr int64_t B_BYTES = 512 << 10;   // half of L2, or a quarter
constexpr int64_t ROUNDED_DEPTH = 4096;  // the deepest block, where C is bf16: it cannot hold totals
static_assert(A_BYTES + B_BYTES <= PRODUCT_BF16_SCRATCH, "scratch");

// How a product is cut: depth of its blocks, rows of its chunks, columns of its blocks.
struct Cut {
  int64_t depth, rows, columns;
  int64_t
      a_depth;    // of packed rows: `depth`, or everything, and then a block of columns is finished before the next one
  bool streamed;  // B is not packed ahead
};
template <class Kernel>
Cut cut_of(const ProductBf16& p) {
  Cut cut;
  const bool fits = Kernel::a_bytes(p.rows, p.depth) <= A_BYTES;
  const int64_t deepest = p.c_wide ? Kernel::DEPTH_BLOCK : ROUNDED_DEPTH;
  cut.streamed = p.rows <= Kernel::FLAT_ROWS && fits && p.c_wide;
  cut.depth = 32;
  if (p.depth > 0) cut.depth = ceil_div(ceil_div(p.depth, ceil_div(p.depth, deepest)), 32) * 32;
  const bool whole = cut.streamed || (Kernel::WHOLE && fits);
  cut.a_depth = whole && cut.depth < p.depth ? p.depth : cut.depth;
  cut.columns = B_BYTES / Kernel::b_bytes(1, cut.depth) * Kernel::PANEL_WIDTH;
  cut.rows = smaller(p.rows, A_BYTES / Kernel::a_bytes(32, cut.depth) * 32);
  return cut;
}

template <class Kernel>
void pack_a(const ProductBf16& p, const Cut& cut, int64_t row, int64_t rows, int64_t k, char* to) {
  Kernel::pack_a(to, p.a.from(row, k), rows, smaller(cut.a_depth, p.depth - k));
}

// C (rows, columns) from (row, column) on, as far as the inner dimension from `k` on is packed in `packed_a`, which begins at row a_row.
template <class Kernel>
void run_blocks(const ProductBf16& p, const Cut& cut, int64_t row, int64_t rows, int64_t column, int64_t columns,
                int64_t k, const char* packed_a, int64_t a_row, char* packed_b) {
  const FlushSubnormals flush;
  const int64_t packed = smaller(cut.a_depth, p.depth - k);
  if (cut.streamed)
    return Kernel::run_streamed({rows, columns, p.depth, static_cast<float*>(p.c) + row * p.c_row + column, nullptr,
                                 p.c_row, p.from_c, p.bias ? p.bias + column : nullptr},
                                packed_a, p.b.from(0, column));
  for (int64_t j = column; j < column + columns; j += cut.columns) {
    const int64_t at = row * p.c_row + j;
    int64_t first = 0;
    do {
      BlockBf16 block;
      block.rows = rows;
      block.columns = smaller(cut.columns, column + columns - j);
      block.depth = smaller(cut.depth, packed - first);
      block.to = p.c_wide ? static_cast<float*>(p.c) + at : nullptr;
      block.to_rounded = p.c_wide ? nullptr : static_cast<bf16*>(p.c) + at;
      block.row = p.c_row;
      block.from_c = p.from_c || k + first > 0;
      block.bias = p.bias && k + first + block.depth == p.depth ? p.bias + j : nullptr;
      Kernel::pack_b(packed_b, p.b.from(k + first, j), block.columns, block.depth);
      Kernel::run(block, packed_a, row - a_row, packed, first, packed_b);
      first += cut.depth;
    } while (first < packed);
  }
}

template <class Kernel>
void multiply_with(const ProductBf16& p, char* scratch) {
  const Cut cut = cut_of<Kernel>(p);
  for (int64_t row = 0; row < p.rows; row += cut.rows) {
    const int64_t rows = smaller(cut.rows, p.rows - row);
    int64_t k = 0;
    do {
      pack_a<Kernel>(p, cut, row, rows, k, scratch);
      run_blocks<Kernel>(p, cut, row, rows, 0, p.columns, k, scratch, row, scratch + A_BYTES);
      k += cut.a_depth;
    } while (k < p.depth);
  }
}

// scratch: A_BYTES for all, then B_BYTES for each thread.
template <class Kernel>
void multiply_parallel_with(const pt_context* ctx, const ProductBf16& p, char* scratch) {
  constexpr int64_t ROWS = 64;  // that are packed, or computed, by one thread at least
  const Cut cut = cut_of<Kernel>(p);
  const int64_t wanted = 4 * ctx->threads;
  const int64_t panels = ceil_div(p.columns, Kernel::PANEL_WIDTH);
  const int64_t column_parts = smaller(panels, ceil_div(ceil_div(p.columns, cut.columns), wanted) * wanted);
  for (int64_t row = 0; row < p.rows; row += cut.rows) {
    const int64_t rows = smaller(cut.rows, p.rows - row);
    const int64_t row_groups = ceil_div(rows, ROWS);
    const int64_t row_parts = column_parts >= wanted ? 1 : smaller(row_groups, ceil_div(wanted, column_parts));
    int64_t k = 0;
    do {
      const int64_t a_depth = smaller(cut.a_depth, p.depth - k);
      parallel(ctx, row_groups, [&](int64_t i, int32_t) {
        pack_a<Kernel>(p, cut, row + i * ROWS, smaller(ROWS, rows - i * ROWS), k,
                       scratch + Kernel::a_bytes(i * ROWS, a_depth));
      });
      parallel(ctx, column_parts * row_parts, [&](int64_t i, int32_t thread) {
        const int64_t column_part = i / row_parts, row_part = i % row_parts;
        const int64_t column = column_part * panels / column_parts * Kernel::PANEL_WIDTH;
        const int64_t end = smaller(p.columns, (column_part + 1) * panels / column_parts * Kernel::PANEL_WIDTH);
        const int64_t first = row_part * row_groups / row_parts * ROWS;
        const int64_t last = smaller(rows, (row_part + 1) * row_groups / row_parts * ROWS);
        run_blocks<Kernel>(p, cut, row + first, last - first, column, end - column, k, scratch, row,
                           scratch + A_BYTES + thread * B_BYTES);
      });
      k += cut.a_depth;
    } while (k < p.depth);
  }
}

// Products of the same few rows, whose B is streamed: A is packed once, and the columns of all are spread over the threads.
template <class Kernel>
void multiply_streamed(const pt_context* ctx, const ProductBf16* products, int64_t count, char* scratch) {
  Cut cuts[MOST_TOGETHER];
  int64_t parts[MOST_TOGETHER], ends[MOST_TOGETHER], all = 0;
  for (int64_t n = 0; n < count; n++) {
    cuts[n] = cut_of<Kernel>(products[n]);
    const int64_t panels = ceil_div(products[n].columns, Kernel::PANEL_WIDTH);
    parts[n] = smaller(panels, streamed_parts(products[n].columns, ctx->threads));
    ends[n] = all += parts[n];
  }
  parallel(ctx, 1, [&](int64_t, int32_t) { pack_a<Kernel>(products[0], cuts[0], 0, products[0].rows, 0, scratch); });
  parallel(ctx, all, [&](int64_t i, int32_t thread) {
    int64_t n = 0;
    while (i >= ends[n]) n++;
    const ProductBf16& p = products[n];
    const int64_t part = n > 0 ? i - ends[n - 1] : i, panels = ceil_div(p.columns, Kernel::PANEL_WIDTH);
    const int64_t column = part * panels / parts[n] * Kernel::PANEL_WIDTH;
    const int64_t end = smaller(p.columns, (part + 1) * panels / parts[n] * Kernel::PANEL_WIDTH);
    run_blocks<Kernel>(p, cuts[n], 0, p.rows, column, end - column, 0, scratch, 0,
                       scratch + A_BYTES + thread * B_BYTES);
  });
}

void round_all(const pt_context* ctx, bf16* to, const float* from, int64_t count) {
  parallel_ranges(ctx, count, 1 << 14, [=](int64_t begin, int64_t end) {
    int64_t i = begin;
    for (; i + LANES <= end; i += LANES) store_bf16(to + i, load(from + i));
    if (i < end) store_bf16_first(to + i, load_first(from + i, end - i), end - i);
  });
}

}  // namespace

pt_tensor as_bf16(const pt_context* ctx, pt_tensor x) {
  if (is_bf16(x) || !x.data) return x;
  const int64_t count = elements(x);
  auto* copy = static_cast<bf16*>(ctx->scratch(ctx, (count + 1) * static_cast<int64_t>(sizeof(bf16))));
  if (copy) round_all(ctx, copy, f32(x), count);
  x.data = copy;
  x.dtype = PT_BF16;
  return x;
}

// body(kernel) with the kernel that suits the product, on the context's path.
template <class Body>
static void with_kernel(const pt_context* ctx, const ProductBf16& p, const Body& body) {
#if defined(PT_AVX512)
  if (p.b.row == 1 && p.b.column == p.depth && suits_gemv(p.rows, 2 * p.depth)) return body(VectorKernel());
#endif
  (void)p;
  with_tiles(ctx, [&](auto tiles) {
    using Tiles = typename decltype(tiles)::type;
    if constexpr (HAS_TILES<Tiles>)
      body(TileKernel<Tiles>());
    else
      body(LaneKernel());
  });
}

void multiply(const pt_context* ctx, const ProductBf16& p, void* scratch) {
  with_kernel(ctx, p, [&](auto kernel) { multiply_with<decltype(kernel)>(p, static_cast<char*>(scratch)); });
}

void* parallel_scratch_bf16(const pt_context* ctx) { return ctx->scratch(ctx, A_BYTES + ctx->threads * B_BYTES); }

int multiply_parallel(const pt_context* ctx, const ProductBf16* products, int64_t count, void* scratch) {
  ProductBf16 all[MOST_TOGETHER];
  int64_t real = 0;
  const ProductBf16* rounded[MOST_TOGETHER];
  for (int64_t n = 0; n < count; n++) {
    const ProductBf16& p = products[n];
    if (p.rows == 0 || p.columns == 0) continue;
    ProductBf16& q = all[real] = p;
    // Few rows, or many inputs: totals are held in f32, then rounded.
    const bool held = !p.c_wide && (p.rows <= LaneKernel::FLAT_ROWS || p.depth > ROUNDED_DEPTH);
    rounded[real++] = held ? &p : nullptr;
    if (!held) continue;
    q.c = ctx->scratch(ctx, p.rows * p.columns * static_cast<int64_t>(sizeof(float)));
    q.c_wide = true;
    q.c_row = p.columns;
    if (!q.c) return 1;
  }
  if (real == 0) return 0;
  char* const memory = static_cast<char*>(scratch);
  with_kernel(ctx, all[0], [&](auto kernel) {
    using Kernel = decltype(kernel);
    if (cut_of<Kernel>(all[0]).streamed) return multiply_streamed<Kernel>(ctx, all, real, memory);
    for (int64_t n = 0; n < real; n++) multiply_parallel_with<Kernel>(ctx, all[n], memory);
  });
  for (int64_t n = 0; n < real; n++)
    if (rounded[n]) {
      const ProductBf16& p = *rounded[n];
      parallel(ctx, p.rows, [&](int64_t i, int32_t) {
        const float* from = static_cast<float*>(all[n].c) + i * p.columns;
        bf16* to = static_cast<bf16*>(p.c) + i * p.c_row;
        for (int64_t j = 0; j < p.columns; j += LANES)
          store_bf16_first(to + j, load_first(from + j, smaller(LANES, p.columns - j)), smaller(LANES, p.columns - j));
      });
    }
  return 0;
}

}  // namespace PT_NAMESPACE
