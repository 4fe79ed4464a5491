// What every .cu sees: the language (CUDA's, or emulated/simt.h where the host compiler takes the file), the ABI, launches, and the checks of
// indices. The order of every sum is the cpu's: cpu/<stem>.cpp says it, and no other order gives its bits.
#pragma once
#if defined(PT_EMULATED)
#include "emulated/simt.h"

#include <new>
#include <tuple>
#else
#include <cuda_runtime.h>

#include <stdint.h>
#include <string.h>
#endif

#include "device.h"

#define PT_NAMESPACE pt_cuda
#define PT_SCALAR static __device__ __forceinline__
#include "../cpu/math64.h"

namespace pt_cuda {

using bf16 = uint16_t;  // the upper half of an f32

inline float* f32(pt_tensor t) { return static_cast<float*>(t.data); }
inline bf16* bf(pt_tensor t) { return static_cast<bf16*>(t.data); }
inline double* f64(pt_tensor t) { return static_cast<double*>(t.data); }
inline int32_t* i32(pt_tensor t) { return static_cast<int32_t*>(t.data); }
inline bool is_bf16(pt_tensor t) { return t.data != nullptr && t.dtype == PT_BF16; }
inline int64_t elements(pt_tensor t) {
  int64_t n = 1;
  for (int i = 0; i < t.rank; i++) n *= t.dims[i];
  return n;
}
__host__ __device__ inline int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
__host__ __device__ inline int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }

// f(pointer of the tensor's own element type), for FLOAT parameters of ops.def.
template <class F>
int with_float(pt_tensor t, const F& f) {
  return is_bf16(t) ? f(bf(t)) : f(f32(t));
}

inline int refuse_mixed(const pt_context* ctx, const char* first, pt_tensor a, const char* second, pt_tensor b) {
  if (a.dtype == b.dtype) return 0;
  ctx->fail(ctx, "%s is %s and %s is %s, expected one dtype", first, is_bf16(a) ? "bf16" : "f32", second,
            is_bf16(b) ? "bf16" : "f32");
  return 1;
}
// bf16 beside weights that are f32.
inline int refuse_bf16_beside(const pt_context*, const char*) { return 0; }
template <class... Rest>
int refuse_bf16_beside(const pt_context* ctx, const char* weight, const char* name, pt_tensor t, const Rest&... rest) {
  if (!is_bf16(t)) return refuse_bf16_beside(ctx, weight, rest...);
  ctx->fail(ctx, "%s is bf16, but %s is f32", name, weight);
  return 1;
}
// ---- failures that are found on the device ----

// A kernel that follows indices begins with this: behind a failure nothing is written but where it may be.
static __device__ __forceinline__ bool failed(const Note* note) { return note->call >= 0; }

// Notes, if it is the first failure, the first index outside of [0, limit): "ids[3] is 70, but the table has 64 rows".
int check_rows(const pt_context* ctx, pt_tensor rows, int64_t limit, const char* index, const char* table,
               const char* what = "rows");

// ---- launches ----

struct Shape {
  dim3 grid, block;
  int64_t dynamic_bytes = 0;
};
inline unsigned count_of(int64_t n) { return static_cast<unsigned>(n); }

template <auto KERNEL>
struct Kernel;
template <class... P, void (*KERNEL)(P...)>
struct Kernel<KERNEL> {
#if defined(PT_EMULATED)
  static const void* address() {
    static constexpr simt::Kernel kernel = {
        __PRETTY_FUNCTION__, sizeof(std::tuple<P...>),
        [](void* to, void* const* from) { pack(to, from, std::index_sequence_for<P...>()); },
        [](const void* arguments) { std::apply(KERNEL, *static_cast<const std::tuple<P...>*>(arguments)); }};
    return &kernel;
  }
  template <size_t... I>
  static void pack(void* to, void* const* from, std::index_sequence<I...>) {
    new (to) std::tuple<P...>(*static_cast<P*>(from[I])...);
  }
#else
  static const void* address() { return reinterpret_cast<const void*>(KERNEL); }
#endif
  static int launch(const pt_context* ctx, const Shape& shape, P... arguments) {
    const dim3 &grid = shape.grid, &block = shape.block;
    if (ctx->dry || grid.x == 0 || grid.y == 0) return 0;
    void* list[] = {&arguments...};
    return launch_kernel(ctx,
                         {address(), {grid.x, grid.y, grid.z}, {block.x, block.y, block.z}, shape.dynamic_bytes, list});
  }
};
template <auto KERNEL, class... A>
int launch(const pt_context* ctx, const Shape& shape, const A&... arguments) {
  return Kernel<KERNEL>::launch(ctx, shape, arguments...);
}

// T* name: the block's dynamic shared memory.
#if defined(PT_EMULATED)
#define PT_DYNAMIC_SHARED(T, name) T* const name = static_cast<T*>(::simt::dynamic_shared())
#else
#define PT_DYNAMIC_SHARED(T, name)                                   \
  extern __shared__ __align__(16) unsigned char pt_dynamic_shared[]; \
  T* const name = reinterpret_cast<T*>(pt_dynamic_shared)
#endif

}  // namespace pt_cuda
