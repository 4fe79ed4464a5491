// A driver for tests: the functions of driver.h by the host. What is enqueued is done late, when somebody waits for it and no sooner, on memory that
// holds nothing before it is written; kernels are the emulated ones (emulated_code.h), and images of nvcc's are taken and not run.
//
// It looks at how it is used: the context of the calling thread, memory that a pending copy needs and that is changed, freed or not page-locked, addresses
// that nothing is behind, what is still there when the context goes. What is wrong is a line in the file POSTTRAIN_FAKE_CUDA_LOG.
//
// POSTTRAIN_FAKE_CUDA, read by cuInit, says what machine it plays, words with blanks between them:
//     devices=1  capability=90  driver=13000  memory=1024 (MiB)  init=0
//     fail=FUNCTION:N:ERROR   the N-th call of the function from now on returns the error, and every later one of an error that stays
//     late=N:ERROR            the N-th launch from now on fails when its turn comes
//     from=FUNCTION:N:ERROR   as fail, and all later calls of it too
//     once=FILE               calls and launches are counted from when this file is there, and none of them fails before
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdarg>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "../cuda/driver.h"
#include "emulated_code.h"

// Handles are ours.
namespace pt_cuda {

struct ContextHandle {};
struct FunctionHandle {
  const EmulatedImage* image;  // null: nvcc's, which nobody runs
  const simt::Kernel* kernel;
  int64_t dynamic_bytes;  // that it was allowed
};
struct ModuleHandle {
  const EmulatedImage* image;
  std::map<std::string, std::unique_ptr<FunctionHandle>> functions;
};
struct EventHandle {
  bool timed, recorded;
  int pending;  // records that were not done yet
  int64_t when;
};
struct Work {
  const char* what;
  void (*run)(Work& work);
  void* host;
  char* device;
  size_t bytes;
  uint64_t sum;  // of what is copied in, when it was enqueued
  int byte;
  Event event;
  Function function;
  dim3 grid, block;
  std::vector<std::max_align_t> arguments;
  Result fails;
};
struct StreamHandle {
  std::deque<Work> work;
};

namespace {

constexpr size_t GRANULE = 2 << 20;
constexpr int MANY = 1 << 30;

struct Injected {
  std::string function;
  int at;
  Result error;
  bool stays;
};
struct Range {
  size_t bytes;
  bool accessible;
};

struct Machine {
  std::mutex mutex;
  int devices = 1, capability = 90, version = 13000;
  size_t memory = size_t(1) << 30;
  Result init = 0;
  std::vector<Injected> injected;
  std::map<std::string, int> calls;
  int launches = 0;
  std::vector<std::pair<int, Result>> late;
  std::string once;  // empty: whatever it was is there

