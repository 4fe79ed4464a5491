// Blocks of a bf16 product of a few rows, where columns of B lie along the inner dimension: fp32 lanes in the order of TDPBF16PS, with or
// without AMX. B is not packed: pairs of its elements are turned in registers (gemv_ahead.h), the even and the odd chain of a block
// go side by side.
#pragma once
#include "gemm_bf16_lanes.h"
#include "gemv_ahead.h"

#if defined(PT_AVX512)
namespace PT_NAMESPACE {
namespace {

// total (R, WIDTH) += R lines of A, a_row apart and even elements first, with WIDTH columns of B: 32 along the inner dimension.
template <int R>
PT_INLINE void add_pairs(float* total, const float* a, int64_t a_row, const float* pairs, int64_t b_row) {
  Rows<R> even, odd;
  clear(even);
  clear(odd);
  RowPointers p = row_pointers<R>(a, a_row), q = row_pointers<R>(a + 16, a_row);
  for (int word = 0; word < 16; word += 4)
    four_steps(pairs, b_row, word, [&](Wide x) {
      const Words left = (Words)x.left.v, right = (Words)x.right.v;
      step_rows(even, p, Wide{as_lanes(left << 16), as_lanes(right << 16)});
      step_rows(odd, q, Wide{as_lanes(left & 0xffff0000u), as_lanes(right & 0xffff0000u)});
      p.next();
      q.next();
    });
  join_chains(even, odd, total, WIDTH, false);
}

struct VectorKernel : LaneKernel {
  static void run_streamed(const BlockBf16& block, const char* a, const Factor<bf16>& b) {
    with_count<GEMV_ROWS>(block.rows, [&](auto count) { run_rows<decltype(count)::value>(block, a, b); });
  }

 private:
  template <int R>
  __attribute__((noinline)) static void run_rows(const BlockBf16& block, const char* a, const Factor<bf16>& b) {
    const int64_t a_row = line(block.depth);
    const float* lines = reinterpret_cast<const float*>(a);
    alignas(64) float total[R * WIDTH];
    for (int64_t j = 0; j < block.columns; j += WIDTH) {
      const int64_t columns = smaller(WIDTH, block.columns - j);
      const bf16* column = b.data + j * b.column;
      start_totals(block, 0, R, j, columns, total, WIDTH);
      const char* next = reinterpret_cast<const char*>(column + WIDTH * b.column);
      for (int64_t k = 0; k < block.depth; k += 32) {
        fetch_ahead(next);
        const int64_t depth = smaller(32, block.depth - k);
        if (depth == 32 && columns == WIDTH && b.column % 2 == 0) {
          add_pairs<R>(total, lines + k, a_row, reinterpret_cast<const float*>(column + k), b.column / 2);
          continue;
        }
        alignas(64) bf16 copy[WIDTH * 32] = {};
        for (int64_t i = 0; i < columns; i++) memcpy(copy + i * 32, column + k + i * b.column, depth * sizeof(bf16));
        add_pairs<R>(total, lines + k, a_row, reinterpret_cast<const float*>(copy), 16);
      }
      finish_totals(block, 0, R, j, columns, total, WIDTH);
    }
  }
};

}  // namespace
}  // namespace PT_NAMESPACE
#endif
