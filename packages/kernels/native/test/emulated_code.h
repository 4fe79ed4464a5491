// The image of the emulated kernels, which the driver for tests (fake_cuda.cpp) loads and runs: what NVIDIA's has compiled code for.
#pragma once
#include "../cuda/emulated/simt.h"

namespace pt_cuda {

struct EmulatedImage {
  char magic[8];
  void (*may_touch)(const char* name, const void* data, int64_t bytes);
  void (*forget)();
  const char* (*run)(const simt::Kernel& kernel, dim3 grid, dim3 block, int64_t dynamic_bytes, const void* packed);
};
constexpr char EMULATED_MAGIC[8] = "pt-simt";

}  // namespace pt_cuda
