// What is looked at when a kernel's thread reads or writes. Compiled without -fsanitize=thread: here are the functions that it calls.
//
// Of each two bytes of shared memory is known who wrote and who read them last, and when: in which stretch between barriers, and after how many
// operations of its warp. Two accesses of which one writes are in order where one thread makes both, where a barrier lies between, or an
// operation of the warp that both are of. Else they race, however this run happened to go.
#include "block.h"

#include <dlfcn.h>

#include <cstdio>
#include <cstdlib>

extern "C" {
extern char __start_simt_shared[] __attribute__((weak, visibility("hidden")));
extern char __stop_simt_shared[] __attribute__((weak, visibility("hidden")));
}

namespace simt {
namespace {

constexpr int GRAIN = 2;
constexpr uint16_t IN_FLIGHT = 0x8000, EVERYBODY = 0xffff, WARP = 0x4000;

struct Stamp {
  uint32_t epoch;
  uint16_t thread;  // or WARP + a warp, EVERYBODY: of reads; with IN_FLIGHT: of writes that cp.async has still to bring
  uint16_t step;
};
struct Cell {
  Stamp wrote, read;
};
Cell* static_cells = nullptr;
Cell dynamic_cells[MOST_DYNAMIC / GRAIN];

struct Region {
  const char* name;
  uintptr_t begin, end;
  Access access;
};
constexpr int MOST_REGIONS = 64;
Region regions[MOST_REGIONS];
int region_count = 0;

uintptr_t address_of(const void* p) { return reinterpret_cast<uintptr_t>(p); }

const char* code_at(const void* pc, char* text, size_t size) {
  Dl_info info;
  if (pc != nullptr && dladdr(pc, &info) != 0 && info.dli_fbase != nullptr)
    snprintf(text, size, "code at +0x%lx", static_cast<unsigned long>(address_of(pc) - address_of(info.dli_fbase)));
  else
    snprintf(text, size, "code unknown");
  return text;
}

// Whether an earlier access, in this stretch, is in order with one of this thread now.
bool before(const Stamp& stamp, uint16_t step) {
  const int me = running.thread;
  const int other = stamp.thread & ~IN_FLIGHT;
  if (stamp.thread == EVERYBODY) return false;
  if ((other & WARP) != 0) return (other & ~WARP) == me / 32 && stamp.step < step;
  return other == me || (other / 32 == me / 32 && stamp.step < step);
}

const char* who(uint16_t thread, char* text, size_t size) {
  if (thread == EVERYBODY) return "threads of several warps";
  if ((thread & WARP) != 0 && (thread & IN_FLIGHT) == 0)
    snprintf(text, size, "threads of warp %d", thread & ~WARP);
  else
    snprintf(text, size, "thread %d", thread & ~IN_FLIGHT);
  return text;
}

struct Place {
  const char* memory;
  int64_t offset, bytes;  // of it in all
  Cell* cell;
};

void check_shared(const Place& at, int64_t bytes, bool writes, const void* pc) {
  char code[64], name[64];
  const auto step = static_cast<uint16_t>(running.steps[running.thread / 32]);
  const auto me = static_cast<uint16_t>(running.thread);
  if (at.offset + bytes > at.bytes) {
    fail("%s %lld bytes at byte %lld of %s, which has %lld (%s)", writes ? "writes" : "reads",
         static_cast<long long>(bytes), static_cast<long long>(at.offset), at.memory, static_cast<long long>(at.bytes),
         code_at(pc, code, sizeof code));
    return;
  }
  const int64_t cells = (at.offset % GRAIN + bytes + GRAIN - 1) / GRAIN;
  for (int64_t i = 0; i < cells; i++) {
    Cell& cell = at.cell[i];
    const auto refuse = [&](const char* what, uint16_t other) {
      fail("%s at byte %lld of %s %s %s (%s)", writes ? "a write" : "a read",
           static_cast<long long>(at.offset + i * GRAIN), at.memory, what, who(other, name, sizeof name),
           code_at(pc, code, sizeof code));
    };
    const bool written = cell.wrote.epoch >= running.block_began;
    if (written) {
      if ((cell.wrote.thread & IN_FLIGHT) != 0)
        return refuse("meets bytes that cp.async still brings, asked for by", cell.wrote.thread);
      if (cell.wrote.epoch == running.epoch && cell.wrote.thread != me && !before(cell.wrote, step))
        return refuse("races with a write of", cell.wrote.thread);
    } else if (!writes) {
      fail("reads byte %lld of %s, which nobody has written (%s)", static_cast<long long>(at.offset + i * GRAIN),
           at.memory, code_at(pc, code, sizeof code));
      return;
    }
    if (writes) {
      if (cell.read.epoch == running.epoch && cell.read.thread != me && !before(cell.read, step))
        return refuse("races with a read of", cell.read.thread);
      cell.wrote = {running.epoch, me, step};
      continue;
    }
    Stamp& read = cell.read;
    if (read.epoch != running.epoch || read.thread == me || before(read, step))
      read = {running.epoch, me, step};
    else if (read.thread != EVERYBODY) {
      const int warp = (read.thread & WARP) != 0 ? read.thread & ~WARP : read.thread / 32;
      read.thread = warp == me / 32 ? static_cast<uint16_t>(WARP | warp) : EVERYBODY;
      read.step = step;
    }
  }
}

bool shared_place(uintptr_t address, Place* place) {
  const uintptr_t dynamic = address - address_of(dynamic_memory);
  if (dynamic < MOST_DYNAMIC) {
    const auto offset = static_cast<int64_t>(dynamic);
    *place = {"dynamic shared memory", offset, running.dynamic_bytes, dynamic_cells + offset / GRAIN};
    return true;
  }
  const uintptr_t size = address_of(__stop_simt_shared) - address_of(__start_simt_shared);
  const uintptr_t fixed = address - address_of(__start_simt_shared);
  if (fixed >= size) return false;
  const auto offset = static_cast<int64_t>(fixed);
  *place = {"static shared memory", offset, static_cast<int64_t>(size), static_cells + offset / GRAIN};
  return true;
}

void check_global(uintptr_t address, int64_t bytes, bool writes, const void* pc) {
  const uintptr_t end = address + static_cast<uintptr_t>(bytes);
  for (int i = 0; i < region_count; i++) {
    Region& r = regions[i];
    if (address < r.begin || end > r.end || r.access == (writes ? Access::read : Access::write)) continue;
    if (i > 0) std::swap(regions[i], regions[i / 2]);  // what is used often is found early
    return;
  }
  // Which one it misses: the nearest below, or the one that forbids it.
  char code[64];
  code_at(pc, code, sizeof code);
  const Region* nearest = nullptr;
  for (int i = 0; i < region_count; i++)
    if (regions[i].begin <= address && (nearest == nullptr || regions[i].begin > nearest->begin)) nearest = &regions[i];
  const auto address_number = static_cast<unsigned long long>(address);
  if (nearest == nullptr)
    fail("%s %lld bytes at 0x%llx, which is no memory of this op (%s)", writes ? "writes" : "reads",
         static_cast<long long>(bytes), address_number, code);
  else if (end <= nearest->end)
    fail("%s %lld bytes at 0x%llx, byte %lld of %s, which it may only %s (%s)", writes ? "writes" : "reads",
         static_cast<long long>(bytes), address_number, static_cast<long long>(address - nearest->begin), nearest->name,
         writes ? "read" : "write", code);
  else
    fail("%s %lld bytes at 0x%llx, byte %lld of %s, which has %lld (%s)", writes ? "writes" : "reads",
         static_cast<long long>(bytes), address_number, static_cast<long long>(address - nearest->begin), nearest->name,
         static_cast<long long>(nearest->end - nearest->begin), code);
}

inline __attribute__((always_inline)) void check(const void* p, int64_t bytes, bool writes, const void* pc) {
  if (!running.active) return;
  const uintptr_t address = address_of(p);
  if (address - address_of(running.stacks) < static_cast<uintptr_t>(MOST_THREADS * STACK_BYTES)) return;
  Place place;
  if (shared_place(address, &place)) return check_shared(place, bytes, writes, pc);
  if (!writes && address - address_of(&here) < sizeof here) return;
  if (!writes && address - address_of(running.body->arguments) < static_cast<uintptr_t>(running.body->bytes)) return;
  check_global(address, bytes, writes, pc);
}

// ---- cp.async ----

struct Copy {
  char* to;
  int32_t bytes;
  int32_t group;  // counted from the thread's first
  char data[16];
};
constexpr int MOST_COPIES = 256;
struct Copies {
  Copy list[MOST_COPIES];
  int count = 0, groups = 0;
};
Copies* copies = nullptr;  // of each thread

}  // namespace

void begin_block() {
  if (static_cells == nullptr) {
    static_cells = static_cast<Cell*>(
        calloc(static_cast<size_t>(__stop_simt_shared - __start_simt_shared) / GRAIN + 8, sizeof(Cell)));
    copies = new Copies[MOST_THREADS];
  }
  advance_epoch();
  running.block_began = running.epoch;
  for (int t = 0; t < running.threads; t++) copies[t].count = copies[t].groups = 0;
}

void advance_epoch() {
  if (++running.epoch != 0) return;
  // After four billion barriers: everything is as if nobody had written it, the block at work included, so this comes between blocks only by
  // luck; a block that it hits reports a read of what nobody wrote, and never passes in silence.
  memset(dynamic_cells, 0, sizeof dynamic_cells);
  memset(static_cells, 0, static_cast<size_t>(__stop_simt_shared - __start_simt_shared) / GRAIN * sizeof(Cell));
  running.epoch = 1;
}

void end_thread() {
  if (copies[running.thread].count > 0)
    fail("returned while cp.async was bringing %d pieces: nobody waited for them", copies[running.thread].count);
}

void copy_async(void* shared, const void* global, int bytes) {
  aligned(shared, bytes);
  aligned(global, bytes);
  const void* pc = __builtin_return_address(0);
  Place place;
  if (!shared_place(address_of(shared), &place))
    return fail("cp.async to 0x%llx, which is not shared memory", static_cast<unsigned long long>(address_of(shared)));
  check(global, bytes, false, pc);
  check_shared(place, bytes, true, pc);
  for (int i = 0; i < bytes / GRAIN; i++) place.cell[i].wrote.thread |= IN_FLIGHT;
  Copies& mine = copies[running.thread];
  if (mine.count == MOST_COPIES) return fail("has more than %d pieces of cp.async on their way", MOST_COPIES);
  Copy& copy = mine.list[mine.count++];
  copy.to = static_cast<char*>(shared);
  copy.bytes = bytes;
  copy.group = mine.groups;
  memcpy(copy.data, global, static_cast<size_t>(bytes));
}
void commit_async() { copies[running.thread].groups++; }
void wait_async(int pending) {
  Copies& mine = copies[running.thread];
  int kept = 0;
  for (int i = 0; i < mine.count; i++) {
    const Copy& copy = mine.list[i];
    if (copy.group >= mine.groups - pending) {
      mine.list[kept++] = copy;
      continue;
    }
    memcpy(copy.to, copy.data, static_cast<size_t>(copy.bytes));
    Place place;
    shared_place(address_of(copy.to), &place);
    for (int b = 0; b < copy.bytes / GRAIN; b++)
      place.cell[b].wrote = {running.epoch, static_cast<uint16_t>(running.thread),
                             static_cast<uint16_t>(running.steps[running.thread / 32])};
  }
  mine.count = kept;
}

void watch_read(const void* address, int64_t bytes) { check(address, bytes, false, __builtin_return_address(0)); }

void aligned(const void* address, int bytes) {
  if (running.active && address_of(address) % static_cast<uintptr_t>(bytes) != 0)
    fail("address 0x%llx is read or written as %d bytes at once, to which it is not aligned",
         static_cast<unsigned long long>(address_of(address)), bytes);
}

void region(const char* name, const void* data, int64_t bytes, Access access) {
  if (data == nullptr || region_count == MOST_REGIONS) return;
  regions[region_count++] = {name, address_of(data), address_of(data) + static_cast<uintptr_t>(bytes), access};
}
void forget_regions() { region_count = 0; }

}  // namespace simt

