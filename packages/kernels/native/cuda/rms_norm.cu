// cpu/rms_norm.cpp. A warp has a row: it fetches it 16 bytes a thread into shared memory, with the residual added; 16 of its threads sum the lanes
// from there, and all write. So a row is read from memory once.
#include "lanes.h"

namespace pt_cuda {
namespace {

constexpr int MOST_WARPS = 8;
constexpr int64_t ROW_BYTES = 48 << 10;  // of rows in shared memory; every target gives a block that much

// Rows that a block takes at a time, for columns of which a row must fit.
int64_t warps_for(int64_t columns, int64_t rows_each) {
  return smaller(MOST_WARPS, ROW_BYTES / (columns * rows_each * static_cast<int64_t>(sizeof(float))));
}
int refuse_long_rows(const pt_context* ctx, int64_t columns) {
  const int64_t most = ROW_BYTES / 4 / 4 * 4;
  if (columns * 4 <= ROW_BYTES) return 0;
  ctx->fail(ctx, "rows of %lld columns: the cuda backend takes %lld at most", static_cast<long long>(columns),
            static_cast<long long>(most));
  return 1;
}

template <int N, class Y, class W>
__global__ void rms_norm_kernel(Y* y, float* rstd, float* sum, const float* x, const float* residual, const W* weight,
                                float eps, int64_t rows, int64_t columns) {
  PT_DYNAMIC_SHARED(float, all);
  const int64_t lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  const int64_t m = blockIdx.x * (blockDim.x / 32) + warp;
  if (m >= rows) return;
  float* const row = all + warp * ((columns + 3) / 4 * 4);
  for (int64_t c = lane * N; c < columns; c += 32 * N) {
    Lanes<N> v = get<N>(x + m * columns + c);
    if (residual) {
      v = map([](float a, float b) { return a + b; }, v, get<N>(residual + m * columns + c));
      put<N>(sum + m * columns + c, v);
    }
    put<N>(row + c, v);
  }
  __syncwarp();
  float squares = 0.0f;
  for (int64_t c = lane % 16; c < columns; c += 16) squares = multiply_add(row[c], row[c], squares);
  const float mean = add_halfwarp(squares) / static_cast<float>(columns);
  const float r = 1.0f / sqrtf(mean + eps);
  if (lane == 0) rstd[m] = r;
  for (int64_t c = lane * N; c < columns; c += 32 * N)
    put<N>(y + m * columns + c,
           map([=](float s, float w) { return (s * r) * w; }, get<N>(row + c), get<N>(weight + c)));
}

// The row's g = dy * weight is kept in place of dy.
template <int N, class D, class W>
__global__ void rms_norm_back_kernel(float* dx, const D* dy, const float* dsum, const float* x, const W* weight,
                                     const float* rstd, int64_t rows, int64_t columns) {
  PT_DYNAMIC_SHARED(float, all);
  const int64_t lane = threadIdx.x % 32, warp = threadIdx.x / 32, m = blockIdx.x * (blockDim.x / 32) + warp;
  if (m >= rows) return;
  float* const g = all + warp * ((columns + 3) / 4 * 4);
  for (int64_t c = lane * N; c < columns; c += 32 * N)
    put<N>(g + c, map([](float a, float b) { return a * b; }, get<N>(dy + m * columns + c), get<N>(weight + c)));
  __syncwarp();
  float dot = 0.0f;
#pragma unroll 4
  for (int64_t c = lane % 16; c < columns; c += 16) dot = multiply_add(g[c], x[m * columns + c], dot);
  const float r = rstd[m], t = (add_halfwarp(dot) * r) / static_cast<float>(columns);
  for (int64_t c = lane * N; c < columns; c += 32 * N) {
    Lanes<N> v = map([=](float s, float d) { return r * multiply_add(negate(s * r), t, d); },
                     get<N>(x + m * columns + c), get<N>(g + c));
    if (dsum) v = map([](float a, float b) { return a + b; }, v, get<N>(dsum + m * columns + c));
    put<N>(dx + m * columns + c, v);
  }
}

// One chain over the tokens for each column.
template <class D>
__global__ void rms_norm_weight_kernel(float* dweight, const D* dy, const float* x, const float* rstd, int64_t rows,
                                       int64_t columns) {
  const int64_t c = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (c >= columns) return;
  float sum = dweight[c];
#pragma unroll 8
  for (int64_t m = 0; m < rows; m++)
    sum = multiply_add(get_one(dy + m * columns + c), x[m * columns + c] * rstd[m], sum);
  dweight[c] = sum;
}

template <class T>
using Element = std::remove_cv_t<std::remove_pointer_t<T>>;

}  // namespace

int rms_norm_forward(const pt_context* ctx, pt_tensor y, pt_tensor rstd, pt_tensor sum, pt_tensor x, pt_tensor residual,
                     pt_tensor weight, double eps) {
  if ((sum.data == nullptr) != (residual.data == nullptr)) {
    ctx->fail(ctx, "sum and residual come together: %s is missing", sum.data ? "residual" : "sum");
    return 1;
  }
  const int64_t rows = x.dims[0], columns = x.dims[1];
  if (columns == 0 || refuse_long_rows(ctx, columns)) return columns > 0;
  const int64_t warps = warps_for((columns + 3) / 4 * 4, 1);
  const Shape shape = {count_of(ceil_div(rows, warps)), count_of(32 * warps), warps * ((columns + 3) / 4 * 4) * 4};
  return with_float(weight, [&](const auto* w) {
    return with_float(y, [&](auto* to) {
      using W = Element<decltype(w)>;
      using Y = Element<decltype(to)>;
      const auto floor = static_cast<float>(eps);
      if (columns % 4 == 0 && wide(to, f32(sum), f32(x), f32(residual), w))
        return launch<rms_norm_kernel<4, Y, W>>(ctx, shape, to, f32(rstd), f32(sum), f32(x), f32(residual), w, floor,
                                                rows, columns);
      return launch<rms_norm_kernel<1, Y, W>>(ctx, shape, to, f32(rstd), f32(sum), f32(x), f32(residual), w, floor,
                                              rows, columns);
    });
  });
}

int rms_norm_backward(const pt_context* ctx, pt_tensor dx, pt_tensor dweight, pt_tensor dy, pt_tensor dsum, pt_tensor x,
                      pt_tensor weight, pt_tensor rstd) {
  constexpr int THREADS = 64;
  const int64_t rows = x.dims[0], columns = x.dims[1];
  if (columns == 0 || refuse_long_rows(ctx, columns)) return columns > 0;
  const int64_t warps = warps_for((columns + 3) / 4 * 4, 1);
  const Shape shape = {count_of(ceil_div(rows, warps)), count_of(32 * warps), warps * ((columns + 3) / 4 * 4) * 4};
  return with_float(weight, [&](const auto* w) {
    return with_float(dy, [&](const auto* from) {
      using W = Element<decltype(w)>;
      using D = Element<decltype(from)>;
      const bool is_wide = columns % 4 == 0 && wide(f32(dx), from, f32(dsum), f32(x), w);
      const int wrong = is_wide ? launch<rms_norm_back_kernel<4, D, W>>(ctx, shape, f32(dx), from, f32(dsum), f32(x), w,
                                                                        f32(rstd), rows, columns)
                                : launch<rms_norm_back_kernel<1, D, W>>(ctx, shape, f32(dx), from, f32(dsum), f32(x), w,
                                                                        f32(rstd), rows, columns);
      if (wrong || !dweight.data) return wrong;
      return launch<rms_norm_weight_kernel<D>>(ctx, {count_of(ceil_div(columns, THREADS)), THREADS}, f32(dweight), from,
                                               f32(x), f32(rstd), rows, columns);
    });
  });
}

}  // namespace pt_cuda
