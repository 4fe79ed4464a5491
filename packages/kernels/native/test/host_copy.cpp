// A second backend, for tests: what a device other than the host does, done by the host. Its arithmetic is the cpu's, so its bits are too.
//
// Its memory cannot be reached from outside: each allocation is memory of its own, and the address that is handed out for it lies in a range of
// as many bytes that nobody may read or write. Ops, copies in and copies out translate addresses (a view's lies inside its tensor's range);
// whoever else looks there dies. Ops fail late: a failure is noted, the calls behind it run all the same, and the next wait or copy out tells.
#include <sys/mman.h>

#include <chrono>
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <map>
#include <mutex>
#include <string>

#include "../abi/kernels.h"

namespace {

const pt_backend* cpu = nullptr;

constexpr int64_t kAlign = 64, kMark = 0xA5;

// Memory with marks on both sides of what was asked for, and the range that stands for it.
struct Block {
  int64_t bytes;  // asked for
  int64_t size;   // of the range
  char* memory;   // kAlign marks, the bytes, marks to the end
  bool used;
};

struct State {
  explicit State(const pt_options& options) : options(options) {}
  ~State() {
    for (auto& entry : blocks) drop(entry.first, entry.second);
  }
  static void drop(char* range, Block& block) {
    munmap(range, static_cast<size_t>(block.size));
    munmap(block.memory, static_cast<size_t>(block.size + 2 * kAlign));
  }

  // The memory behind an address that was handed out, or an address within.
  char* behind(const void* address) {
    const std::lock_guard<std::mutex> lock(mutex);
    auto it = blocks.upper_bound(const_cast<char*>(static_cast<const char*>(address)));
    if (it == blocks.begin()) return nullptr;
    --it;
    const int64_t at = static_cast<const char*>(address) - it->first;
    return at <= it->second.size ? it->second.memory + kAlign + at : nullptr;
  }

  const pt_options options;
  std::mutex mutex;  // of the blocks: one thread hands them out, another works in them
  std::map<char*, Block> blocks;
  std::multimap<int64_t, char*> kept;  // freed, by size
  int64_t in_use = 0, peak = 0, reserved = 0;
  // The device's note of its first failure.
  int64_t failed_call = -1;
  std::string failure;
  std::chrono::steady_clock::time_point begun;
};
State& of(void* state) { return *static_cast<State*>(state); }
State& of(const pt_context* ctx) { return of(ctx->state); }

int64_t round_up(int64_t n, int64_t to) { return (n + to - 1) / to * to; }

bool intact(const Block& block) {
  const auto marked = [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; i++)
      if (static_cast<unsigned char>(block.memory[i]) != kMark) return false;
    return true;
  };
  return marked(0, kAlign) && marked(kAlign + block.bytes, block.size + 2 * kAlign);
}

void* open(const pt_options* options, char*, int64_t) { return new State(*options); }
void close(void* state) { delete static_cast<State*>(state); }

