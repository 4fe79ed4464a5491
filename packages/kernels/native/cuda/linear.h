// What linear and linears share.
#pragma once
#include "gemm_bf16.h"

namespace pt_cuda {

int linear_gradients(const pt_context* ctx, pt_tensor dx, pt_tensor dweight, pt_tensor dbias, pt_tensor dy, pt_tensor x,
                     pt_tensor weight);

}  // namespace pt_cuda
