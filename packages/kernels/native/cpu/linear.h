// What linear and linears share: maps of one x, forward all in one go; the gradients of one. With a bf16 weight: linear_bf16.cpp.
#pragma once
#include "gemm/gemm.h"
#include "gemm/gemm_bf16.h"

namespace PT_NAMESPACE {

struct LinearMap {
  pt_tensor y, weight, bias;
};

// Working memory of the products, taken once an op; null when there is none (the context said so).
PT_INLINE void* linear_scratch(const pt_context* ctx, pt_tensor weight) {
  return is_bf16(weight) ? parallel_scratch_bf16(ctx) : parallel_scratch(ctx);
}

// The weights are of one dtype.
int linear_maps(const pt_context* ctx, const LinearMap* maps, int64_t count, pt_tensor x);
int linear_gradients(const pt_context* ctx, pt_tensor dx, pt_tensor dweight, pt_tensor dbias, pt_tensor dy, pt_tensor x,
                     pt_tensor weight, void* scratch);

// The same where the weights are bf16; of the gradients all but dbias.
int linear_maps_bf16(const pt_context* ctx, const LinearMap* maps, int64_t count, pt_tensor x, void* scratch);
int linear_gradients_bf16(const pt_context* ctx, pt_tensor dx, pt_tensor dweight, pt_tensor dy, pt_tensor x,
                          pt_tensor weight, void* scratch);

}  // namespace PT_NAMESPACE