void* map(int64_t bytes, int protection) {
  void* data =
      mmap(nullptr, static_cast<size_t>(bytes), protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  return data == MAP_FAILED ? nullptr : data;
}

void* allocate(void* state, int64_t bytes) {
  State& s = of(state);
  const std::lock_guard<std::mutex> lock(s.mutex);
  const int64_t size = round_up(bytes < 1 ? 1 : bytes, 4096);
  if (s.in_use + size > s.options.memory_limit) return nullptr;
  char* range = nullptr;
  // What was freed may be used by what was enqueued before: handed out again it is, in the order of the stream, free.
  const auto again = s.kept.find(size);
  if (again != s.kept.end()) {
    range = again->second;
    s.kept.erase(again);
  } else {
    range = static_cast<char*>(map(size, PROT_NONE));
    char* memory = static_cast<char*>(map(size + 2 * kAlign, PROT_READ | PROT_WRITE));
    if (range == nullptr || memory == nullptr) return nullptr;
    s.blocks[range] = Block{0, size, memory, false};
    s.reserved += size;
  }
  Block& block = s.blocks[range];
  block.bytes = bytes;
  block.used = true;
  if (s.options.guards) {
    // Nobody is at work there: with guards nothing is handed out twice.
    memset(block.memory, kMark, kAlign);
    memset(block.memory + kAlign + bytes, kMark, static_cast<size_t>(size - bytes + kAlign));
  }
  s.in_use += size;
  if (s.in_use > s.peak) s.peak = s.in_use;
  return range;
}
void release(void* state, void* data) {
  State& s = of(state);
  const std::lock_guard<std::mutex> lock(s.mutex);
  Block& block = s.blocks.at(static_cast<char*>(data));
  block.used = false;
  s.in_use -= block.size;
  if (!s.options.guards) s.kept.emplace(block.size, static_cast<char*>(data));
}
void trim(void* state) {
  State& s = of(state);
  const std::lock_guard<std::mutex> lock(s.mutex);
  for (auto it = s.blocks.begin(); it != s.blocks.end();) {
    if (it->second.used) {
      ++it;
      continue;
    }
    s.reserved -= it->second.size;
    State::drop(it->first, it->second);
    it = s.blocks.erase(it);
  }
  s.kept.clear();
}
int32_t check_guards(void* state) {
  State& s = of(state);
  if (!s.options.guards) return 0;
  int32_t damaged = 0;
  for (const auto& entry : s.blocks) damaged += !intact(entry.second);
  trim(state);
  return damaged;
}
void memory(void* state, pt_memory* now) {
  State& s = of(state);
  const std::lock_guard<std::mutex> lock(s.mutex);
  *now = {s.options.memory_limit, s.in_use, s.peak, s.reserved, 0};
}
void reset_peak(void* state) { of(state).peak = of(state).in_use; }
const void* borrow(void*, const void*, int64_t) { return nullptr; }

// ---- on the executor ----

int wait(const pt_context* ctx) {
  State& s = of(ctx);
  if (s.failed_call < 0) return 0;
  ctx->fail_late(ctx, s.failed_call, "%s", s.failure.c_str());
  s.failed_call = -1;
  return 1;
}
int copy_in(const pt_context* ctx, void* to, const void* from, int64_t bytes) {
  memcpy(of(ctx).behind(to), from, static_cast<size_t>(bytes));
  return 0;
}
int copy_out(const pt_context* ctx, void* to, const void* from, int64_t bytes) {
  if (wait(ctx) != 0) return 1;
  memcpy(to, of(ctx).behind(from), static_cast<size_t>(bytes));
  return 0;
}
void* take_scratch(const pt_context*, int64_t bytes) { return map(bytes, PROT_READ | PROT_WRITE); }
void give_scratch(const pt_context*, void* data, int64_t bytes) { munmap(data, static_cast<size_t>(bytes)); }
void begin_op(const pt_context* ctx) { of(ctx).begun = std::chrono::steady_clock::now(); }
void end_op(const pt_context* ctx) {
  const std::chrono::nanoseconds took = std::chrono::steady_clock::now() - of(ctx).begun;
  ctx->took(ctx, ctx->op, took.count());
}

void note(const pt_context* ctx, const char* format, ...) {
  State& s = of(ctx);
  if (s.failed_call >= 0) return;
  char text[512];
  va_list list;
  va_start(list, format);
  vsnprintf(text, sizeof text, format, list);
  va_end(list);
  s.failed_call = ctx->call;
  s.failure = text;
}

pt_tensor translated(const pt_context* ctx, pt_tensor t) {
  if (t.data) t.data = of(ctx).behind(t.data);
  return t;
}
double translated(const pt_context*, double x) { return x; }
int64_t translated(const pt_context*, int64_t x) { return x; }

// An op: the cpu's of that name, on what the addresses stand for.
template <auto MEMBER>
struct Wrapped;
template <class... A, int (*pt_backend::*MEMBER)(const pt_context*, A...)>
struct Wrapped<MEMBER> {
  static int run(const pt_context* ctx, A... arguments) {
    pt_context inside = *ctx;
    inside.backend = cpu;
    inside.fail = note;
    (cpu->*MEMBER)(&inside, translated(ctx, arguments)...);
    return 0;
  }
};

pt_backend table = {
    PT_ABI_VERSION, 1,    "host-copy",  "",           open,       close,  allocate,
    release,        trim, check_guards, memory,       reset_peak, borrow, copy_in,
    copy_out,       wait, take_scratch, give_scratch, begin_op,   end_op,
#define OP(name, ...) Wrapped<&pt_backend::name>::run,
#include "../abi/ops.def"
#undef OP
};

}  // namespace

extern "C" __attribute__((visibility("default"))) const pt_backend* pt_backend_table(const pt_backend* host, char*,
                                                                                     int64_t) {
  cpu = host;
  table.path = host->path;
  return &table;
}
