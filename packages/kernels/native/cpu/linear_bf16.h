// linear's other half: a weight of bf16 (linear_bf16.cpp).
#pragma once
#include "gemm_bf16.h"

namespace PT_NAMESPACE {

int linear_forward_bf16(const pt_context* ctx, pt_tensor y, pt_tensor x, pt_tensor weight, pt_tensor bias);
// All but dbias.
int linear_backward_bf16(const pt_context* ctx, pt_tensor dx, pt_tensor dweight, pt_tensor dy, pt_tensor x,
                         pt_tensor weight);

}  // namespace PT_NAMESPACE
