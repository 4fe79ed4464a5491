// Where the code of kernels is. stubs.cpp has it of what nvcc compiled, ../test/emulated_code.cpp of the emulation.
#pragma once
#include <vector>

namespace pt_cuda {

// An image that the driver loads, and a kernel's name in it; null where the kernel is not known.
struct Code {
  const void* image;
  const char* name;
};
Code code_of(const void* kernel);
// All images.
std::vector<const void*> images();

}  // namespace pt_cuda
