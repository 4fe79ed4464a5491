// CUDA's language on the CPU: what a .cu file uses of it, so that the host compiler takes the file as it stands and every kernel of it runs
// here, with checks that a GPU does not make. One thread of the host runs all threads of a block as fibers, one after the other, each up to
// its next barrier or warp operation; so blocks and threads never run at once, and what a race would hide is found by rule, not by luck.
//
// Kernels are compiled with -fsanitize=thread and without its library: the compiler puts a call before each load and store, and those calls
// are answered in checks.cpp. That is how plain loads and stores are seen. What is checked, and what not, stands in ../README.md.
//
// Of the language there is what our kernels need and no more: __syncthreads, whole warps (mask 0xffffffff) for shuffles, votes and
// __syncwarp, static and dynamic shared memory, cp.async of 16 bytes with its groups, and the vector types below. Blocks are whole warps.
#pragma once
#include <cmath>
#include <cstdint>
#include <cstring>
#include <utility>

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline __attribute__((always_inline))
#define __launch_bounds__(...)
#define __restrict__
// Static shared memory lies in a section of its own, whose bytes checks.cpp watches. Not in templates: gcc puts theirs elsewhere, where the first
// access is refused; they take dynamic shared memory.
#define __shared__ static __attribute__((section("simt_shared"), aligned(16)))
#define __align__(n) __attribute__((aligned(n)))

struct dim3 {
  unsigned x, y, z;
  constexpr dim3(unsigned x = 1, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z) {}
};
struct alignas(16) float4 {
  float x, y, z, w;
};
struct alignas(8) float2 {
  float x, y;
};
struct alignas(16) uint4 {
  uint32_t x, y, z, w;
};
struct alignas(8) uint2 {
  uint32_t x, y;
};
struct alignas(8) ushort4 {
  uint16_t x, y, z, w;
};

namespace simt {

// The thread at work.
struct Coordinates {
  dim3 thread, block, block_size, grid;
};
extern Coordinates here;

void barrier(const char* file, int line);

// An operation of a warp: each lane brings a pointer to what it has, and goes on when run(lanes) was done once for all 32.
struct WarpOperation {
  const char* name;
  void (*run)(void* const* lanes);
};
void together(const WarpOperation& operation, void* mine, unsigned mask, const char* file, int line);

template <class T>
struct Shuffle {
  T value;
  int from;  // the lane whose value this one gets
  T got;
  static void run(void* const* lanes) {
    for (int i = 0; i < 32; i++) {
      Shuffle& to = *static_cast<Shuffle*>(lanes[i]);
      to.got = static_cast<const Shuffle*>(lanes[to.from])->value;
    }
  }
};
template <class T>
T shuffle(const char* name, unsigned mask, T value, int from, const char* file, int line) {
  Shuffle<T> mine = {value, from, value};
  together({name, Shuffle<T>::run}, &mine, mask, file, line);
  return mine.got;
}
inline int lane() { return static_cast<int>(here.thread.x % 32); }

// Dynamic shared memory, 16-byte aligned; of the size that the launch asked for.
void* dynamic_shared();

// cp.async of 16 bytes, its groups, and the wait until at most `pending` of them are on their way. Data arrive at the wait.
void copy_async(void* shared, const void* global, int bytes);
void commit_async();
void wait_async(int pending);

// Fails the launch where an address that is read or written as a whole is not aligned to it.
void aligned(const void* address, int bytes);

// What is known of a kernel: its arguments become one piece of memory when it is launched.
struct Kernel {
  const char* pretty;  // kernel_name() has its name from it
  int64_t bytes;       // of all arguments
  void (*pack)(void* to, void* const* arguments);
  void (*run)(const void* packed);
};

// Runs a kernel's body for all threads of all blocks. Returns null, or what went wrong: kernel, block, thread, address.
struct Body {
  void (*run)(const void* arguments);
  const void* arguments;
  int64_t bytes;
};
const char* run(const char* kernel, dim3 grid, dim3 block, int64_t dynamic_bytes, const Body& body);

// What kernels may touch outside of shared memory, until forget_regions().
enum class Access { read, write, both };
void region(const char* name, const void* data, int64_t bytes, Access access);
void forget_regions();

// The order of blocks and of threads in what this thread of the host launches: 0 as they are numbered, 1 backwards. A right kernel gives the same
// bits in both.
void set_order(int order);

}  // namespace simt

#define threadIdx (::simt::here.thread)
#define blockIdx (::simt::here.block)
#define blockDim (::simt::here.block_size)
#define gridDim (::simt::here.grid)

#define SIMT_PLACE const char *file = __builtin_FILE(), int line = __builtin_LINE()
inline void __syncthreads(SIMT_PLACE) { simt::barrier(file, line); }
inline void __syncwarp(unsigned mask = 0xffffffffu, SIMT_PLACE) {
  simt::together({"__syncwarp", [](void* const*) {}}, nullptr, mask, file, line);
}
template <class T>
T __shfl_xor_sync(unsigned mask, T value, int with, SIMT_PLACE) {
  return simt::shuffle("__shfl_xor_sync", mask, value, simt::lane() ^ with, file, line);
}
template <class T>
T __shfl_down_sync(unsigned mask, T value, int by, SIMT_PLACE) {
  return simt::shuffle("__shfl_down_sync", mask, value, simt::lane() + by < 32 ? simt::lane() + by : simt::lane(), file,
                       line);
}
template <class T>
T __shfl_sync(unsigned mask, T value, int from, SIMT_PLACE) {
  return simt::shuffle("__shfl_sync", mask, value, from & 31, file, line);
}

namespace simt {
// D = A B + C of bf16 tiles, on a chip of this capability (80, 90, ...), and four 8 x 8 tiles from shared memory: lane i brings the address of row
// i mod 8 of tile i / 8. Turned (.trans): each lane gets what it would get of the tiles with rows and columns exchanged.
void set_capability(int capability);
void mma_m16n8k16(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2], const float (&c)[4], SIMT_PLACE);
void ldmatrix_x4(uint32_t (&words)[4], const void* row, SIMT_PLACE);
void ldmatrix_x4_turned(uint32_t (&words)[4], const void* row, SIMT_PLACE);
}  // namespace simt

inline float __int_as_float(int x) {
  float y;
  memcpy(&y, &x, sizeof y);
  return y;
}
inline int __float_as_int(float x) {
  int y;
  memcpy(&y, &x, sizeof y);
  return y;
}
inline double __longlong_as_double(long long x) {
  double y;
  memcpy(&y, &x, sizeof y);
  return y;
}

namespace simt {
// Of __PRETTY_FUNCTION__ of a template over a kernel: the kernel's own name.
const char* kernel_name(const char* pretty);
}  // namespace simt
