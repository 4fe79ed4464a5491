#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

#include "errors.h"

namespace pt_cuda {

// Opened each time: a variable may name another file by now. It stays loaded.
bool open_driver(Driver* driver, char* why, size_t size) {
  const char* named = getenv("POSTTRAIN_LIBCUDA");
  const char* file = named != nullptr && named[0] != '\0' ? named : "libcuda.so.1";
  void* library = dlopen(file, RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    const char* reason = dlerror();
    snprintf(why, size,
             "no NVIDIA driver is installed here (%s). Install the driver, or run where there is one; in a container, "
             "start it with the GPU "
             "(docker run --gpus all)",
             reason != nullptr ? reason : file);
    return false;
  }
  const char* missing = nullptr;
  const auto find = [&](const char* name) {
    void* function = dlsym(library, name);
    if (function == nullptr && missing == nullptr) missing = name;
    return function;
  };
#define PT_FIND(name, parameters) driver->name = reinterpret_cast<Result(*) parameters>(find(#name));
  PT_DRIVER_FUNCTIONS(PT_FIND)
#undef PT_FIND
  if (missing == nullptr) return true;
  snprintf(why, size, "the NVIDIA driver here (%s) has no %s: it is older than CUDA 11.2. Update the driver", file,
           missing);
  return false;
}

std::string error_text(const Driver& driver, Result error) {
  const char *name = nullptr, *text = nullptr;
  driver.cuGetErrorName(error, &name);
  driver.cuGetErrorString(error, &text);
  return std::string(name != nullptr ? name : "an error that the driver does not know") + " (" + std::to_string(error) +
         (text != nullptr ? std::string(": ") + text : std::string()) + ")";
}

bool is_lost(Result error) {
  switch (error) {
    case DEVICE_UNAVAILABLE:
    case NO_DEVICE:
    case INVALID_DEVICE:
    case ECC_UNCORRECTABLE:
    case NVLINK_UNCORRECTABLE:
    case OPERATING_SYSTEM:
    case SYSTEM_NOT_READY:
    case UNKNOWN:
      return true;
    default:
      return false;
  }
}

int check(const pt_context* ctx, const Driver& driver, Result error, const char* what) {
  if (error == CUDA_OK) return 0;
  const std::string text = error_text(driver, error);
  if (error == OUT_OF_MEMORY)
    ctx->fail_machine(ctx, PT_NO_MEMORY, "the GPU's memory is exhausted (%s): %s", what, text.c_str());
  else if (is_lost(error))
    ctx->fail_machine(ctx, PT_DEVICE_LOST,
                      "the GPU was lost (%s): %s. It computes no more in this process. nvidia-smi and the kernel's log "
                      "(dmesg | grep -i xid) say "
                      "more of it; when it is back, start again",
                      what, text.c_str());
  else
    ctx->fail(ctx,
              "the GPU failed (%s): %s. An op before this one may be why: with CUDA_LAUNCH_BLOCKING=1 the error comes "
              "where it is made",
              what, text.c_str());
  return 1;
}

}  // namespace pt_cuda
