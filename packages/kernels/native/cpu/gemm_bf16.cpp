// The order of a bf16 product, whichever way a block of it is computed (gemm_bf16_lanes.h): rows of A in chunks that are packed once, a block of columns of B
// packed for each chunk, the inner dimension cut at multiples of 32 where a block would be too deep.
#include "gemm_bf16_lanes.h"

namespace PT_NAMESPACE {
namespace {

constexpr int64_t A_BYTES = 4 << 20;    // of packed rows
constexpr int64_t B_BYTES = 512 << 10;  // of packed columns: half of L2, or a quarter
constexpr int64_t FLAT_B_BYTES = 32 << 10;
constexpr int64_t HELD_BYTES = 256 << 10;  // of totals that wait for more of the inner dimension where C is bf16
constexpr int64_t DEPTH_BLOCK = 1024;
constexpr int64_t HELD_ROWS = 128;
static_assert(A_BYTES + B_BYTES + HELD_BYTES <= PRODUCT_BF16_SCRATCH, "scratch");

template <class Kernel>
void multiply_with(const ProductBf16& p, char* scratch) {
  const Kernel kernel;
  char *const packed_a = scratch, *const packed_b = scratch + A_BYTES;
  float* held = reinterpret_cast<float*>(scratch + A_BYTES + B_BYTES);
  const FlushSubnormals flush;

  // How deep blocks are: evenly cut, at multiples of 32.
  const bool flat = p.rows <= Kernel::FLAT_ROWS;
  const int64_t deepest = flat ? FLAT_B_BYTES / Kernel::b_bytes(1, 32) * 32 : DEPTH_BLOCK;
  const int64_t pieces = p.depth > 0 ? ceil_div(p.depth, deepest) : 1;
  const int64_t depth = p.depth > 0 ? ceil_div(ceil_div(p.depth, pieces), 32) * 32 : 32;
  // Totals of a bf16 C that several blocks add to are held in scratch, for few rows and the columns of one block.
  const bool holds = !p.c_wide && depth < p.depth;
  const int64_t widest = (flat ? 1 : B_BYTES / Kernel::b_bytes(1, depth)) * Kernel::PANEL_WIDTH;
  const int64_t chunk_columns = holds ? smaller(widest, HELD_BYTES / 4 / HELD_ROWS) : widest;
  int64_t chunk_rows = holds ? HELD_ROWS : A_BYTES / Kernel::a_bytes(16, depth) * 16;
  if (chunk_rows > p.rows) chunk_rows = p.rows;

  const auto run = [&](int64_t row, int64_t column, int64_t k) {
    BlockBf16 block;
    block.rows = smaller(chunk_rows, p.rows - row);
    block.columns = smaller(chunk_columns, p.columns - column);
    block.depth = smaller(depth, p.depth - k);
    const int64_t at = row * p.c_row + column;
    const bool last = k + block.depth == p.depth;
    float* const sums = holds ? held : static_cast<float*>(p.c) + at;
    block.from_row = holds ? chunk_columns : p.c_row;
    block.from = k > 0 || p.from_c ? sums : nullptr;
    const bool rounds = !p.c_wide && last;
    block.to = rounds ? nullptr : sums;
    block.to_rounded = rounds ? static_cast<bf16*>(p.c) + at : nullptr;
    block.to_row = rounds ? p.c_row : block.from_row;
    block.bias = p.bias && last ? p.bias + column : nullptr;
    kernel.pack_b(packed_b, p.b.from(k, column), block.columns, block.depth);
    kernel.run(block, packed_a, packed_b);
  };
  const auto pack_a = [&](int64_t row, int64_t k) {
    kernel.pack_a(packed_a, p.a.from(row, k), smaller(chunk_rows, p.rows - row), smaller(depth, p.depth - k));
  };
  for (int64_t row = 0; row < p.rows; row += chunk_rows) {
    if (holds) {
      for (int64_t column = 0; column < p.columns; column += chunk_columns)
        for (int64_t k = 0; k < p.depth; k += depth) pack_a(row, k), run(row, column, k);
    } else {
      int64_t k = 0;
      do {
        pack_a(row, k);
        for (int64_t column = 0; column < p.columns; column += chunk_columns) run(row, column, k);
        k += depth;
      } while (k < p.depth);
    }
  }
}

}  // namespace

void multiply(const pt_context*, const ProductBf16& p, void* scratch) {
  multiply_with<LaneKernel>(p, static_cast<char*>(scratch));
}

void multiply_parallel(const pt_context* ctx, const ProductBf16& p, void* scratch) {
  if (p.rows == 0 || p.columns == 0) return;
  // Parts that share columns pack the same of B, parts that share rows the same of A.
  const int64_t wanted = 4 * ctx->threads;
  const int64_t panels = ceil_div(p.columns, 32);
  const int64_t most_rows = ceil_div(p.rows, 256);
  const int64_t row_parts = smaller(most_rows, wanted);
  const int64_t column_parts = smaller(panels, ceil_div(wanted, row_parts));
  parallel(ctx, column_parts * row_parts, [&](int64_t i, int32_t thread) {
    const int64_t column_part = i / row_parts, row_part = i % row_parts;
    const int64_t column = column_part * panels / column_parts * 32;
    const int64_t row = row_part * p.rows / row_parts;
    ProductBf16 part = p;
    const int64_t at = row * p.c_row + column;
    part.c = static_cast<char*>(p.c) + at * (p.c_wide ? 4 : 2);
    part.a = p.a.from(row, 0);
    part.b = p.b.from(0, column);
    part.rows = (row_part + 1) * p.rows / row_parts - row;
    part.columns = smaller(p.columns, (column_part + 1) * panels / column_parts * 32) - column;
    if (p.bias) part.bias += column;
    multiply(ctx, part, static_cast<char*>(scratch) + thread * PRODUCT_BF16_SCRATCH);
  });
}

}  // namespace PT_NAMESPACE
