// Numbers in a thread's registers: N neighbours read and written at once (16 bytes of fp32), bf16 in and out, and exp in the cpu's steps.
#pragma once
#include "cuda.h"

namespace pt_cuda {

constexpr unsigned WHOLE_WARP = 0xffffffffu;
constexpr float LOWEST = -3.40282347e38f;

template <int N>
struct Lanes {
  float x[N];
};

#if defined(PT_EMULATED)
#define PT_ALIGNED(address, bytes) ::simt::aligned(address, bytes)
#else
#define PT_ALIGNED(address, bytes)
#endif

PT_SCALAR float4 load4(const float* p) {
  PT_ALIGNED(p, 16);
  return *reinterpret_cast<const float4*>(p);
}
PT_SCALAR void store4(float* p, float4 v) {
  PT_ALIGNED(p, 16);
  *reinterpret_cast<float4*>(p) = v;
}

PT_SCALAR float widen(bf16 x) { return __int_as_float(static_cast<int>(static_cast<uint32_t>(x) << 16)); }
// To nearest, ties to even; a NaN quiet; subnormals kept (cpu/simd.h).
PT_SCALAR bf16 round_bf16(float x) {
  const auto u = static_cast<uint32_t>(__float_as_int(x));
  const bool nan = (u & 0x7fffffffu) > 0x7f800000u;
  return static_cast<bf16>(nan ? (u >> 16) | 0x40u : (u + 0x7fffu + ((u >> 16) & 1u)) >> 16);
}
PT_SCALAR float get_one(const float* p) { return *p; }
PT_SCALAR float get_one(const bf16* p) { return widen(*p); }
PT_SCALAR void put_one(float* p, float x) { *p = x; }
PT_SCALAR void put_one(bf16* p, float x) { *p = round_bf16(x); }

template <int N>
PT_SCALAR Lanes<N> get(const float* p) {
  static_assert(N == 1 || N == 4, "one or four");
  if constexpr (N == 4) {
    const float4 v = load4(p);
    return {{v.x, v.y, v.z, v.w}};
  } else {
    return {{*p}};
  }
}
template <int N>
PT_SCALAR Lanes<N> get(const bf16* p) {
  if constexpr (N == 4) {
    PT_ALIGNED(p, 8);
    const ushort4 v = *reinterpret_cast<const ushort4*>(p);
    return {{widen(v.x), widen(v.y), widen(v.z), widen(v.w)}};
  } else {
    return {{widen(*p)}};
  }
}
template <int N>
PT_SCALAR void put(float* p, Lanes<N> a) {
  if constexpr (N == 4)
    store4(p, float4{a.x[0], a.x[1], a.x[2], a.x[3]});
  else
    *p = a.x[0];
}
template <int N>
PT_SCALAR void put(bf16* p, Lanes<N> a) {
  if constexpr (N == 4) {
    PT_ALIGNED(p, 8);
    *reinterpret_cast<ushort4*>(p) =
        ushort4{round_bf16(a.x[0]), round_bf16(a.x[1]), round_bf16(a.x[2]), round_bf16(a.x[3])};
  } else {
    *p = round_bf16(a.x[0]);
  }
}
// f on each lane of the operands.
template <int N, class F, class... L>
PT_SCALAR Lanes<N> map(const F& f, const Lanes<N>& first, const L&... rest) {
  Lanes<N> y;
#pragma unroll
  for (int l = 0; l < N; l++) y.x[l] = f(first.x[l], rest.x[l]...);
  return y;
}

PT_SCALAR float multiply_add(float a, float b, float c) { return fmaf(a, b, c); }
PT_SCALAR float negate(float a) { return -0.0f - a; }
PT_SCALAR float larger(float a, float b) { return a > b ? a : b; }  // b where either is NaN

// exp of cpu/simd.h, whose comment says how far it is from e^x, in the same steps.
PT_SCALAR float power_of_two(float n) { return __int_as_float((static_cast<int>(n) + 127) << 23); }
PT_SCALAR float scale_by_power(float x, float n) {
  const float half = (n * 0.5f + 12582912.0f) - 12582912.0f;
  return (x * power_of_two(half)) * power_of_two(n - half);
}
PT_SCALAR float exp_one(float x) {
  x = 90.0f < x ? 90.0f : x;
  x = larger(-105.0f, x);
  const float n = fmaf(x, 1.44269504f, 12582912.0f) - 12582912.0f;
  float r = fmaf(n, -0.693145752f, x);
  r = fmaf(n, -1.42860677e-6f, r);
  float q = 0.00138145986f;
  q = fmaf(q, r, 0.00836871689f);
  q = fmaf(q, r, 0.0416683880f);
  q = fmaf(q, r, 0.166665205f);
  q = fmaf(q, r, 0.499999934f);
  const float e = fmaf(r * r, q, r) + 1.0f;
  return x != x ? x : scale_by_power(e, n);
}

// The fixed tree of a row's sums (cpu/simd.h) over the 16 threads of half a warp: lane i with i + 8, then 4, 2, 1. All 16 get the result.
template <class T>
PT_SCALAR T add_halfwarp(T x) {
#pragma unroll
  for (int width = 8; width > 0; width /= 2) x = x + __shfl_xor_sync(WHOLE_WARP, x, width);
  return x;
}
// The same of the larger one: the lower lane stands on the left.
PT_SCALAR float larger_of_halfwarp(float x) {
#pragma unroll
  for (int width = 8; width > 0; width /= 2) {
    const float other = __shfl_xor_sync(WHOLE_WARP, x, width);
    x = (threadIdx.x & static_cast<unsigned>(width)) == 0 ? larger(x, other) : larger(other, x);
  }
  return x;
}

// ---- elementwise ops ----

// body.at<N>(i) for the N elements from i on: four to a thread where every pointer allows 16 bytes at once, else one.
template <int N, class Body>
__global__ void each_kernel(Body body, int64_t count) {
  const int64_t i = (static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x) * N;
  if (i + N <= count) {
    body.template at<N>(i);
    return;
  }
  for (int64_t j = i; j < count; j++) body.template at<1>(j);
}
template <class... P>
bool wide(const P*... pointers) {
  return (((reinterpret_cast<uintptr_t>(pointers) % 16) == 0) && ...);
}
template <class Body>
int each(const pt_context* ctx, int64_t count, bool is_wide, const Body& body) {
  constexpr int THREADS = 256;
  if (is_wide) return launch<each_kernel<4, Body>>(ctx, {count_of(ceil_div(count, 4 * THREADS)), THREADS}, body, count);
  return launch<each_kernel<1, Body>>(ctx, {count_of(ceil_div(count, THREADS)), THREADS}, body, count);
}

}  // namespace pt_cuda
