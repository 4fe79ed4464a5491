// Rows picked by index, as cpu/rows.h has them: copies, and y[rows[r]] += x[r] as one chain per element in the order of r.
#pragma once
#include "lanes.h"

namespace pt_cuda {

constexpr int ROW_THREADS = 128;

// Four columns to a thread where rows allow it.
template <class... P>
bool wide_rows(int64_t columns, const P*... pointers) {
  return columns % 4 == 0 && wide(pointers...);
}

// y[r] = x[rows[r]].
template <int N, class To, class From>
__global__ void pick_rows_kernel(const Note* note, To* y, const From* x, const int32_t* rows, int64_t columns) {
  if (failed(note)) return;
  const int64_t r = blockIdx.x;
  const From* const from = x + rows[r] * columns;
  for (int64_t c = threadIdx.x * N; c < columns; c += ROW_THREADS * N) put<N>(y + r * columns + c, get<N>(from + c));
}
template <class To, class From>
int pick_rows(const pt_context* ctx, To* y, const From* x, const int32_t* rows, int64_t count, int64_t columns) {
  if (columns == 0) return 0;
  const Shape shape = {count_of(count), ROW_THREADS};
  if (wide_rows(columns, y, x))
    return launch<pick_rows_kernel<4, To, From>>(ctx, shape, note_of(ctx), y, x, rows, columns);
  return launch<pick_rows_kernel<1, To, From>>(ctx, shape, note_of(ctx), y, x, rows, columns);
}

// Threads own columns, never ranges of r.
template <int N>
__global__ void add_rows_kernel(const Note* note, float* y, const float* x, const int32_t* rows, int64_t count,
                                int64_t columns) {
  const int64_t c = (static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x) * N;
  if (failed(note) || c >= columns) return;
#pragma unroll 4
  for (int64_t r = 0; r < count; r++) {
    float* const to = y + rows[r] * columns + c;
    put<N>(to, map([](float a, float b) { return a + b; }, get<N>(to), get<N>(x + r * columns + c)));
  }
}
inline int add_rows(const pt_context* ctx, float* y, const float* x, const int32_t* rows, int64_t count,
                    int64_t columns) {
  constexpr int THREADS = 64;
  if (wide_rows(columns, y, x))
    return launch<add_rows_kernel<4>>(ctx, {count_of(ceil_div(columns, 4 * THREADS)), THREADS}, note_of(ctx), y, x,
                                      rows, count, columns);
  return launch<add_rows_kernel<1>>(ctx, {count_of(ceil_div(columns, THREADS)), THREADS}, note_of(ctx), y, x, rows,
                                    count, columns);
}

}  // namespace pt_cuda
