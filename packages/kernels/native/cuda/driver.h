// The functions of NVIDIA's driver that device.cpp calls, as its header (cuda.h of the toolkit) declares them: the library is opened at run time
// (libcuda.so.1, or the file in POSTTRAIN_LIBCUDA), so neither a toolkit nor a driver is needed to build or to load this. Names are the
// library's own, with the version of the function at their end. npm run build:cuda holds these types against the toolkit's header (driver_types.cu).
// Source: CUDA Driver API, https://docs.nvidia.com/cuda/cuda-driver-api/.
#pragma once
#include <stddef.h>
#include <stdint.h>

namespace pt_cuda {

// Of CUmemAllocationProp and CUmemAccessDesc, in their order.
struct MemoryLocation {
  int type;  // 1: a device
  int id;
};
struct PlainProperties {
  int type;         // 1: pinned
  int handle_type;  // 0: none
  MemoryLocation location;
  void* win32;
  unsigned char flags[8];
};
struct PlainAccess {
  MemoryLocation location;
  int flags;  // 3: read and write
};

#if defined(PT_TOOLKIT_TYPES)
using Address = CUdeviceptr;
using Result = CUresult;
using Attribute = CUdevice_attribute;
using FunctionAttribute = CUfunction_attribute;
using AllocationProperties = CUmemAllocationProp;
using AccessDescription = CUmemAccessDesc;
using Context = CUcontext;
using Module = CUmodule;
using Function = CUfunction;
using Stream = CUstream;
using Event = CUevent;
#else
using Address = unsigned long long;
using Result = int;
using Attribute = int;
using FunctionAttribute = int;
using AllocationProperties = PlainProperties;
using AccessDescription = PlainAccess;
using Context = struct ContextHandle*;
using Module = struct ModuleHandle*;
using Function = struct FunctionHandle*;
using Stream = struct StreamHandle*;
using Event = struct EventHandle*;
#endif
using MemoryHandle = unsigned long long;

// Of CUresult.
enum : int {
  CUDA_OK = 0,
  INVALID_VALUE = 1,
  OUT_OF_MEMORY = 2,
  STUB_LIBRARY = 34,
  DEVICE_UNAVAILABLE = 46,
  NO_DEVICE = 100,
  INVALID_DEVICE = 101,
  INVALID_IMAGE = 200,
  NO_BINARY_FOR_GPU = 209,
  ECC_UNCORRECTABLE = 214,
  INVALID_PTX = 218,
  NVLINK_UNCORRECTABLE = 220,
  UNSUPPORTED_PTX_VERSION = 222,
  OPERATING_SYSTEM = 304,
  NOT_FOUND = 500,
  ILLEGAL_ADDRESS = 700,
  LAUNCH_FAILED = 719,
  SYSTEM_NOT_READY = 802,
  SYSTEM_DRIVER_MISMATCH = 803,
  COMPAT_NOT_SUPPORTED = 804,
  UNKNOWN = 999,
};
// Of CUdevice_attribute, CUfunction_attribute and flags.
enum : int {
  VIRTUAL_MEMORY_MANAGEMENT = 102,
  CAPABILITY_MAJOR = 75,
  CAPABILITY_MINOR = 76,
  MOST_DYNAMIC_SHARED = 8,
  STREAM_NON_BLOCKING = 1,
  EVENT_WITHOUT_TIME = 2,
};

#define PT_DRIVER_FUNCTIONS(F)                                                                                 \
  F(cuInit, (unsigned flags))                                                                                  \
  F(cuDriverGetVersion, (int* version))                                                                        \
  F(cuGetErrorName, (Result error, const char** text))                                                         \
  F(cuGetErrorString, (Result error, const char** text))                                                       \
  F(cuDeviceGetCount, (int* count))                                                                            \
  F(cuDeviceGet, (int* device, int ordinal))                                                                   \
  F(cuDeviceGetName, (char* name, int length, int device))                                                     \
  F(cuDeviceGetAttribute, (int* value, Attribute attribute, int device))                                       \
  F(cuDeviceTotalMem_v2, (size_t* bytes, int device))                                                          \
  F(cuDevicePrimaryCtxRetain, (Context * context, int device))                                                 \
  F(cuDevicePrimaryCtxRelease_v2, (int device))                                                                \
  F(cuCtxSetCurrent, (Context context))                                                                        \
  F(cuMemGetInfo_v2, (size_t* free, size_t* total))                                                            \
  F(cuMemAddressReserve,                                                                                       \
    (Address * address, size_t bytes, size_t alignment, Address wanted, unsigned long long flags))             \
  F(cuMemAddressFree, (Address address, size_t bytes))                                                         \
  F(cuMemCreate,                                                                                               \
    (MemoryHandle * handle, size_t bytes, const AllocationProperties* properties, unsigned long long flags))   \
  F(cuMemRelease, (MemoryHandle handle))                                                                       \
  F(cuMemMap, (Address address, size_t bytes, size_t offset, MemoryHandle handle, unsigned long long flags))   \
  F(cuMemUnmap, (Address address, size_t bytes))                                                               \
  F(cuMemSetAccess, (Address address, size_t bytes, const AccessDescription* access, size_t count))            \
  F(cuMemAllocAsync, (Address * address, size_t bytes, Stream stream))                                         \
  F(cuMemFreeAsync, (Address address, Stream stream))                                                          \
  F(cuMemHostAlloc, (void** data, size_t bytes, unsigned flags))                                               \
  F(cuMemFreeHost, (void* data))                                                                               \
  F(cuMemcpyHtoDAsync_v2, (Address to, const void* from, size_t bytes, Stream stream))                         \
  F(cuMemcpyDtoHAsync_v2, (void* to, Address from, size_t bytes, Stream stream))                               \
  F(cuMemsetD8Async, (Address to, unsigned char byte, size_t bytes, Stream stream))                            \
  F(cuStreamCreate, (Stream * stream, unsigned flags))                                                         \
  F(cuStreamDestroy_v2, (Stream stream))                                                                       \
  F(cuStreamSynchronize, (Stream stream))                                                                      \
  F(cuEventCreate, (Event * event, unsigned flags))                                                            \
  F(cuEventDestroy_v2, (Event event))                                                                          \
  F(cuEventRecord, (Event event, Stream stream))                                                               \
  F(cuEventSynchronize, (Event event))                                                                         \
  F(cuEventElapsedTime, (float* milliseconds, Event begin, Event end))                                         \
  F(cuModuleLoadData, (Module * module, const void* image))                                                    \
  F(cuModuleUnload, (Module module))                                                                           \
  F(cuModuleGetFunction, (Function * function, Module module, const char* name))                               \
  F(cuFuncSetAttribute, (Function function, FunctionAttribute attribute, int value))                           \
  F(cuLaunchKernel,                                                                                            \
    (Function function, unsigned grid_x, unsigned grid_y, unsigned grid_z, unsigned block_x, unsigned block_y, \
     unsigned block_z, unsigned shared_bytes, Stream stream, void** arguments, void** extra))

struct Driver {
#define PT_MEMBER(name, parameters) Result(*name) parameters;
  PT_DRIVER_FUNCTIONS(PT_MEMBER)
#undef PT_MEMBER
};

}  // namespace pt_cuda
