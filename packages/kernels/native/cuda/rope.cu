// cpu/rope.cpp. A thread takes the two halves of a head at up to four angles.
#include "lanes.h"

namespace pt_cuda {
namespace {

template <int N, bool BACK, class Y, class X>
__global__ void rotate_kernel(Y* y, const X* x, const float* cosines, const float* sines, int64_t count, int64_t heads,
                              int64_t angles) {
  const int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i >= count) return;
  const int64_t each = angles / N, p = i % each * N, head = i / each, m = head / heads;
  const Lanes<N> c = get<N>(cosines + m * angles + p), s = get<N>(sines + m * angles + p);
  const Lanes<N> a = get<N>(x + head * 2 * angles + p), b = get<N>(x + head * 2 * angles + angles + p);
  put<N>(y + head * 2 * angles + p, map(
                                        [](float u, float v, float cosine, float sine) {
                                          const float vs = v * sine;
                                          return multiply_add(u, cosine, BACK ? vs : negate(vs));
                                        },
                                        a, b, c, s));
  put<N>(y + head * 2 * angles + angles + p, map(
                                                 [](float u, float v, float cosine, float sine) {
                                                   const float us = u * sine;
                                                   return multiply_add(v, cosine, BACK ? negate(us) : us);
                                                 },
                                                 a, b, c, s));
}

template <bool BACK>
int rotate(const pt_context* ctx, pt_tensor y, pt_tensor x, pt_tensor cosines, pt_tensor sines) {
  constexpr int THREADS = 256;
  const int64_t heads = x.dims[1], angles = cosines.dims[1];
  return with_float(x, [&](auto* from) {
    return with_float(y, [&](auto* to) {
      using X = std::remove_pointer_t<decltype(from)>;
      using Y = std::remove_pointer_t<decltype(to)>;
      const bool is_wide = angles % 4 == 0 && wide(from, to, f32(cosines), f32(sines));
      const int64_t count = x.dims[0] * heads * (is_wide ? angles / 4 : angles);
      const Shape shape = {count_of(ceil_div(count, THREADS)), THREADS};
      if (is_wide)
        return launch<rotate_kernel<4, BACK, Y, X>>(ctx, shape, to, from, f32(cosines), f32(sines), count, heads,
                                                    angles);
      return launch<rotate_kernel<1, BACK, Y, X>>(ctx, shape, to, from, f32(cosines), f32(sines), count, heads, angles);
    });
  });
}

}  // namespace

int rope_forward(const pt_context* ctx, pt_tensor y, pt_tensor x, pt_tensor cosines, pt_tensor sines) {
  return rotate<false>(ctx, y, x, cosines, sines);
}
int rope_backward(const pt_context* ctx, pt_tensor dx, pt_tensor dy, pt_tensor cosines, pt_tensor sines) {
  return rotate<true>(ctx, dx, dy, cosines, sines);
}

}  // namespace pt_cuda
