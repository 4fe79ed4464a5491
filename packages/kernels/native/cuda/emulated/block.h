// One block at work: its threads, its clocks, and what went wrong. Shared by the scheduler (block.cpp) and the checks (checks.cpp).
#pragma once
#include "fiber.h"
#include "simt.h"

namespace simt {

constexpr int MOST_THREADS = 1024;
constexpr int64_t STACK_BYTES = 256 << 10;
constexpr int64_t MOST_DYNAMIC = 227 << 10;  // what a block may have on sm_90; sm_80 has 163 KB, sm_120 99

struct Running {
  const char* kernel = nullptr;
  bool active = false;  // a kernel's thread is at work: its accesses are checked
  int thread = 0, threads = 0;
  // Time as far as order goes: barriers that the block has passed (never falling, over all blocks), and operations that the warp has.
  uint32_t epoch = 0, block_began = 0;
  uint32_t steps[MOST_THREADS / 32] = {};
  char* stacks = nullptr;
  const Body* body = nullptr;
  int64_t dynamic_bytes = 0;
};
extern Running running;
extern char dynamic_memory[MOST_DYNAMIC];

// Ends the launch with this text after "kernel, block, thread:". Comes back only outside of a thread.
void fail(const char* format, ...);

// checks.cpp
void begin_block();
void advance_epoch();
void end_thread();  // of copies that nobody waited for
void watch_read(const void* address, int64_t bytes);

}  // namespace simt
