// The backend "cuda": a GPU's memory, one stream, and what the driver says when it fails. The host's compiler takes it; of the driver it knows what
// driver.h says and opens it when a device is opened. test/fake_cuda.cpp is a driver for tests. Nothing here has run on a GPU yet.
//
// Memory of tensors is an arena, as the cpu's: the same blocks, so a step takes on a GPU what posttrain plan counts on a CPU. Copies in go through
// page-locked memory and return at once. What goes wrong on the GPU shows at the next call of the driver, whichever it is; after most errors
// the process has no device any more, and every later call says so.
#include <stdio.h>
#include <stdlib.h>

#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "../host/arena.h"
#include "../host/host.h"
#include "code.h"
#include "device.h"
#include "errors.h"
#include "gpu_memory.h"
#include "staging.h"

#if !defined(PT_CUDA_VERSION)
#define PT_CUDA_VERSION 13000  // of the toolkit: 1000 x major + 10 x minor
#endif

namespace pt_cuda {
namespace {

constexpr int LEAST_CAPABILITY = 80;
constexpr double USABLE_SHARE =
    0.9;  // of a GPU's memory: the rest is for code, ops' working memory and the driver itself
constexpr double GIB = 1 << 30;

// An op's begin and end on the device.
struct Timed {
  int32_t op;
  Event begin, end;
};

struct Gpu : Device {  // first, as ops see it
  Gpu() : Device{nullptr} {}
  void* host = nullptr;  // a dry device: nothing of it is on a GPU
  Driver driver{};
  int device = 0;
  Context context{};
  Stream stream{};
  Staging staging;
  Note* note_here = nullptr;  // page-locked
  std::unique_ptr<posttrain::Arena<GpuMemory>> arena;
  std::vector<Module> modules;
  // The executor's.
  std::unordered_map<const void*, Module> loaded;  // by image
  std::unordered_map<const void*, Function> functions;
  std::vector<Event> free_events;
  std::vector<Timed> timed;
  Event begun{};
};
Gpu& of(void* state) { return *static_cast<Gpu*>(static_cast<Device*>(state)); }

bool is_ok(Result error) { return error == CUDA_OK; }
Address address(const void* data) { return static_cast<Address>(reinterpret_cast<uintptr_t>(data)); }

pt_context host_context(const pt_context* ctx) {
  pt_context host = *ctx;
  host.state = of(ctx->state).host;
  return host;
}

// ---- opening: each way in which there is no device has a sentence ----

struct Why {
  char* text;
  size_t size;
  template <class... A>
  bool operator()(const char* format, A... values) const {
    snprintf(text, size, format, values...);
    return false;
  }
};

bool find_device(Gpu& gpu, int index, const Why& why) {
  const Driver& driver = gpu.driver;
  int version = 0, count = 0, major = 0, minor = 0, virtual_memory = 0;
  if (!open_driver(&gpu.driver, why.text, why.size)) return false;
  const Result error = driver.cuInit(0);
  const char* visible = getenv("CUDA_VISIBLE_DEVICES");
  const std::string hidden =
      visible != nullptr ? std::string(": CUDA_VISIBLE_DEVICES is \"") + visible + "\"" : std::string();
  const std::string says = is_ok(error) ? "" : error_text(driver, error);
  switch (error) {
    case CUDA_OK:
      break;
    case NO_DEVICE:
      return why("there is an NVIDIA driver, but no GPU that this process may use%s", hidden.c_str());
    case STUB_LIBRARY:
      return why(
          "the libcuda.so.1 that was found is the toolkit's stub and no driver: take the folder of stubs out of "
          "LD_LIBRARY_PATH, or install the "
          "driver");
    case SYSTEM_DRIVER_MISMATCH:
      return why(
          "the NVIDIA driver's library and its kernel module are of different versions (%s): restart the machine after "
          "an update of the driver",
          says.c_str());
    default:
      return why("the NVIDIA driver does not start: %s", says.c_str());
  }
  driver.cuDriverGetVersion(&version);
  if (version / 1000 < PT_CUDA_VERSION / 1000)
    return why(
        "the NVIDIA driver here is for CUDA %d.%d, older than the %d.%d that this build is for. Update the driver",
        version / 1000, version % 1000 / 10, PT_CUDA_VERSION / 1000, PT_CUDA_VERSION % 1000 / 10);
  if (const Result counted = driver.cuDeviceGetCount(&count); !is_ok(counted))
    return why("the NVIDIA driver does not count its GPUs: %s", error_text(driver, counted).c_str());
  if (count == 0) return why("there is an NVIDIA driver, but no GPU that this process may use%s", hidden.c_str());
  if (index >= count)
    return why("GPU %d was asked for, but this process may use %d, counted from 0%s", index, count, hidden.c_str());
  char name[128] = "";
  size_t bytes = 0, free = 0, total = 0;
  Result found = driver.cuDeviceGet(&gpu.device, index);
  if (is_ok(found)) found = driver.cuDeviceGetName(name, sizeof name, gpu.device);
  if (is_ok(found)) found = driver.cuDeviceGetAttribute(&major, CAPABILITY_MAJOR, gpu.device);
  if (is_ok(found)) found = driver.cuDeviceGetAttribute(&minor, CAPABILITY_MINOR, gpu.device);
  if (is_ok(found)) found = driver.cuDeviceGetAttribute(&virtual_memory, VIRTUAL_MEMORY_MANAGEMENT, gpu.device);
  if (is_ok(found)) found = driver.cuDeviceTotalMem_v2(&bytes, gpu.device);
  if (!is_ok(found))
    return why("the NVIDIA driver says nothing of GPU %d: %s", index, error_text(driver, found).c_str());
  if (10 * major + minor < LEAST_CAPABILITY)
    return why("the GPU here, %s, has compute capability %d.%d; %d.%d at least is needed (A100, RTX 30 or newer)", name,
               major, minor, LEAST_CAPABILITY / 10, LEAST_CAPABILITY % 10);
  if (virtual_memory == 0)
    return why("the GPU here, %s, has no virtual memory management (a vGPU without it?), which its memory is taken by",
               name);
  found = driver.cuDevicePrimaryCtxRetain(&gpu.context, gpu.device);
  if (is_ok(found)) found = driver.cuCtxSetCurrent(gpu.context);
  if (is_ok(found)) found = driver.cuMemGetInfo_v2(&free, &total);
  if (!is_ok(found))
    return why("GPU %d (%s) gives no context: %s. Does another process have it for itself, or all of its memory?",
               index, name, error_text(driver, found).c_str());
  why("sm_%d%d, %s, GPU %d of %d, %.1f GiB of memory, %.1f free, driver for CUDA %d.%d", major, minor, name, index,
      count, static_cast<double>(bytes) / GIB, static_cast<double>(free) / GIB, version / 1000, version % 1000 / 10);
  return true;
}

bool prepare(Gpu& gpu, const pt_options& options, const Why& why) {
  const Driver& driver = gpu.driver;
  const std::string about = why.text;
  for (const void* image : images()) {
    Module module{};
    const Result error = driver.cuModuleLoadData(&module, image);
    const int code = error;
    if (code == NO_BINARY_FOR_GPU || code == INVALID_IMAGE || code == INVALID_PTX || code == UNSUPPORTED_PTX_VERSION)
      return why(
          "this build's kernels are not for this GPU (%s): %s. Update the driver, or build them here (npm run "
          "build:cuda)",
          about.c_str(), error_text(driver, error).c_str());
    if (!is_ok(error)) return why("the GPU does not take the kernels: %s", error_text(driver, error).c_str());
    gpu.modules.push_back(module);
    gpu.loaded[image] = module;
  }
  Result error = driver.cuStreamCreate(&gpu.stream, STREAM_NON_BLOCKING);
  if (is_ok(error)) error = gpu.staging.open(&driver, gpu.stream);
  void* note_here = nullptr;
  if (is_ok(error)) error = driver.cuMemHostAlloc(&note_here, sizeof(Note), 0);
  gpu.note_here = static_cast<Note*>(note_here);
  Address note = 0;
  if (is_ok(error)) error = driver.cuMemAllocAsync(&note, sizeof(Note), gpu.stream);
  gpu.note = reinterpret_cast<Note*>(note);
  if (is_ok(error)) error = driver.cuMemsetD8Async(note, 0xff, sizeof(Note), gpu.stream);  // call: -1
  size_t total = 0;
  if (is_ok(error)) error = driver.cuDeviceTotalMem_v2(&total, gpu.device);
  if (!is_ok(error))
    return why("the GPU gives not even the little that a device begins with: %s", error_text(driver, error).c_str());
  const int64_t limit =
      options.limit_asked ? options.memory_limit : static_cast<int64_t>(static_cast<double>(total) * USABLE_SHARE);
  gpu.arena.reset(
      new posttrain::Arena<GpuMemory>(limit, options.guards != 0, GpuMemory(&driver, gpu.device, gpu.stream)));
  return true;
}

void close(void* state) {
  Gpu& gpu = of(state);
  const Driver& driver = gpu.driver;
  if (gpu.host != nullptr) pt_host_close(gpu.host);
  if (gpu.context != Context{}) {
    driver.cuCtxSetCurrent(gpu.context);
    if (gpu.stream != Stream{}) driver.cuStreamSynchronize(gpu.stream);
    gpu.arena.reset();
    gpu.staging.close();
    for (const Timed& timed : gpu.timed)
      for (Event event : {timed.begin, timed.end}) gpu.free_events.push_back(event);
    for (Event event : gpu.free_events) driver.cuEventDestroy_v2(event);
    if (gpu.note != nullptr) driver.cuMemFreeAsync(address(gpu.note), gpu.stream);
    if (gpu.stream != Stream{}) driver.cuStreamSynchronize(gpu.stream);
    if (gpu.note_here != nullptr) driver.cuMemFreeHost(gpu.note_here);
    for (Module module : gpu.modules) driver.cuModuleUnload(module);
    if (gpu.stream != Stream{}) driver.cuStreamDestroy_v2(gpu.stream);
    driver.cuDevicePrimaryCtxRelease_v2(gpu.device);
  }
  delete &gpu;
}

void* open(const pt_options* options, char* text, int64_t size) {
  auto* gpu = new Gpu;
  const Why why = {text, static_cast<size_t>(size)};
  if (options->dry) {
    gpu->host = pt_host_open(options, text, size);
    why("dry");
    return static_cast<Device*>(gpu);
  }
  if (find_device(*gpu, options->index, why) && prepare(*gpu, *options, why)) return static_cast<Device*>(gpu);
  close(static_cast<Device*>(gpu));
  return nullptr;
}

// ---- on the thread that enqueues ----

// The device; the calling thread has its context.
Gpu& entered(void* state) {
  Gpu& gpu = of(state);
  if (gpu.host == nullptr) gpu.driver.cuCtxSetCurrent(gpu.context);
  return gpu;
}

void* allocate(void* state, int64_t bytes) {
  Gpu& gpu = entered(state);
  return gpu.host ? pt_host_allocate(gpu.host, bytes) : gpu.arena->allocate(bytes);
}
void release(void* state, void* data) {
  Gpu& gpu = entered(state);
  gpu.host ? pt_host_free(gpu.host, data) : gpu.arena->release(data);
}
void trim(void* state) {
  Gpu& gpu = entered(state);
  if (gpu.host) return pt_host_trim(gpu.host);
  gpu.driver.cuStreamSynchronize(gpu.stream);  // after an error nobody has waited
  gpu.arena->trim();
}
int32_t check_guards(void* state) {
  Gpu& gpu = entered(state);
  return gpu.host ? pt_host_check_guards(gpu.host) : gpu.arena->check_guards();
}
void memory(void* state, pt_memory* now) {
  Gpu& gpu = of(state);
  if (gpu.host) return pt_host_memory(gpu.host, now);
  const auto& arena = *gpu.arena;
  *now = {arena.limit(), arena.in_use(), arena.peak(), arena.reserved(), arena.refused()};
}
void reset_peak(void* state) {
  Gpu& gpu = of(state);
  gpu.host ? pt_host_reset_peak(gpu.host) : gpu.arena->reset_peak();
}
const void* borrow(void*, const void*, int64_t) { return nullptr; }

// ---- on the executor ----

// An event of the stream as it is now; none where the driver fails.
Event mark_time(const pt_context* ctx, Gpu& gpu) {
  if (gpu.free_events.empty()) {
    Event made{};
    if (check(ctx, gpu.driver, gpu.driver.cuEventCreate(&made, 0), "its clock")) return Event{};
    gpu.free_events.push_back(made);
  }
  Event event = gpu.free_events.back();
  if (check(ctx, gpu.driver, gpu.driver.cuEventRecord(event, gpu.stream), "its clock")) return Event{};
  gpu.free_events.pop_back();
  return event;
}

// The stream is idle: what its ops took, and whether the device has noted a failure; what it noted is in note_here.
int settle(const pt_context* ctx, Gpu& gpu) {
  for (const Timed& timed : gpu.timed) {
    float milliseconds = 0;
    gpu.driver.cuEventElapsedTime(&milliseconds, timed.begin, timed.end);
    ctx->took(ctx, timed.op, static_cast<int64_t>(static_cast<double>(milliseconds) * 1e6));
    for (Event event : {timed.begin, timed.end}) gpu.free_events.push_back(event);
  }
  gpu.timed.clear();
  if (gpu.note_here->call < 0) return 0;
  tell(ctx, *gpu.note_here);
  check(ctx, gpu.driver, gpu.driver.cuMemsetD8Async(address(gpu.note), 0xff, sizeof(Note), gpu.stream), "its note");
  return 1;
}
int ask_for_note(const pt_context* ctx, Gpu& gpu) {
  return check(ctx, gpu.driver,
               gpu.driver.cuMemcpyDtoHAsync_v2(gpu.note_here, address(gpu.note), sizeof(Note), gpu.stream), "its note");
}

int wait(const pt_context* ctx) {
  Gpu& gpu = entered(ctx->state);
  if (gpu.host) return 0;
  if (ask_for_note(ctx, gpu)) return 1;
  if (check(ctx, gpu.driver, gpu.driver.cuStreamSynchronize(gpu.stream), "a wait")) return 1;
  return settle(ctx, gpu);
}
int copy_in(const pt_context* ctx, void* to, const void* from, int64_t bytes) {
  Gpu& gpu = entered(ctx->state);
  if (gpu.host) return pt_host_copy(ctx, to, from, bytes);
  return check(ctx, gpu.driver, gpu.staging.copy_in(address(to), static_cast<const char*>(from), bytes),
               "a copy to it");
}
int copy_out(const pt_context* ctx, void* to, const void* from, int64_t bytes) {
  Gpu& gpu = entered(ctx->state);
  if (gpu.host) return pt_host_copy(ctx, to, from, bytes);
  if (ask_for_note(ctx, gpu)) return 1;
  const Result error = gpu.staging.copy_out(static_cast<char*>(to), address(from), bytes);
  if (check(ctx, gpu.driver, error, "a copy from it")) return 1;
  // The note came before: a copy of nothing waits for nothing.
  if (bytes == 0) return wait(ctx);
  return settle(ctx, gpu);
}
void* take_scratch(const pt_context* ctx, int64_t bytes) {
  Gpu& gpu = entered(ctx->state);
  if (gpu.host) {
    const pt_context host = host_context(ctx);
    return pt_host_take_scratch(&host, bytes);
  }
  Address data = 0;
  const Result error = gpu.driver.cuMemAllocAsync(&data, static_cast<size_t>(bytes), gpu.stream);
  // None is no failure of the device: the stream says which op asked for how much.
  if (error == OUT_OF_MEMORY || check(ctx, gpu.driver, error, "working memory")) return nullptr;
  return reinterpret_cast<void*>(data);
}
void give_scratch(const pt_context* ctx, void* data, int64_t bytes) {
  Gpu& gpu = entered(ctx->state);
  if (gpu.host) {
    const pt_context host = host_context(ctx);
    return pt_host_give_scratch(&host, data, bytes);
  }
  gpu.driver.cuMemFreeAsync(address(data), gpu.stream);
}
void begin_op(const pt_context* ctx) {
  Gpu& gpu = entered(ctx->state);
  if (!gpu.host) gpu.begun = mark_time(ctx, gpu);
}
void end_op(const pt_context* ctx) {
  Gpu& gpu = of(ctx->state);
  if (gpu.host || gpu.begun == Event{}) return;
  Event ended = mark_time(ctx, gpu);
  if (ended != Event{})
    gpu.timed.push_back({ctx->op, gpu.begun, ended});
  else
    gpu.free_events.push_back(gpu.begun);
}

int function_of(const pt_context* ctx, Gpu& gpu, const void* kernel, Function* function) {
  const auto known = gpu.functions.find(kernel);
  if (known != gpu.functions.end()) {
    *function = known->second;
    return 0;
  }
  const Code code = code_of(kernel);
  if (code.image == nullptr) {
    ctx->fail(ctx, "its kernel is in no image of this build");
    return 1;
  }
  if (check(ctx, gpu.driver, gpu.driver.cuModuleGetFunction(function, gpu.loaded[code.image], code.name), code.name))
    return 1;
  gpu.functions[kernel] = *function;
  return 0;
}

const pt_backend table = {
    PT_ABI_VERSION, 1,          "cuda", "",      open,     close, allocate,     release,      trim,     check_guards,
    memory,         reset_peak, borrow, copy_in, copy_out, wait,  take_scratch, give_scratch, begin_op, end_op,
#define OP(name, ...) name,
#include "../abi/ops.def"
#undef OP
};

}  // namespace

int launch_kernel(const pt_context* ctx, const Launch& launch) {
  Gpu& gpu = of(ctx->state);
  Function function{};
  if (function_of(ctx, gpu, launch.kernel, &function)) return 1;
  Result error = CUDA_OK;
  constexpr int64_t UNASKED = 48 << 10;
  if (launch.dynamic_bytes > UNASKED)
    error = gpu.driver.cuFuncSetAttribute(function, MOST_DYNAMIC_SHARED, static_cast<int>(launch.dynamic_bytes));
  if (is_ok(error))
    error = gpu.driver.cuLaunchKernel(function, launch.grid[0], launch.grid[1], launch.grid[2], launch.block[0],
                                      launch.block[1], launch.block[2], static_cast<unsigned>(launch.dynamic_bytes),
                                      gpu.stream, launch.arguments, nullptr);
  return check(ctx, gpu.driver, error, "a launch");
}

}  // namespace pt_cuda

extern "C" __attribute__((visibility("default"))) const pt_backend* pt_backend_table(const pt_backend*, char*,
                                                                                     int64_t) {
  return &pt_cuda::table;
}