// ---- what -fsanitize=thread calls ----

#define SIMT_HOOK extern "C" __attribute__((visibility("hidden"))) void
#define SIMT_SIZE(n)                                                                                     \
  SIMT_HOOK __tsan_read##n(void* p) { simt::check(p, n, false, __builtin_return_address(0)); }           \
  SIMT_HOOK __tsan_write##n(void* p) { simt::check(p, n, true, __builtin_return_address(0)); }           \
  SIMT_HOOK __tsan_unaligned_read##n(void* p) { simt::check(p, n, false, __builtin_return_address(0)); } \
  SIMT_HOOK __tsan_unaligned_write##n(void* p) { simt::check(p, n, true, __builtin_return_address(0)); } \
  SIMT_HOOK __tsan_volatile_read##n(void* p) { simt::check(p, n, false, __builtin_return_address(0)); }  \
  SIMT_HOOK __tsan_volatile_write##n(void* p) { simt::check(p, n, true, __builtin_return_address(0)); }
SIMT_SIZE(1)
SIMT_SIZE(2)
SIMT_SIZE(4)
SIMT_SIZE(8)
SIMT_SIZE(16)
SIMT_HOOK __tsan_read_range(void* p, unsigned long n) {
  simt::check(p, static_cast<int64_t>(n), false, __builtin_return_address(0));
}
SIMT_HOOK __tsan_write_range(void* p, unsigned long n) {
  simt::check(p, static_cast<int64_t>(n), true, __builtin_return_address(0));
}
SIMT_HOOK __tsan_init() {}
SIMT_HOOK __tsan_func_entry(void*) {}
SIMT_HOOK __tsan_func_exit() {}
SIMT_HOOK __tsan_vptr_update(void*, void*) {}
SIMT_HOOK __tsan_vptr_read(void*) {}
