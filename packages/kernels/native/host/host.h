// What backends that compute in the host's memory put into their tables: the arena, copies that are done when they return, the clock.
#pragma once
#include "../abi/kernels.h"

#ifdef __cplusplus
extern "C" {
#endif

void* pt_host_open(const pt_options* options, char* why, int64_t size);
void pt_host_close(void* state);
void* pt_host_allocate(void* state, int64_t bytes);
void pt_host_free(void* state, void* data);
void pt_host_trim(void* state);
int32_t pt_host_check_guards(void* state);
void pt_host_memory(void* state, pt_memory* now);
void pt_host_reset_peak(void* state);
const void* pt_host_borrow(void* state, const void* host, int64_t bytes);
int pt_host_copy(const pt_context* ctx, void* to, const void* from, int64_t bytes);
int pt_host_wait(const pt_context* ctx);
void* pt_host_take_scratch(const pt_context* ctx, int64_t bytes);
void pt_host_give_scratch(const pt_context* ctx, void* data, int64_t bytes);
void pt_host_begin_op(const pt_context* ctx);
void pt_host_end_op(const pt_context* ctx);

// In the order of pt_backend, between `path` and the ops.
#define PT_HOST_MEMORY                                                                                             \
  pt_host_open, pt_host_close, pt_host_allocate, pt_host_free, pt_host_trim, pt_host_check_guards, pt_host_memory, \
      pt_host_reset_peak, pt_host_borrow, pt_host_copy, pt_host_copy, pt_host_wait, pt_host_take_scratch,          \
      pt_host_give_scratch, pt_host_begin_op, pt_host_end_op

#ifdef __cplusplus
}
#endif
