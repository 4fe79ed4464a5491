// How: gemv.h. The order of sums is gemm.h's; lanes are columns of C, each with a chain of its own.
#include "gemv.h"

namespace PT_NAMESPACE {

#if defined(PT_AVX512)
namespace {

// R rows of A, a_row apart, with WIDTH columns of B, b_row apart.
template <int R>
PT_INLINE void add_chain(Rows<R>& sums, const float* a, int64_t a_row, const float* b, int64_t b_row, int64_t depth,
                         const char*& next) {
  RowPointers p = row_pointers<R>(a, a_row);
  const auto step = [&](Wide columns) {
    step_rows(sums, p, columns);
    p.next();
  };
  int64_t k = 0;
  for (; k + 16 <= depth; k += 16) {
    fetch_ahead(next);
    for (int q = 0; q < 16; q += 4) four_steps(b, b_row, k + q, step);
  }
  alignas(64) float lanes[WIDTH];
  for (; k < depth; k++) {
    for (int64_t i = 0; i < WIDTH; i++) lanes[i] = b[i * b_row + k];
    step(load_wide(lanes));
  }
}

// Columns of B that a step reads where they do not all exist.
void copy_columns(float* to, const float* b, int64_t b_row, int64_t columns, int64_t depth) {
  for (int64_t i = 0; i < WIDTH; i++)
    for (int64_t k = 0; k < depth; k++) to[i * SUM_BLOCK + k] = i < columns ? b[i * b_row + k] : 0.0f;
}

template <int R>
__attribute__((noinline)) void multiply_rows(const Product& p) {
  alignas(64) float copy[WIDTH * SUM_BLOCK];
  const int64_t b_row = p.b.column;
  for (int64_t column = 0; column < p.columns; column += WIDTH) {
    const float* b = p.b.data + column * b_row;
    const int64_t columns = smaller(WIDTH, p.columns - column);
    const char* next = reinterpret_cast<const char*>(b + WIDTH * b_row);
    for (int64_t k = 0; k < p.depth; k += SUM_BLOCK) {
      const int64_t depth = smaller(SUM_BLOCK, p.depth - k);
      Rows<R> sums;
      clear(sums);
      if (columns == WIDTH) {
        add_chain(sums, p.a.data + k, p.a.row, b + k, b_row, depth, next);
      } else {
        copy_columns(copy, b + k, b_row, columns, depth);
        add_chain(sums, p.a.data + k, p.a.row, copy, SUM_BLOCK, depth, next);
      }
      const float* bias = p.bias && k + depth == p.depth ? p.bias + column : nullptr;
      finish_rows<R>(sums, p.c + column, p.c_row, columns, k > 0, bias);
    }
  }
}

}  // namespace

void multiply_gemv(const Product& p) {
  with_count<GEMV_ROWS>(p.rows, [&](auto count) { multiply_rows<decltype(count)::value>(p); });
}
#else
void multiply_gemv(const Product&) {}
#endif

}  // namespace PT_NAMESPACE