  ContextHandle context;
  int retained = 0;
  Result lost = 0;  // every call fails so until the context is gone
  std::set<Stream> streams;
  std::set<Event> events;
  std::set<Module> modules;
  std::map<char*, size_t> page_locked;
  std::map<char*, std::pair<char*, size_t>> reserved;  // by the address given: what was mapped
  std::map<char*, Range> mapped;
  std::map<char*, size_t> pool;
  std::map<MemoryHandle, size_t> handles;
  MemoryHandle next_handle = 1;
  size_t used = 0;
  int64_t clock = 0;
};
Machine& machine() {
  static auto* one = new Machine;  // threads of others may outlive what is static
  return *one;
}
thread_local Context current = nullptr;

void wrong(const char* format, ...) __attribute__((format(printf, 1, 2)));
void wrong(const char* format, ...) {
  const char* path = getenv("POSTTRAIN_FAKE_CUDA_LOG");
  FILE* file = path != nullptr ? fopen(path, "a") : stderr;
  if (file == nullptr) return;
  va_list list;
  va_start(list, format);
  vfprintf(file, format, list);
  va_end(list);
  fputc('\n', file);
  if (file != stderr) fclose(file);
}

bool stays(Result error) { return error >= ILLEGAL_ADDRESS || error == ECC_UNCORRECTABLE; }

void read_settings(Machine& m) {
  m.devices = 1;
  m.capability = 90;
  m.version = 13000;
  m.memory = size_t(1) << 30;
  m.init = 0;
  m.injected.clear();
  m.calls.clear();
  m.late.clear();
  m.launches = 0;
  m.once.clear();
  const char* text = getenv("POSTTRAIN_FAKE_CUDA");
  std::istringstream words(text != nullptr ? text : "");
  for (std::string word; words >> word;) {
    const size_t equals = word.find('=');
    const std::string name = word.substr(0, equals), value = word.substr(equals + 1);
    const int number = atoi(value.c_str());
    const size_t first = value.find(':'), second = value.find(':', first + 1);
    if (name == "devices")
      m.devices = number;
    else if (name == "capability")
      m.capability = number;
    else if (name == "driver")
      m.version = number;
    else if (name == "memory")
      m.memory = static_cast<size_t>(number) << 20;
    else if (name == "init")
      m.init = number;
    else if (name == "once")
      m.once = value;
    else if (name == "late")
      m.late.emplace_back(number, atoi(value.c_str() + first + 1));
    else if (name == "fail" || name == "from")
      m.injected.push_back(
          {value.substr(0, first), atoi(value.c_str() + first + 1), atoi(value.c_str() + second + 1), name == "from"});
    else
      wrong("POSTTRAIN_FAKE_CUDA says %s", word.c_str());
  }
}

// What a call has to return before it does anything.
Result enter(Machine& m, const char* name, bool needs_context) {
  if (needs_context && (current != &m.context || m.retained == 0)) {
    wrong("%s: the calling thread has no context", name);
    return 201;
  }
  if (needs_context && m.lost != 0) return m.lost;
  if (!m.once.empty()) {
    if (access(m.once.c_str(), F_OK) != 0) return 0;
    m.once.clear();
  }
  const int call = ++m.calls[name];
  for (const Injected& injected : m.injected) {
    if (injected.function != name || call < injected.at || (call > injected.at && !injected.stays)) continue;
    if (stays(injected.error)) m.lost = injected.error;
    return injected.error;
  }
  return 0;
}
#define ENTER(name, needs_context)                 \
  Machine& m = machine();                          \
  const std::lock_guard<std::mutex> lock(m.mutex); \
  if (const Result error = enter(m, #name, needs_context)) return error

char* pointer(Address address) { return reinterpret_cast<char*>(address); }

template <class Map>
typename Map::iterator holding(Map& map, const char* data) {
  auto it = map.upper_bound(const_cast<char*>(data));
  return it == map.begin() ? map.end() : --it;
}
bool is_page_locked(Machine& m, const void* data, size_t bytes) {
  const auto* at = static_cast<const char*>(data);
  const auto it = holding(m.page_locked, at);
  return it != m.page_locked.end() && at + bytes <= it->first + it->second;
}
bool is_device(Machine& m, const char* data, size_t bytes) {
  const auto pool = holding(m.pool, data);
  if (pool != m.pool.end() && data + bytes <= pool->first + pool->second) return true;
  const char* end = data + bytes;
  for (const char* at = data; at < end;) {
    const auto it = holding(m.mapped, at);
    if (it == m.mapped.end() || !it->second.accessible || at >= it->first + it->second.bytes) return false;
    at = it->first + it->second.bytes;
  }
  return true;
}

uint64_t sum_of(const void* data, size_t bytes) {
  uint64_t sum = 14695981039346656037u;
  const auto* at = static_cast<const unsigned char*>(data);
  for (; bytes >= 8; bytes -= 8, at += 8) {
    uint64_t word;
    memcpy(&word, at, 8);
    sum = (sum ^ word) * 1099511628211u;
  }
  for (; bytes > 0; bytes--, at++) sum = (sum ^ *at) * 1099511628211u;
  return sum;
}

void do_next(Machine& m, Stream stream) {
  Work work = std::move(stream->work.front());
  stream->work.pop_front();
  m.clock += 1000;
  if (work.fails != 0) {
    m.lost = work.fails;
    return;
  }
  work.run(work);
}
// Up to where done() holds, or all. What was behind a failure is not done.
template <class Done>
Result run(Machine& m, Stream stream, const Done& done) {
  while (!stream->work.empty() && !done() && m.lost == 0) do_next(m, stream);
  if (m.lost != 0) stream->work.clear();
  return m.lost;
}
bool idle(Machine& m) {
  return std::all_of(m.streams.begin(), m.streams.end(), [](Stream stream) { return stream->work.empty(); });
}

Result enqueue(Machine& m, const char* name, Stream stream, Work work) {
  if (m.streams.count(stream) == 0) {
    wrong("%s: no such stream", name);
    return INVALID_VALUE;
  }
  work.what = name;
  stream->work.push_back(std::move(work));
  return 0;
}
// A copy between page-locked memory and the device.
Result enqueue_copy(Machine& m, const char* name, Stream stream, void* host, Address device, size_t bytes, bool in) {
  if (!is_page_locked(m, host, bytes)) wrong("%s: the host's memory is not page-locked", name);
  if (!is_device(m, pointer(device), bytes)) {
    wrong("%s: nothing is behind the device's %zu bytes", name, bytes);
    return INVALID_VALUE;
  }
  Work work{};
  work.host = host;
  work.device = pointer(device);
  work.bytes = bytes;
  if (in) {
    work.sum = sum_of(host, bytes);
    work.run = [](Work& w) {
      if (!is_page_locked(machine(), w.host, w.bytes))
        wrong("%s: the host's memory was freed before it was copied", w.what);
      else if (sum_of(w.host, w.bytes) != w.sum)
        wrong("%s: the host's memory was changed before it was copied", w.what);
      memcpy(w.device, w.host, w.bytes);
    };
  } else {
    memset(host, 0xaa, bytes);  // whoever reads it before it is there reads this
    work.run = [](Work& w) {
      if (!is_page_locked(machine(), w.host, w.bytes))
        wrong("%s: the host's memory was freed before it was written", w.what);
      else
        memcpy(w.host, w.device, w.bytes);
    };
  }
  return enqueue(m, name, stream, std::move(work));
}

void run_kernel(Work& w) {
  Machine& m = machine();
  const EmulatedImage* image = w.function->image;
  if (image == nullptr) return;
  image->forget();
  char *begin = nullptr, *end = nullptr;
  for (const auto& [at, range] : m.mapped) {
    if (at != end) {
      if (begin != end) image->may_touch("the arena", begin, end - begin);
      begin = at;
    }
    end = at + range.bytes;
  }
  if (begin != end) image->may_touch("the arena", begin, end - begin);
  for (const auto& [at, bytes] : m.pool) image->may_touch("working memory", at, static_cast<int64_t>(bytes));
  const char* said =
      image->run(*w.function->kernel, w.grid, w.block, static_cast<int64_t>(w.bytes), w.arguments.data());
  image->forget();
  if (said == nullptr) return;
  wrong("%s", said);
  m.lost = ILLEGAL_ADDRESS;
}

void* take_pages(size_t bytes) {
  void* data = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  return data == MAP_FAILED ? nullptr : data;
}

// What should be gone with the context.
void look_for_leaks(Machine& m) {
  const auto left = [](const char* what, size_t count) {
    if (count > 0) wrong("left behind: %zu %s", count, what);
  };
  left("streams", m.streams.size());
  left("events", m.events.size());
  left("modules", m.modules.size());
  left("pieces of page-locked memory", m.page_locked.size());
  left("ranges of addresses", m.reserved.size());
  left("granules", m.mapped.size());
  left("pieces of working memory", m.pool.size());
  left("handles of memory", m.handles.size());
  if (m.used > 0) left("bytes of the device", m.used);
}

}  // namespace
}  // namespace pt_cuda

using namespace pt_cuda;
#define EXPORTED extern "C" __attribute__((visibility("default"))) Result

EXPORTED cuInit(unsigned) {
  Machine& m = machine();
  const std::lock_guard<std::mutex> lock(m.mutex);
  read_settings(m);
  return m.init;
}
EXPORTED cuDriverGetVersion(int* version) {
  *version = machine().version;
  return 0;
}
EXPORTED cuGetErrorName(Result error, const char** text) {
  static const std::map<Result, const char*> names = {{INVALID_VALUE, "CUDA_ERROR_INVALID_VALUE"},
                                                      {OUT_OF_MEMORY, "CUDA_ERROR_OUT_OF_MEMORY"},
                                                      {NO_DEVICE, "CUDA_ERROR_NO_DEVICE"},
                                                      {NO_BINARY_FOR_GPU, "CUDA_ERROR_NO_BINARY_FOR_GPU"},
                                                      {ECC_UNCORRECTABLE, "CUDA_ERROR_ECC_UNCORRECTABLE"},
                                                      {ILLEGAL_ADDRESS, "CUDA_ERROR_ILLEGAL_ADDRESS"},
                                                      {LAUNCH_FAILED, "CUDA_ERROR_LAUNCH_FAILED"},
                                                      {SYSTEM_DRIVER_MISMATCH, "CUDA_ERROR_SYSTEM_DRIVER_MISMATCH"},
                                                      {UNKNOWN, "CUDA_ERROR_UNKNOWN"}};
  const auto found = names.find(error);
  *text = found == names.end() ? nullptr : found->second;
  return found == names.end() ? INVALID_VALUE : 0;
}
EXPORTED cuGetErrorString(Result error, const char** text) {
  *text = error == OUT_OF_MEMORY ? "out of memory" : "as the driver for tests was told";
  return 0;
}
EXPORTED cuDeviceGetCount(int* count) {
  ENTER(cuDeviceGetCount, false);
  *count = m.devices;
  return 0;
}
EXPORTED cuDeviceGet(int* device, int ordinal) {
  ENTER(cuDeviceGet, false);
  *device = ordinal;
  return ordinal < m.devices ? 0 : INVALID_DEVICE;
}
EXPORTED cuDeviceGetName(char* name, int length, int device) {
  ENTER(cuDeviceGetName, false);
  snprintf(name, static_cast<size_t>(length), "Fake GPU %d", device);
  return 0;
}
EXPORTED cuDeviceGetAttribute(int* value, Attribute attribute, int) {
  ENTER(cuDeviceGetAttribute, false);
  *value = attribute == CAPABILITY_MAJOR   ? m.capability / 10
           : attribute == CAPABILITY_MINOR ? m.capability % 10
                                           : attribute == VIRTUAL_MEMORY_MANAGEMENT;
  return 0;
}
EXPORTED cuDeviceTotalMem_v2(size_t* bytes, int) {
  ENTER(cuDeviceTotalMem_v2, false);
  *bytes = m.memory;
  return 0;
}
EXPORTED cuDevicePrimaryCtxRetain(Context* context, int) {
  ENTER(cuDevicePrimaryCtxRetain, false);
  if (m.retained++ == 0) m.lost = 0;
  *context = &m.context;
  return 0;
}
EXPORTED cuDevicePrimaryCtxRelease_v2(int) {
  ENTER(cuDevicePrimaryCtxRelease_v2, false);
  if (--m.retained > 0) return 0;
  if (m.lost != 0) {  // nothing of the device could be given back; it goes with the context
    m.mapped.clear();
    m.reserved.clear();
    m.handles.clear();
    m.pool.clear();
    m.used = 0;
  }
  look_for_leaks(m);
  return 0;
}
EXPORTED cuCtxSetCurrent(Context context) {
  current = context;
  return 0;
}
EXPORTED cuMemGetInfo_v2(size_t* free, size_t* total) {
  ENTER(cuMemGetInfo_v2, true);
  *free = m.memory - m.used;
  *total = m.memory;
  return 0;
}

EXPORTED cuMemAddressReserve(Address* address, size_t bytes, size_t alignment, Address, unsigned long long) {
  ENTER(cuMemAddressReserve, true);
  if (bytes % GRANULE != 0) return INVALID_VALUE;
  const size_t size = bytes + alignment;
  void* data = mmap(nullptr, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (data == MAP_FAILED) return OUT_OF_MEMORY;
  const auto at = reinterpret_cast<uintptr_t>(data);
  char* given = static_cast<char*>(data) + (alignment - at % alignment) % alignment;
  m.reserved[given] = {static_cast<char*>(data), size};
  *address = reinterpret_cast<Address>(given);
  return 0;
}
EXPORTED cuMemAddressFree(Address address, size_t) {
  ENTER(cuMemAddressFree, true);
  const auto it = m.reserved.find(pointer(address));
  if (it == m.reserved.end()) return INVALID_VALUE;
  for (const auto& [at, range] : m.mapped)
    if (at >= it->first && at < it->second.first + it->second.second)
      wrong("cuMemAddressFree: memory is mapped there still");
  munmap(it->second.first, it->second.second);
  m.reserved.erase(it);
  return 0;
}
EXPORTED cuMemCreate(MemoryHandle* handle, size_t bytes, const AllocationProperties* properties, unsigned long long) {
  ENTER(cuMemCreate, true);
  if (bytes % GRANULE != 0 || properties->type != 1 || properties->location.type != 1) return INVALID_VALUE;
  if (m.used + bytes > m.memory) return OUT_OF_MEMORY;
  m.used += bytes;
  *handle = m.next_handle++;
  m.handles[*handle] = bytes;
  return 0;
}
EXPORTED cuMemRelease(MemoryHandle handle) {
  ENTER(cuMemRelease, true);
  return m.handles.erase(handle) == 1 ? 0 : INVALID_VALUE;  // the mapping keeps what it is of
}
EXPORTED cuMemMap(Address address, size_t bytes, size_t, MemoryHandle handle, unsigned long long) {
  ENTER(cuMemMap, true);
  const auto it = holding(m.reserved, pointer(address));
  if (m.handles.count(handle) == 0 || m.mapped.count(pointer(address)) != 0 || it == m.reserved.end() ||
      pointer(address) + bytes > it->second.first + it->second.second) {
    wrong("cuMemMap: no such handle or place");
    return INVALID_VALUE;
  }
  m.mapped[pointer(address)] = {bytes, false};
  return 0;
}
EXPORTED cuMemUnmap(Address address, size_t bytes) {
  ENTER(cuMemUnmap, true);
  const auto it = m.mapped.find(pointer(address));
  if (it == m.mapped.end() || it->second.bytes != bytes) {
    wrong("cuMemUnmap: nothing was mapped so");
    return INVALID_VALUE;
  }
  if (!idle(m)) wrong("cuMemUnmap: work is pending that may touch it");
  mmap(it->first, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
  m.used -= bytes;
  m.mapped.erase(it);
  return 0;
}
EXPORTED cuMemSetAccess(Address address, size_t bytes, const AccessDescription* access, size_t count) {
  ENTER(cuMemSetAccess, true);
  const auto it = m.mapped.find(pointer(address));
  if (it == m.mapped.end() || it->second.bytes != bytes || count != 1 || access->flags != 3) return INVALID_VALUE;
  it->second.accessible = true;
  mprotect(it->first, bytes, PROT_READ | PROT_WRITE);
  memset(it->first, 0xff, bytes);  // nobody promises zeros
  return 0;
}
EXPORTED cuMemAllocAsync(Address* address, size_t bytes, Stream) {
  ENTER(cuMemAllocAsync, true);
  if (m.used + bytes > m.memory) return OUT_OF_MEMORY;
  void* data = take_pages(bytes);
  if (data == nullptr) return OUT_OF_MEMORY;
  memset(data, 0xff, bytes);
  m.used += bytes;
  m.pool[static_cast<char*>(data)] = bytes;
  *address = reinterpret_cast<Address>(data);
  return 0;
}
EXPORTED cuMemFreeAsync(Address address, Stream stream) {
  ENTER(cuMemFreeAsync, true);
  Work work{};
  work.device = pointer(address);
  work.run = [](Work& w) {
    Machine& all = machine();
    const auto it = all.pool.find(w.device);
    if (it == all.pool.end()) return wrong("cuMemFreeAsync: no such memory, or freed already");
    munmap(it->first, it->second);
    all.used -= it->second;
    all.pool.erase(it);
  };
  return enqueue(m, "cuMemFreeAsync", stream, std::move(work));
}
EXPORTED cuMemHostAlloc(void** data, size_t bytes, unsigned) {
  ENTER(cuMemHostAlloc, true);
  *data = take_pages(bytes);
  if (*data == nullptr) return OUT_OF_MEMORY;
  m.page_locked[static_cast<char*>(*data)] = bytes;
  return 0;
}
EXPORTED cuMemFreeHost(void* data) {
  Machine& m = machine();
  const std::lock_guard<std::mutex> lock(m.mutex);  // a lost device takes nothing of the host's with it
  const auto it = m.page_locked.find(static_cast<char*>(data));
  if (it == m.page_locked.end()) {
    wrong("cuMemFreeHost: no such memory, or freed already");
    return INVALID_VALUE;
  }
  munmap(it->first, it->second);
  m.page_locked.erase(it);
  return 0;
}
EXPORTED cuMemcpyHtoDAsync_v2(Address to, const void* from, size_t bytes, Stream stream) {
  ENTER(cuMemcpyHtoDAsync_v2, true);
  return enqueue_copy(m, "cuMemcpyHtoDAsync", stream, const_cast<void*>(from), to, bytes, true);
}
EXPORTED cuMemcpyDtoHAsync_v2(void* to, Address from, size_t bytes, Stream stream) {
  ENTER(cuMemcpyDtoHAsync_v2, true);
  return enqueue_copy(m, "cuMemcpyDtoHAsync", stream, to, from, bytes, false);
}
EXPORTED cuMemsetD8Async(Address to, unsigned char byte, size_t bytes, Stream stream) {
  ENTER(cuMemsetD8Async, true);
  if (!is_device(m, pointer(to), bytes)) {
    wrong("cuMemsetD8Async: nothing is behind the %zu bytes", bytes);
    return INVALID_VALUE;
  }
  Work work{};
  work.device = pointer(to);
  work.byte = byte;
  work.bytes = bytes;
  work.run = [](Work& w) { memset(w.device, w.byte, w.bytes); };
  return enqueue(m, "cuMemsetD8Async", stream, std::move(work));
}

EXPORTED cuStreamCreate(Stream* stream, unsigned) {
  ENTER(cuStreamCreate, true);
  *stream = new StreamHandle;
  m.streams.insert(*stream);
  return 0;
}
EXPORTED cuStreamDestroy_v2(Stream stream) {
  Machine& m = machine();
  const std::lock_guard<std::mutex> lock(m.mutex);
  if (!stream->work.empty() && m.lost == 0) wrong("cuStreamDestroy: work is pending");
  m.streams.erase(stream);
  delete stream;
  return 0;
}
EXPORTED cuStreamSynchronize(Stream stream) {
  ENTER(cuStreamSynchronize, true);
  return run(m, stream, [] { return false; });
}
EXPORTED cuEventCreate(Event* event, unsigned flags) {
  ENTER(cuEventCreate, true);
  *event = new EventHandle{(flags & EVENT_WITHOUT_TIME) == 0, false, 0, 0};
  m.events.insert(*event);
  return 0;
}
EXPORTED cuEventDestroy_v2(Event event) {
  Machine& m = machine();
  const std::lock_guard<std::mutex> lock(m.mutex);
  if (m.events.erase(event) == 0) {
    wrong("cuEventDestroy: no such event, or destroyed already");
    return INVALID_VALUE;
  }
  if (event->pending > 0 && m.lost == 0) wrong("cuEventDestroy: its record is pending");
  delete event;
  return 0;
}
EXPORTED cuEventRecord(Event event, Stream stream) {
  ENTER(cuEventRecord, true);
  event->pending++;
  Work work{};
  work.event = event;
  work.run = [](Work& w) {
    w.event->pending--;
    w.event->recorded = true;
    w.event->when = machine().clock;
  };
  return enqueue(m, "cuEventRecord", stream, std::move(work));
}
EXPORTED cuEventSynchronize(Event event) {
  ENTER(cuEventSynchronize, true);
  for (Stream stream : m.streams)
    if (const Result error = run(m, stream, [&] { return event->pending == 0; })) return error;
  return 0;
}
EXPORTED cuEventElapsedTime(float* milliseconds, Event begin, Event end) {
  ENTER(cuEventElapsedTime, true);
  for (Event event : {begin, end})
    if (!event->timed || !event->recorded || event->pending > 0) {
      wrong("cuEventElapsedTime: of an event that has no time yet");
      return INVALID_VALUE;
    }
  *milliseconds = static_cast<float>(end->when - begin->when) / 1e6f;
  return 0;
}

EXPORTED cuModuleLoadData(Module* module, const void* image) {
  ENTER(cuModuleLoadData, true);
  const uint32_t fat_binary = 0xba55ed50;
  const bool emulated = memcmp(image, EMULATED_MAGIC, sizeof EMULATED_MAGIC) == 0;
  if (!emulated && memcmp(image, &fat_binary, sizeof fat_binary) != 0) return INVALID_IMAGE;
  *module = new ModuleHandle{emulated ? static_cast<const EmulatedImage*>(image) : nullptr, {}};
  m.modules.insert(*module);
  return 0;
}
EXPORTED cuModuleUnload(Module module) {
  Machine& m = machine();
  const std::lock_guard<std::mutex> lock(m.mutex);
  if (m.modules.erase(module) == 0) {
    wrong("cuModuleUnload: no such module");
    return INVALID_VALUE;
  }
  if (!idle(m) && m.lost == 0) wrong("cuModuleUnload: work is pending");
  delete module;
  return 0;
}
EXPORTED cuModuleGetFunction(Function* function, Module module, const char* name) {
  ENTER(cuModuleGetFunction, true);
  if (m.modules.count(module) == 0) {
    wrong("cuModuleGetFunction: no such module");
    return INVALID_VALUE;
  }
  void* address = nullptr;
  if (module->image != nullptr && sscanf(name, "%p", &address) != 1) return NOT_FOUND;
  auto& known = module->functions[name];
  if (!known)
    known.reset(new FunctionHandle{module->image, static_cast<const simt::Kernel*>(address), int64_t(48) << 10});
  *function = known.get();
  return 0;
}
EXPORTED cuFuncSetAttribute(Function function, FunctionAttribute attribute, int value) {
  ENTER(cuFuncSetAttribute, true);
  // What a block may have at most: CUDA Programming Guide, technical specifications by compute capability.
  const int most = m.capability == 80                                                ? 163
                   : m.capability == 86 || m.capability == 89 || m.capability >= 120 ? 99
                                                                                     : 227;
  if (attribute != MOST_DYNAMIC_SHARED || value > most << 10) return INVALID_VALUE;
  function->dynamic_bytes = value;
  return 0;
}
EXPORTED cuLaunchKernel(Function function, unsigned grid_x, unsigned grid_y, unsigned grid_z, unsigned block_x,
                        unsigned block_y, unsigned block_z, unsigned shared_bytes, Stream stream, void** arguments,
                        void**) {
  ENTER(cuLaunchKernel, true);
  if (grid_x == 0 || grid_y == 0 || grid_z == 0 || grid_x > 0x7fffffff || grid_y > 65535 || grid_z > 65535 ||
      block_x * block_y * block_z == 0 || block_x * block_y * block_z > 1024 || shared_bytes > function->dynamic_bytes)
    return INVALID_VALUE;
  Work work{};
  work.function = function;
  work.grid = dim3(grid_x, grid_y, grid_z);
  work.block = dim3(block_x, block_y, block_z);
  work.bytes = shared_bytes;
  work.run = run_kernel;
  m.launches += m.once.empty() ? 1 : 0;
  for (const auto& [at, error] : m.late)
    if (m.once.empty() && at == m.launches) work.fails = error;
  if (function->kernel != nullptr) {
    work.arguments.resize(static_cast<size_t>(function->kernel->bytes) / sizeof(std::max_align_t) + 1);
    function->kernel->pack(work.arguments.data(), arguments);
  }
  return enqueue(m, "cuLaunchKernel", stream, std::move(work));
}
