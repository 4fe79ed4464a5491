// cpu/linear.cpp; with a bf16 weight as cpu/linear_bf16.cpp rounds, summed as tensor cores do (tensor_cores.h).
#include "linear.h"

namespace pt_cuda {
namespace {

// A chain over the rows for each column.
template <class T>
__global__ void add_column_sums_kernel(float* sums, const T* x, int64_t rows, int64_t columns) {
  const int64_t c = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (c >= columns) return;
  float sum = sums[c];
#pragma unroll 8
  for (int64_t row = 0; row < rows; row++) sum = sum + get_one(x + row * columns + c);
  sums[c] = sum;
}

int forward_bf16(const pt_context* ctx, pt_tensor y, pt_tensor x, pt_tensor weight, pt_tensor bias) {
  const int64_t M = x.dims[0], K = x.dims[1], N = weight.dims[0];
  if (bias.data && !is_bf16(bias)) {
    ctx->fail(ctx, "bias is f32, but weight is bf16");
    return 1;
  }
  x = as_bf16(ctx, x);
  return !x.data ||
         multiply(ctx, ProductBf16{y.data, is_bf16(y), N, {bf(x), K, 1}, {bf(weight), K, 1}, M, N, K, bf(bias), false});
}

int gradients_bf16(const pt_context* ctx, pt_tensor dx, pt_tensor dweight, pt_tensor dy, pt_tensor x,
                   pt_tensor weight) {
  const int64_t M = x.dims[0], N = weight.dims[0], K = weight.dims[1];
  if (!dx.data && !dweight.data) return 0;
  dy = as_bf16(ctx, dy);
  if (!dy.data) return 1;
  if (dx.data &&
      multiply(ctx, ProductBf16{dx.data, is_bf16(dx), K, {bf(dy), N, 1}, {bf(weight), 1, K}, M, K, N, nullptr, false}))
    return 1;
  if (!dweight.data) return 0;
  x = as_bf16(ctx, x);
  return !x.data ||
         multiply(ctx, ProductBf16{dweight.data, false, K, {bf(dy), 1, N}, {bf(x), 1, K}, N, K, M, nullptr, true});
}

}  // namespace

int linear_forward(const pt_context* ctx, pt_tensor y, pt_tensor x, pt_tensor weight, pt_tensor bias) {
  if (is_bf16(weight)) return forward_bf16(ctx, y, x, weight, bias);
  if (refuse_bf16_beside(ctx, "weight", "y", y, "x", x, "bias", bias)) return 1;
  const int64_t M = x.dims[0], K = x.dims[1], N = weight.dims[0];
  return multiply(ctx, {f32(y), N, {f32(x), K, 1}, {f32(weight), K, 1}, M, N, K, f32(bias)}, Sum::blocks);
}

int linear_gradients(const pt_context* ctx, pt_tensor dx, pt_tensor dweight, pt_tensor dbias, pt_tensor dy, pt_tensor x,
                     pt_tensor weight) {
  constexpr int THREADS = 64;
  if (!is_bf16(weight) && refuse_bf16_beside(ctx, "weight", "dx", dx, "dy", dy, "x", x)) return 1;
  const int64_t M = x.dims[0], N = weight.dims[0], K = weight.dims[1];
  if (dbias.data && with_float(dy, [&](const auto* from) {
        return launch<add_column_sums_kernel<std::remove_cv_t<std::remove_pointer_t<decltype(from)>>>>(
            ctx, {count_of(ceil_div(N, THREADS)), THREADS}, f32(dbias), from, M, N);
      }))
    return 1;
  if (is_bf16(weight)) return gradients_bf16(ctx, dx, dweight, dy, x, weight);
  if (dx.data && multiply(ctx, {f32(dx), K, {f32(dy), N, 1}, {f32(weight), 1, K}, M, K, N, nullptr}, Sum::blocks))
    return 1;
  return dweight.data &&
         multiply(ctx, {f32(dweight), K, {f32(dy), 1, N}, {f32(x), 1, K}, N, K, M, nullptr}, Sum::chain);
}

int linear_backward(const pt_context* ctx, pt_tensor dx, pt_tensor dweight, pt_tensor dbias, pt_tensor dy, pt_tensor x,
                    pt_tensor weight) {
  return linear_gradients(ctx, dx, dweight, dbias, dy, x, weight);
}

}  // namespace pt_cuda
