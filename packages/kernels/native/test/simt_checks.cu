// Small kernels, wrong ones and right ones, for what ../cuda/emulated finds: each is run and what was said of it is printed, a line each, the name
// first. With a file of tiles as argument: D of each tile and capability in hexadecimal (test/simt.test.ts reads both).
#include <cstdio>
#include <cstdlib>
#include <tuple>
#include <vector>

#include "../cuda/emulated/simt.h"

namespace {

__global__ void neighbours_without_barrier(float* y) {
  __shared__ float x[64];
  x[threadIdx.x] = 1.0f;
  y[threadIdx.x] = x[(threadIdx.x + 32) % 64];
}
__global__ void neighbours(float* y) {
  __shared__ float x[64];
  x[threadIdx.x] = 1.0f;
  __syncthreads();
  y[threadIdx.x] = x[(threadIdx.x + 32) % 64];
}
__global__ void overwritten_while_read(float* y) {
  __shared__ float x[64];
  x[threadIdx.x] = 1.0f;
  __syncthreads();
  y[threadIdx.x] = x[63 - threadIdx.x];
  x[threadIdx.x] = 2.0f;
}
__global__ void two_writers(float* y) {
  __shared__ float x;
  x = 1.0f;
  __syncthreads();
  y[threadIdx.x] = x;
}
__global__ void within_a_warp(float* y) {
  __shared__ float x[64];
  x[threadIdx.x] = 1.0f;
  __syncwarp();
  y[threadIdx.x] = x[threadIdx.x ^ 1];
}
__global__ void within_a_warp_unordered(float* y) {
  __shared__ float x[64];
  x[threadIdx.x] = 1.0f;
  y[threadIdx.x] = x[threadIdx.x ^ 1];
}
__global__ void nobody_wrote(float* y) {
  __shared__ float x[64];
  if (threadIdx.x != 5) x[threadIdx.x] = 1.0f;
  __syncthreads();
  y[threadIdx.x] = x[threadIdx.x];
}
__global__ void from_the_block_before(float* y) {
  __shared__ float x[64];
  if (blockIdx.x == 0) x[threadIdx.x] = 1.0f;
  y[threadIdx.x] = x[threadIdx.x];
}
__global__ void beyond_shared(float* y) {
  auto* x = static_cast<float*>(simt::dynamic_shared());  // 256 bytes
  x[threadIdx.x + 1] = 1.0f;
  __syncthreads();
  y[threadIdx.x] = 0.0f;
}
__global__ void beyond_global(float* y) { y[threadIdx.x + 1] = 1.0f; }
__global__ void writes_its_input(float* y) { y[threadIdx.x] = 1.0f; }
__global__ void some_come_to_the_barrier(float* y) {
  if (threadIdx.x < 40) __syncthreads();
  y[threadIdx.x] = 1.0f;
}
__global__ void two_barriers(float* y) {
  if (threadIdx.x < 32)
    __syncthreads();
  else
    __syncthreads();
  y[threadIdx.x] = 1.0f;
}
__global__ void half_a_warp_shuffles(float* y) {
  float x = 1.0f;
  if (threadIdx.x < 16) x = __shfl_xor_sync(0xffffffffu, x, 1);
  y[threadIdx.x] = x;
}
__global__ void partial_mask(float* y) { y[threadIdx.x] = __shfl_xor_sync(0x0000ffffu, 1.0f, 1); }
__global__ void read_before_it_came(float* y) {
  auto* x = static_cast<float*>(simt::dynamic_shared());
  if (threadIdx.x < 16) simt::copy_async(x + 4 * threadIdx.x, y + 4 * threadIdx.x, 16);
  simt::commit_async();
  __syncthreads();
  y[threadIdx.x] = x[threadIdx.x];
  simt::wait_async(0);
}
__global__ void waited_for_too_few(float* y) {
  auto* x = static_cast<float*>(simt::dynamic_shared());
  if (threadIdx.x < 16) simt::copy_async(x + 4 * threadIdx.x, y + 4 * threadIdx.x, 16);
  simt::commit_async();
  simt::wait_async(1);
  __syncthreads();
  y[threadIdx.x] = x[threadIdx.x];
  simt::wait_async(0);
}
__global__ void waited_for(float* y) {
  auto* x = static_cast<float*>(simt::dynamic_shared());
  if (threadIdx.x < 16) simt::copy_async(x + 4 * threadIdx.x, y + 4 * threadIdx.x, 16);
  simt::commit_async();
  simt::commit_async();
  simt::wait_async(1);
  __syncthreads();
  y[threadIdx.x] = x[threadIdx.x];
}
__global__ void never_waited(float* y) {
  auto* x = static_cast<float*>(simt::dynamic_shared());
  if (threadIdx.x == 7) simt::copy_async(x, y, 16);
}
__global__ void not_aligned(float* y) {
  simt::aligned(y + 1, 16);
  y[threadIdx.x] = 1.0f;
}
__global__ void sums_a_warp(float* y) {
  auto x = static_cast<float>(threadIdx.x);
  for (int width = 16; width > 0; width /= 2) x += __shfl_xor_sync(0xffffffffu, x, width);
  y[threadIdx.x] = x;
}

// Row r of tile t holds 100 t + 10 r + column.
__global__ void loads_tiles(uint32_t* y) {
  auto* x = static_cast<uint16_t*>(simt::dynamic_shared());
  for (unsigned i = threadIdx.x; i < 256; i += 32)
    x[i] = static_cast<uint16_t>(100 * (i / 64) + 10 * (i / 8 % 8) + i % 8);
  __syncthreads();
  uint32_t words[4];
  simt::ldmatrix_x4(words, x + 8 * threadIdx.x);
  for (int i = 0; i < 4; i++) y[threadIdx.x * 4 + i] = words[i];
}

__global__ void multiplies(const uint16_t* a, const uint16_t* b, const float* c, float* d) {
  const unsigned g = threadIdx.x / 4, at = threadIdx.x % 4 * 2;
  uint32_t wa[4], wb[2];
  for (unsigned r = 0; r < 4; r++) {
    const uint16_t* p = a + (g + r % 2 * 8) * 16 + at + r / 2 * 8;
    wa[r] = static_cast<uint32_t>(p[0]) | static_cast<uint32_t>(p[1]) << 16;
  }
  for (unsigned r = 0; r < 2; r++) {
    const uint16_t* p = b + (at + r * 8) * 8 + g;
    wb[r] = static_cast<uint32_t>(p[0]) | static_cast<uint32_t>(p[8]) << 16;
  }
  float wc[4], wd[4];
  for (unsigned i = 0; i < 4; i++) wc[i] = c[(g + i / 2 * 8) * 8 + at + i % 2];
  simt::mma_m16n8k16(wd, wa, wb, wc);
  for (unsigned i = 0; i < 4; i++) d[(g + i / 2 * 8) * 8 + at + i % 2] = wd[i];
}

template <auto KERNEL, class... A>
const char* launch(const char* name, unsigned blocks, unsigned threads, int64_t dynamic_bytes, A... arguments) {
  const std::tuple<A...> all(arguments...);
  return simt::run(name, blocks, threads, dynamic_bytes,
                   {[](const void* p) { std::apply(KERNEL, *static_cast<const std::tuple<A...>*>(p)); }, &all,
                    static_cast<int64_t>(sizeof all)});
}

alignas(64) float memory[128];

// Two blocks of two warps.
template <auto KERNEL>
void show(const char* name, int64_t dynamic_bytes = 1024, bool input = false) {
  for (float& x : memory) x = 1.0f;
  simt::forget_regions();
  simt::region("y", memory, 64 * sizeof(float), input ? simt::Access::read : simt::Access::both);
  const char* wrong = launch<KERNEL>(name, 2, 64, dynamic_bytes, static_cast<float*>(memory));
  printf("%s\t%s\n", name, wrong ? wrong : "right");
}
#define SHOW(kernel, ...) show<kernel>(#kernel, ##__VA_ARGS__)

// Lines of hexadecimal numbers: capability, 256 of a, 128 of b, 128 of c. D of each comes back as such a line.
int multiply_tiles(const char* path) {
  FILE* file = fopen(path, "r");
  if (!file) return 1;
  int capability;
  while (fscanf(file, "%d", &capability) == 1) {
    uint16_t a[256], b[128];
    float c[128], d[128];
    unsigned word;
    for (uint16_t& x : a) x = static_cast<uint16_t>(fscanf(file, "%x", &word) == 1 ? word : 0);
    for (uint16_t& x : b) x = static_cast<uint16_t>(fscanf(file, "%x", &word) == 1 ? word : 0);
    for (float& x : c) x = __int_as_float(static_cast<int>(fscanf(file, "%x", &word) == 1 ? word : 0));
    simt::forget_regions();
    simt::region("a", a, sizeof a, simt::Access::read);
    simt::region("b", b, sizeof b, simt::Access::read);
    simt::region("c", c, sizeof c, simt::Access::read);
    simt::region("d", d, sizeof d, simt::Access::write);
    simt::set_capability(capability);
    const char* wrong =
        launch<multiplies>("multiplies", 1, 32, 0, static_cast<const uint16_t*>(a), static_cast<const uint16_t*>(b),
                           static_cast<const float*>(c), static_cast<float*>(d));
    if (wrong) printf("%s\n", wrong);
    for (float x : d) printf("%08x ", static_cast<unsigned>(__float_as_int(x)));
    printf("\n");
  }
  fclose(file);
  return 0;
}

}  // namespace

