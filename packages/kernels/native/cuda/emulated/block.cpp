// The scheduler: blocks one after the other, in each the threads as fibers, a warp's lanes up to their next common operation, then all warps up to
// the next barrier.
#include "block.h"

#include <sys/mman.h>

#include <cstdarg>
#include <cstdio>
#include <mutex>

namespace simt {

Coordinates here;
Running running;
alignas(128) char dynamic_memory[MOST_DYNAMIC];

namespace {

std::mutex turn;             // one launch at a time: shared memory is one piece of memory
thread_local int order = 0;  // of who launches
bool failed = false;
char failure[1024];

enum class At { ready, barrier, warp, done };
struct Thread {
  Fiber fiber;
  At at;
  const char* file;
  int line;
  WarpOperation operation;
  void* brought;
};
Thread threads[MOST_THREADS];

void set_here(int t) {
  running.thread = t;
  const dim3& size = here.block_size;
  const auto n = static_cast<unsigned>(t);
  here.thread = dim3(n % size.x, n / size.x % size.y, n / size.x / size.y);
}

void say(char* to, size_t size, const char* format, va_list list) {
  int n = snprintf(to, size, "%s, block (%u, %u, %u), thread (%u, %u, %u): ", running.kernel, here.block.x,
                   here.block.y, here.block.z, here.thread.x, here.thread.y, here.thread.z);
  if (n >= 0 && static_cast<size_t>(n) < size) vsnprintf(to + n, size - static_cast<size_t>(n), format, list);
}

void wait_at(At at, const char* file, int line) {
  Thread& me = threads[running.thread];
  me.at = at;
  me.file = file;
  me.line = line;
  running.active = false;
  me.fiber.leave();
}

void entry() {
  running.body->run(running.body->arguments);
  running.active = false;
  end_thread();
  if (!failed) wait_at(At::done, nullptr, 0);
  threads[running.thread].fiber.leave();
}

const char* file_name(const char* path) {
  const char* slash = strrchr(path, '/');
  return slash ? slash + 1 : path;
}

const char* place(const Thread& thread, char* text, size_t size) {
  if (thread.at == At::done) return "has returned";
  snprintf(text, size, "waits in %s at %s:%d", thread.at == At::barrier ? "__syncthreads" : thread.operation.name,
           file_name(thread.file), thread.line);
  return text;
}

// Two threads that should have met and did not.
void diverged(const char* what, int a, int b) {
  char one[256], other[256];
  set_here(a);
  fail("%s: this thread %s, thread %d %s", what, place(threads[a], one, sizeof one), b,
       place(threads[b], other, sizeof other));
}

void go(int t) {
  set_here(t);
  running.active = true;
  threads[t].fiber.enter();
}

// A warp up to where no lane goes on. False where it failed.
bool run_warp(int warp) {
  const int first = warp * 32;
  for (;;) {
    for (int i = 0; i < 32; i++) {
      const int t = first + (order == 0 ? i : 31 - i);
      if (threads[t].at != At::ready) continue;
      go(t);
      if (failed) return false;
    }
    int waiting = 0;
    for (int t = first; t < first + 32; t++) waiting += threads[t].at == At::warp;
    if (waiting == 0) return true;
    void* lanes[32];
    for (int t = first; t < first + 32; t++) {
      const Thread &lane = threads[t], &other = threads[first + (t == first ? 1 : 0)];
      if (lane.at != At::warp || lane.operation.run != other.operation.run || lane.line != other.line) {
        diverged("lanes of a warp meet in different places", t, t == first ? first + 1 : first);
        return false;
      }
      lanes[t - first] = lane.brought;
    }
    set_here(first);
    threads[first].operation.run(lanes);
    if (failed) return false;
    running.steps[warp]++;
    for (int t = first; t < first + 32; t++) threads[t].at = At::ready;
  }
}

bool run_block() {
  const int count = running.threads, warps = count / 32;
  begin_block();
  for (int t = 0; t < count; t++) {
    threads[t].at = At::ready;
    threads[t].fiber.prepare(running.stacks + t * STACK_BYTES, STACK_BYTES, entry);
  }
  for (int w = 0; w < warps; w++) running.steps[w] = 0;
  for (;;) {
    for (int w = 0; w < warps; w++)
      if (!run_warp(order == 0 ? w : warps - 1 - w)) return false;
    int at_barrier = -1, elsewhere = -1;
    for (int t = 0; t < count; t++) {
      if (threads[t].at == At::barrier && at_barrier < 0) at_barrier = t;
    }
    if (at_barrier < 0) return true;
    for (int t = 0; t < count && elsewhere < 0; t++)
      if (threads[t].at != At::barrier || threads[t].line != threads[at_barrier].line ||
          threads[t].file != threads[at_barrier].file)
        elsewhere = t;
    if (elsewhere >= 0) {
      diverged("not all threads of the block come to this barrier", at_barrier, elsewhere);
      return false;
    }
    advance_epoch();
    for (int t = 0; t < count; t++) threads[t].at = At::ready;
  }
}

}  // namespace

void fail(const char* format, ...) {
  if (!failed) {
    va_list list;
    va_start(list, format);
    say(failure, sizeof failure, format, list);
    va_end(list);
    failed = true;
  }
  // The thread is left where it stands: its stack is used again by another one.
  if (running.active) {
    running.active = false;
    threads[running.thread].fiber.leave();
  }
}

void barrier(const char* file, int line) { wait_at(At::barrier, file, line); }

void together(const WarpOperation& operation, void* mine, unsigned mask, const char* file, int line) {
  if (mask != 0xffffffffu)
    fail("%s at %s:%d with mask %#x: only whole warps", operation.name, file_name(file), line, mask);
  Thread& me = threads[running.thread];
  me.operation = operation;
  me.brought = mine;
  wait_at(At::warp, file, line);
}

const char* kernel_name(const char* pretty) {
  static thread_local char name[256];
  const char* from = strstr(pretty, "KERNEL)(");
  from = from ? strstr(from, "= ") : nullptr;
  from = from ? from + 2 : pretty;
  for (const char* skip : {"pt_cuda::", "{anonymous}::"})
    if (strncmp(from, skip, strlen(skip)) == 0) from += strlen(skip);
  const size_t length = strcspn(from, "];");
  snprintf(name, sizeof name, "%.*s", static_cast<int>(length), from);
  return name;
}

void* dynamic_shared() { return dynamic_memory; }

void set_order(int next) { order = next; }

const char* run(const char* kernel, dim3 grid, dim3 block, int64_t dynamic_bytes, const Body& body) {
  const std::lock_guard<std::mutex> lock(turn);
  if (running.stacks == nullptr) {
    void* memory = mmap(nullptr, MOST_THREADS * STACK_BYTES, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) return "the system gives no memory for the stacks of the emulated threads";
    running.stacks = static_cast<char*>(memory);
  }
  running.kernel = kernel;
  running.body = &body;
  running.dynamic_bytes = dynamic_bytes;
  here = {dim3(0, 0, 0), dim3(0, 0, 0), block, grid};
  failed = false;
  const int64_t count = static_cast<int64_t>(block.x) * block.y * block.z;
  running.threads = static_cast<int>(count);
  if (count < 1 || count > MOST_THREADS || count % 32 != 0 || grid.x < 1 || grid.y < 1 || grid.z < 1 ||
      grid.y > 65535 || grid.z > 65535 || dynamic_bytes > MOST_DYNAMIC) {
    fail("cannot be launched: grid (%u, %u, %u), block (%u, %u, %u), %lld bytes of dynamic shared memory", grid.x,
         grid.y, grid.z, block.x, block.y, block.z, static_cast<long long>(dynamic_bytes));
    return failure;
  }
  const int64_t blocks = static_cast<int64_t>(grid.x) * grid.y * grid.z;
  for (int64_t i = 0; i < blocks; i++) {
    const int64_t b = order == 0 ? i : blocks - 1 - i;
    here.block = dim3(static_cast<unsigned>(b % grid.x), static_cast<unsigned>(b / grid.x % grid.y),
                      static_cast<unsigned>(b / grid.x / grid.y));
    if (!run_block()) break;
  }
  running.active = false;
  return failed ? failure : nullptr;
}

}  // namespace simt
