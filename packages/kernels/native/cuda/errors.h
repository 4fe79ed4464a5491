// The driver, opened, and what its errors mean to a person (driver.cpp).
#pragma once
#include <string>

#include "../abi/kernels.h"
#include "driver.h"

namespace pt_cuda {

// False after the reason was written to `why`.
bool open_driver(Driver* driver, char* why, size_t size);

// "CUDA_ERROR_ILLEGAL_ADDRESS (700: an illegal memory access was encountered)"
std::string error_text(const Driver& driver, Result error);

// Whether it is the machine, not what was asked of it.
bool is_lost(Result error);

// 0, or 1 after the call failed with the reason; `what` was asked for when it came.
int check(const pt_context* ctx, const Driver& driver, Result error, const char* what);

}  // namespace pt_cuda
