// Holds driver.h against the toolkit's own header: compiled by npm run build:cuda, never linked.
#include <cuda.h>

#include <type_traits>

#define PT_TOOLKIT_TYPES
#include "driver.h"

namespace pt_cuda {

#define PT_SAME(name, parameters) \
  static_assert(std::is_same_v<decltype(&::name), decltype(Driver::name)>, #name " has other parameters");
PT_DRIVER_FUNCTIONS(PT_SAME)
#undef PT_SAME

static_assert(OUT_OF_MEMORY == CUDA_ERROR_OUT_OF_MEMORY && STUB_LIBRARY == CUDA_ERROR_STUB_LIBRARY &&
              DEVICE_UNAVAILABLE == CUDA_ERROR_DEVICE_UNAVAILABLE && NO_DEVICE == CUDA_ERROR_NO_DEVICE &&
              INVALID_DEVICE == CUDA_ERROR_INVALID_DEVICE && INVALID_IMAGE == CUDA_ERROR_INVALID_IMAGE &&
              NO_BINARY_FOR_GPU == CUDA_ERROR_NO_BINARY_FOR_GPU && ECC_UNCORRECTABLE == CUDA_ERROR_ECC_UNCORRECTABLE &&
              INVALID_PTX == CUDA_ERROR_INVALID_PTX && NVLINK_UNCORRECTABLE == CUDA_ERROR_NVLINK_UNCORRECTABLE &&
              UNSUPPORTED_PTX_VERSION == CUDA_ERROR_UNSUPPORTED_PTX_VERSION &&
              OPERATING_SYSTEM == CUDA_ERROR_OPERATING_SYSTEM && NOT_FOUND == CUDA_ERROR_NOT_FOUND &&
              ILLEGAL_ADDRESS == CUDA_ERROR_ILLEGAL_ADDRESS && LAUNCH_FAILED == CUDA_ERROR_LAUNCH_FAILED &&
              SYSTEM_NOT_READY == CUDA_ERROR_SYSTEM_NOT_READY &&
              SYSTEM_DRIVER_MISMATCH == CUDA_ERROR_SYSTEM_DRIVER_MISMATCH && UNKNOWN == CUDA_ERROR_UNKNOWN);
static_assert(VIRTUAL_MEMORY_MANAGEMENT == CU_DEVICE_ATTRIBUTE_VIRTUAL_MEMORY_MANAGEMENT_SUPPORTED &&
              CAPABILITY_MAJOR == CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR &&
              CAPABILITY_MINOR == CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR &&
              MOST_DYNAMIC_SHARED == CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES &&
              STREAM_NON_BLOCKING == CU_STREAM_NON_BLOCKING && EVENT_WITHOUT_TIME == CU_EVENT_DISABLE_TIMING);
static_assert(CU_MEM_ALLOCATION_TYPE_PINNED == 1 && CU_MEM_LOCATION_TYPE_DEVICE == 1 &&
              CU_MEM_ACCESS_FLAGS_PROT_READWRITE == 3);

static_assert(sizeof(PlainProperties) == sizeof(CUmemAllocationProp) && sizeof(PlainAccess) == sizeof(CUmemAccessDesc));
static_assert(offsetof(PlainProperties, location) == offsetof(CUmemAllocationProp, location) &&
              offsetof(PlainProperties, flags) == offsetof(CUmemAllocationProp, allocFlags) &&
              offsetof(PlainAccess, flags) == offsetof(CUmemAccessDesc, flags));

}  // namespace pt_cuda
