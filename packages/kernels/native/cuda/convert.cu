// cpu/convert.cpp
#include "lanes.h"

namespace pt_cuda {
namespace {

struct f16 {
  uint16_t bits;
};
PT_SCALAR void convert_one(float* y, double x) { *y = static_cast<float>(x); }
PT_SCALAR void convert_one(float* y, int32_t x) { *y = static_cast<float>(x); }
PT_SCALAR void convert_one(double* y, float x) { *y = x; }
PT_SCALAR void convert_one(float* y, f16 x) {
  const uint32_t sign = (x.bits & 0x8000u) << 16, rest = x.bits & 0x7fffu;
  if (rest < 0x0400u)
    *y = __int_as_float(
        static_cast<int>(sign | static_cast<uint32_t>(__float_as_int(static_cast<float>(rest) * 0x1p-24f))));
  else if (rest < 0x7c00u)
    *y = __int_as_float(static_cast<int>(sign | ((rest << 13) + (112u << 23))));
  else
    *y = __int_as_float(static_cast<int>(sign | 0x7f800000u | (rest << 13)));
}
PT_SCALAR void convert_one(f16* y, float x) {
  const auto u = static_cast<uint32_t>(__float_as_int(x));
  const uint32_t sign = (u >> 16) & 0x8000u, rest = u & 0x7fffffffu;
  uint32_t r;
  if (rest > 0x7f800000u)
    r = 0x7e00u | ((rest >> 13) & 0x3ffu);
  else if (rest >= 0x477ff000u)
    r = 0x7c00u;
  else if (rest < 0x38800000u)
    r = static_cast<uint32_t>(__float_as_int(__int_as_float(static_cast<int>(rest)) + 0.5f) - __float_as_int(0.5f));
  else
    r = (rest - (112u << 23) + 0xfffu + ((rest >> 13) & 1u)) >> 13;
  y->bits = static_cast<uint16_t>(sign | r);
}

// Between f32 and bf16 by lanes.
template <class To, class From>
struct ConvertLanes {
  To* y;
  const From* x;
  template <int N>
  __device__ void at(int64_t i) const {
    put<N>(y + i, get<N>(x + i));
  }
};
template <class To, class From>
struct ConvertOne {
  To* y;
  const From* x;
  template <int N>
  __device__ void at(int64_t i) const {
    convert_one(y + i, x[i]);
  }
};

template <class To, class From>
int convert_lanes(const pt_context* ctx, pt_tensor y, pt_tensor x) {
  auto* to = static_cast<To*>(y.data);
  const auto* from = static_cast<const From*>(x.data);
  return each(ctx, elements(y), wide(to, from), ConvertLanes<To, From>{to, from});
}
template <class To, class From>
int convert(const pt_context* ctx, pt_tensor y, pt_tensor x) {
  return each(ctx, elements(y), false,
              ConvertOne<To, From>{static_cast<To*>(y.data), static_cast<const From*>(x.data)});
}

}  // namespace

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

}  // namespace pt_cuda
