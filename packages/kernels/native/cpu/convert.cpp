// y = x in y's dtype: any dtype to f32, f32 to any but i32; always rounded to nearest, ties to even. A NaN stays a NaN, made quiet
// when it is narrowed; what is too large becomes infinite, what is small subnormal. bf16 is the upper half of an f32; f16 is
// IEEE 754 binary16.
#include "elementwise.h"

namespace PT_NAMESPACE {

PT_INLINE uint32_t bits_of(float x) {
  uint32_t u;
  memcpy(&u, &x, sizeof u);
  return u;
}
PT_INLINE float float_of(uint32_t u) {
  float x;
  memcpy(&x, &u, sizeof x);
  return x;
}

struct f16 {
  uint16_t bits;
};

PT_INLINE void convert_one(float* y, double x) { *y = static_cast<float>(x); }
PT_INLINE void convert_one(float* y, int32_t x) { *y = static_cast<float>(x); }
PT_INLINE void convert_one(double* y, float x) { *y = x; }
PT_INLINE void convert_one(float* y, f16 x) {
  const uint32_t sign = (x.bits & 0x8000u) << 16, rest = x.bits & 0x7fffu;
  if (rest < 0x0400u)
    *y = float_of(sign | bits_of(static_cast<float>(rest) * 0x1p-24f));
  else if (rest < 0x7c00u)
    *y = float_of(sign | ((rest << 13) + (112u << 23)));
  else
    *y = float_of(sign | 0x7f800000u | (rest << 13));
}
PT_INLINE void convert_one(f16* y, float x) {
  const uint32_t u = bits_of(x), sign = (u >> 16) & 0x8000u, rest = u & 0x7fffffffu;
  uint32_t r;
  if (rest > 0x7f800000u)
    r = 0x7e00u | ((rest >> 13) & 0x3ffu);
  else if (rest >= 0x477ff000u)  // 65520, halfway between the largest f16 and the next power of two
    r = 0x7c00u;
  else if (
      rest <
      0x38800000u)  // below 2^-14: a sum with 0.5, whose unit in the last place is 2^-24, rounds as a subnormal f16
    r = bits_of(float_of(rest) + 0.5f) - bits_of(0.5f);
  else
    r = (rest - (112u << 23) + 0xfffu + ((rest >> 13) & 1u)) >> 13;
  y->bits = static_cast<uint16_t>(sign | r);
}

// Between f32 and bf16 by lanes.
template <class To, class From>
static int convert_lanes(const pt_context* ctx, pt_tensor y, pt_tensor x) {
  To* const to = static_cast<To*>(y.data);
  const From* const from = static_cast<const From*>(x.data);
  const bool cold = is_cold(y);
  parallel_elements(ctx, elements(y), [=](int64_t begin, int64_t end) {
    each_group(begin, end, [&](int64_t i, int64_t n) { put(cold, to + i, get(from + i, n), n); });
  });
  return 0;
}

template <class To, class From>
static int convert(const pt_context* ctx, pt_tensor y, pt_tensor x) {
  To* to = static_cast<To*>(y.data);
  const From* from = static_cast<const From*>(x.data);
  parallel_elements(ctx, elements(y), [=](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; i++) convert_one(to + i, from[i]);
  });
  return 0;
}

int convert_forward(const pt_context* ctx, pt_tensor y, pt_tensor x) {
  if (y.dtype == PT_F32) {
    if (x.dtype == PT_F32) return convert_lanes<float, float>(ctx, y, x);
    if (x.dtype == PT_F64) return convert<float, double>(ctx, y, x);
    if (x.dtype == PT_BF16) return convert_lanes<float, bf16>(ctx, y, x);
    if (x.dtype == PT_F16) return convert<float, f16>(ctx, y, x);
    if (x.dtype == PT_I32) return convert<float, int32_t>(ctx, y, x);
  } else if (x.dtype == PT_F32) {
    if (y.dtype == PT_F64) return convert<double, float>(ctx, y, x);
    if (y.dtype == PT_BF16) return convert_lanes<bf16, float>(ctx, y, x);
    if (y.dtype == PT_F16) return convert<f16, float>(ctx, y, x);
  }
  static const char* const names[PT_DTYPE_COUNT] = {"f32", "f64", "bf16", "f16", "i32"};
  ctx->fail(ctx, "no conversion from %s to %s: one side must be f32, and f32 does not convert to i32", names[x.dtype],
            names[y.dtype]);
  return 1;
}

}  // namespace PT_NAMESPACE
