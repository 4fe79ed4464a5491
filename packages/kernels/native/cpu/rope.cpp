// Rotary embedding, half-split as in Hugging Face's Qwen2 and Llama: x = (x1, x2) of P columns each, the angle of column p the
// same for every head: y1 = fma(x1, cos, -(x2 * sin)), y2 = fma(x2, cos, x1 * sin). Backward rotates back: dx1 = fma(dy1, cos,
// dy2 * sin), dx2 = fma(dy2, cos, -(dy1 * sin)). The output may be the input. Su et al. 2021 (arXiv 2104.09864).
#include "cpu.h"

namespace PT_NAMESPACE {

template <bool BACK>
static int rotate(const pt_context* ctx, pt_tensor y, pt_tensor x, pt_tensor cosines, pt_tensor sines) {
  const int64_t heads = x.dims[1], pairs = cosines.dims[1];
  parallel_ranges(ctx, x.dims[0], 8, [=](int64_t begin, int64_t end) {
    for (int64_t m = begin; m < end; m++)
      for (int64_t h = 0; h < heads; h++) {
        const float *x1 = f32(x) + (m * heads + h) * 2 * pairs, *x2 = x1 + pairs;
        float *y1 = f32(y) + (m * heads + h) * 2 * pairs, *y2 = y1 + pairs;
        for (int64_t p = 0; p < pairs; p += LANES) {
          const int64_t n = smaller(LANES, pairs - p);
          const f32x16 cosine = load_first(f32(cosines) + m * pairs + p, n);
          const f32x16 sine = load_first(f32(sines) + m * pairs + p, n);
          const f32x16 a = load_first(x1 + p, n), b = load_first(x2 + p, n);
          const f32x16 bs = mul(b, sine), as = mul(a, sine);
          store_first(y1 + p, fma(a, cosine, BACK ? bs : negate(bs)), n);
          store_first(y2 + p, fma(b, cosine, BACK ? negate(as) : as), n);
        }
      }
  });
  return 0;
}

int rope_forward(const pt_context* ctx, pt_tensor y, pt_tensor x, pt_tensor cosines, pt_tensor sines) {
  if (refuse_bf16(ctx, "y", y, "x", x)) return 1;
  return rotate<false>(ctx, y, x, cosines, sines);
}

int rope_backward(const pt_context* ctx, pt_tensor dx, pt_tensor dy, pt_tensor cosines, pt_tensor sines) {
  if (refuse_bf16(ctx, "dx", dx, "dy", dy)) return 1;
  return rotate<true>(ctx, dx, dy, cosines, sines);
}

}  // namespace PT_NAMESPACE
