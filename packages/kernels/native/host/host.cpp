// Why and how: host.h. Compiled once, for no path: it may use the standard library.
#include "host.h"

#include <chrono>
#include <cstring>

#include "arena.h"
#include "host_memory.h"

namespace {

using Clock = std::chrono::steady_clock;

struct State {
  explicit State(const pt_options& options)
      : arena(options.memory_limit, options.guards != 0, posttrain::HostMemory(options.dry != 0)),
        dry(options.dry != 0) {}
  posttrain::Arena<posttrain::HostMemory> arena;
  const bool dry;
  Clock::time_point begun;  // the executor's
};
State& of(void* state) { return *static_cast<State*>(state); }

}  // namespace

extern "C" {

void* pt_host_open(const pt_options* options, char*, int64_t) { return new State(*options); }
void pt_host_close(void* state) { delete static_cast<State*>(state); }
void* pt_host_allocate(void* state, int64_t bytes) { return of(state).arena.allocate(bytes); }
void pt_host_free(void* state, void* data) { of(state).arena.release(data); }
void pt_host_trim(void* state) { of(state).arena.trim(); }
int32_t pt_host_check_guards(void* state) { return of(state).arena.check_guards(); }
void pt_host_reset_peak(void* state) { of(state).arena.reset_peak(); }
void pt_host_memory(void* state, pt_memory* now) {
  const auto& arena = of(state).arena;
  *now = {arena.limit(), arena.in_use(), arena.peak(), arena.reserved(), arena.refused()};
}
const void* pt_host_borrow(void*, const void* host, int64_t) { return host; }

int pt_host_copy(const pt_context*, void* to, const void* from, int64_t bytes) {
  memcpy(to, from, static_cast<size_t>(bytes));
  return 0;
}
int pt_host_wait(const pt_context*) { return 0; }

void* pt_host_take_scratch(const pt_context* ctx, int64_t bytes) {
  return posttrain::take_pages(bytes, !of(ctx->state).dry);
}
void pt_host_give_scratch(const pt_context*, void* data, int64_t bytes) { posttrain::give_pages(data, bytes); }

void pt_host_begin_op(const pt_context* ctx) { of(ctx->state).begun = Clock::now(); }
void pt_host_end_op(const pt_context* ctx) {
  const std::chrono::nanoseconds took = Clock::now() - of(ctx->state).begun;
  ctx->took(ctx, ctx->op, took.count());
}

}  // extern "C"
