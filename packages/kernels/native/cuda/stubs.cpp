// What the host's side of nvcc's objects asks of the CUDA runtime, without the runtime: each object registers its image and its kernels' names when
// the library is loaded, and that is kept here for the driver. Only npm run build:cuda links it. The functions are those that the toolkit's
// crt/host_runtime.h declares; they are between nvcc and its runtime and no public interface, so the library is linked with -z defs: what a newer nvcc
// asks beyond them is an error there. Launches go through launch_kernel (device.h); what nvcc's stubs would launch by is never called.
#include <stdlib.h>

#include <unordered_map>

#include "code.h"

namespace pt_cuda {
namespace {

// __fatBinC_Wrapper_t of the toolkit's fatbinary_section.h.
struct Wrapper {
  int magic, version;
  const void* data;
  void* others;
};
struct Registered {
  std::vector<const void*> images;
  std::unordered_map<const void*, Code> kernels;  // by stub
};
Registered& registered() {
  static Registered all;  // objects register before main, in any order
  return all;
}

}  // namespace

Code code_of(const void* kernel) {
  const auto found = registered().kernels.find(kernel);
  return found == registered().kernels.end() ? Code{nullptr, nullptr} : found->second;
}
std::vector<const void*> images() { return registered().images; }

}  // namespace pt_cuda

extern "C" {

void** __cudaRegisterFatBinary(void* wrapper) {
  const void* data = static_cast<pt_cuda::Wrapper*>(wrapper)->data;
  pt_cuda::registered().images.push_back(data);
  return static_cast<void**>(const_cast<void*>(data));
}
void __cudaRegisterFatBinaryEnd(void**) {}
void __cudaUnregisterFatBinary(void**) {}
void __cudaRegisterFunction(void** image, const char* stub, char*, const char* name, int, void*, void*, void*, void*,
                            int*) {
  pt_cuda::registered().kernels[stub] = {static_cast<const void*>(image), name};
}
void __cudaRegisterVar(void**, char*, char*, const char*, int, size_t, int, int) {}
char __cudaInitModule(void**) { return 0; }

// Of kernels that are called as functions, which ours never are.
int __cudaGetKernel(void**, const void*) { abort(); }
int __cudaPopCallConfiguration(void*, void*, size_t*, void*) { abort(); }
int __cudaLaunchKernel(void*, ...) { abort(); }

}  // extern "C"