int main(int count, char** arguments) {
  if (count > 1) return multiply_tiles(arguments[1]);
  SHOW(neighbours_without_barrier);
  SHOW(neighbours);
  SHOW(overwritten_while_read);
  SHOW(two_writers);
  SHOW(within_a_warp);
  SHOW(within_a_warp_unordered);
  SHOW(nobody_wrote);
  SHOW(from_the_block_before);
  SHOW(beyond_shared, 256);
  SHOW(beyond_global);
  SHOW(writes_its_input, 1024, true);
  SHOW(some_come_to_the_barrier);
  SHOW(two_barriers);
  SHOW(half_a_warp_shuffles);
  SHOW(partial_mask);
  SHOW(read_before_it_came);
  SHOW(waited_for_too_few);
  SHOW(waited_for);
  SHOW(never_waited);
  SHOW(not_aligned);
  SHOW(sums_a_warp);
  uint32_t words[128];
  simt::forget_regions();
  simt::region("y", words, sizeof words, simt::Access::write);
  const char* wrong = launch<loads_tiles>("loads_tiles", 1, 32, 1024, static_cast<uint32_t*>(words));
  printf("loads_tiles\t%s", wrong ? wrong : "");
  for (uint32_t word : words) printf("%u ", word);
  printf("\n");
  return 0;
}
