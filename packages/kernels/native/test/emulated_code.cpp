// Where device.cpp finds the emulated kernels. A kernel's name is its address, which is how the driver for tests gets it back.
#include "emulated_code.h"

#include <cstdio>
#include <map>
#include <mutex>
#include <string>

#include "../cuda/code.h"

namespace pt_cuda {
namespace {

const EmulatedImage image = {
    "pt-simt",
    [](const char* name, const void* data, int64_t bytes) { simt::region(name, data, bytes, simt::Access::both); },
    simt::forget_regions,
    [](const simt::Kernel& kernel, dim3 grid, dim3 block, int64_t dynamic_bytes, const void* packed) {
      return simt::run(simt::kernel_name(kernel.pretty), grid, block, dynamic_bytes,
                       {kernel.run, packed, kernel.bytes});
    },
};

}  // namespace

Code code_of(const void* kernel) {
  static std::mutex mutex;  // of the executors
  static std::map<const void*, std::string> names;
  const std::lock_guard<std::mutex> lock(mutex);
  std::string& name = names[kernel];
  if (name.empty()) {
    char text[32];
    snprintf(text, sizeof text, "%p", kernel);
    name = text;
  }
  return {&image, name.c_str()};
}
std::vector<const void*> images() { return {&image}; }

}  // namespace pt_cuda
