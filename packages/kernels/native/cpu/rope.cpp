// Rotary embedding, half-split as in Hugging Face's Qwen2 and Llama: x = (x1, x2) of A columns each, one for each angle, the angle of column p the
// same for every head: y1 = fma(x1, cos, -(x2 * sin)), y2 = fma(x2, cos, x1 * sin). Backward rotates back: dx1 = fma(dy1, cos,
// dy2 * sin), dx2 = fma(dy2, cos, -(dy1 * sin)). The output may be the input. In fp32, rounded where it is stored. Su et al. 2021
// (arXiv 2104.09864).
#include "elementwise.h"

namespace PT_NAMESPACE {

template <bool BACK>
static int rotate(const pt_context* ctx, pt_tensor y, pt_tensor x, pt_tensor cosines, pt_tensor sines) {
  const int64_t heads = x.dims[1], angles = cosines.dims[1];
  const float *const cos = f32(cosines), *const sin = f32(sines);
  with_float(x, [&](auto from) {
    with_float(y, [&](auto to) {
      const bool cold = is_cold(y, angles) && y.data != x.data;
      parallel_rows(ctx, x.dims[0], heads * 2 * angles, [=](int64_t m) {
        for (int64_t h = 0; h < heads; h++) {
          const auto x1 = from + (m * heads + h) * 2 * angles, x2 = x1 + angles;
          const auto y1 = to + (m * heads + h) * 2 * angles, y2 = y1 + angles;
          each_group(0, angles, [&](int64_t p, int64_t n) {
            const f32x16 cosine = get(cos + m * angles + p, n), sine = get(sin + m * angles + p, n);
            const f32x16 a = get(x1 + p, n), b = get(x2 + p, n);
            const f32x16 bs = mul(b, sine), as = mul(a, sine);
            put(cold, y1 + p, fma(a, cosine, BACK ? bs : negate(bs)), n);
            put(cold, y2 + p, fma(b, cosine, BACK ? negate(as) : as), n);
          });
        }
      });
    });
  });
  return 0;
}

int rope_forward(const pt_context* ctx, pt_tensor y, pt_tensor x, pt_tensor cosines, pt_tensor sines) {
  return rotate<false>(ctx, y, x, cosines, sines);
}

int rope_backward(const pt_context* ctx, pt_tensor dx, pt_tensor dy, pt_tensor cosines, pt_tensor sines) {
  return rotate<true>(ctx, dx, dy, cosines, sines);
}

}  // namespace PT_NAMESPACE
