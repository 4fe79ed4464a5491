// The addon: devices, tensors and op calls for JavaScript, on plain Node-API. No arithmetic here.
//
// Everything JavaScript holds is a type-tagged external; a value of another kind, a freed tensor or a tensor of another device
// is an exception, never a crash. Tensors are freed by their owner (src/scope.ts); finalizers only count what was forgotten.
#include <fcntl.h>
#include <node_api.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#if defined(__x86_64__)
#include <cpuid.h>
#endif
#if defined(__linux__)
#include <sys/syscall.h>
#endif

#include <atomic>
#include <cmath>
#include <memory>
#include <string>

#include "arena.h"
#include "op_table.h"
#include "stream.h"

extern "C" const pt_backend* pt_backend_cpu_plain();
#if defined(__x86_64__)
extern "C" const pt_backend* pt_backend_cpu_avx2();
extern "C" const pt_backend* pt_backend_cpu_avx512();
extern "C" const pt_backend* pt_backend_cpu_amx();
extern "C" const pt_backend* pt_backend_cpu_amx_emulated();
#endif

namespace posttrain {
namespace {

// --- what JavaScript holds ---

// Lives as long as a handle, a tensor or a wait refers to it; open until closeDevice(), the last reference, or the end of its
// JavaScript thread. All members but the stream's inside are touched on that thread only.
struct Device {
  Device(const pt_backend* backend, int threads, int64_t limit, bool guards, bool dry, int id)
      : arena(limit, guards, dry), stream(new Stream(backend, threads, dry)), id(id) {}
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;
  ~Device() { close(); }

  void close() {
    if (closed) return;
    closed = true;
    stream.reset();
    arena.clear();
    if (wake == nullptr) return;
    napi_remove_env_cleanup_hook(env, at_thread_end, this);
    napi_release_threadsafe_function(wake, napi_tsfn_release);
  }
  // Before Node takes `wake` away, the executor must be gone.
  static void at_thread_end(void* device) { static_cast<Device*>(device)->close(); }

  Arena arena;
  std::unique_ptr<Stream> stream;
  const int id;
  bool closed = false;
  int64_t live_tensors = 0;
  int64_t leaked_tensors = 0;
  napi_env env = nullptr;
  napi_threadsafe_function wake = nullptr;
  int64_t waits = 0;
};
using DevicePtr = std::shared_ptr<Device>;

struct Mapping {
  void* data = nullptr;
  int64_t bytes = 0;
  ~Mapping() {
    if (data != nullptr) munmap(data, static_cast<size_t>(bytes));
  }
};
using MappingPtr = std::shared_ptr<Mapping>;

// The memory behind one or more tensors (views share it). Touched on the JavaScript thread only.
struct Storage {
  DevicePtr device;
  void* data = nullptr;
  MappingPtr mapping;  // set: read-only file memory instead of the arena's
  int64_t views = 0;
};

struct Tensor {
  Storage* storage = nullptr;  // null once freed
  pt_tensor view{};
  DevicePtr device;
};

constexpr napi_type_tag kDeviceTag = {0x706f73747472646eULL, 0x1};
constexpr napi_type_tag kTensorTag = {0x706f73747472646eULL, 0x2};
constexpr napi_type_tag kMappingTag = {0x706f73747472646eULL, 0x3};

std::atomic<int> next_device_id{1};  // devices of all JavaScript threads

// --- small conversions; each returns false after throwing ---

napi_value fail(napi_env env, const char* code, const std::string& message) {
  napi_throw_error(env, code, message.c_str());
  return nullptr;
}

napi_value undefined(napi_env env) {
  napi_value v;
  napi_get_undefined(env, &v);
  return v;
}

const char* type_name(napi_env env, napi_value value) {
  napi_valuetype type;
  if (napi_typeof(env, value, &type) != napi_ok) return "unreadable";
  static const char* const names[] = {"undefined", "null",       "a boolean",
                                      "a number",  "a string",   "a symbol",
                                      "an object", "a function", "another native handle",
                                      "a bigint"};
  return names[type];
}

template <class T>
T* external(napi_env env, napi_value value, const napi_type_tag& tag) {
  napi_valuetype type;
  if (napi_typeof(env, value, &type) != napi_ok || type != napi_external) return nullptr;
  bool matches = false;
  if (napi_check_object_type_tag(env, value, &tag, &matches) != napi_ok || !matches) return nullptr;
  void* data = nullptr;
  if (napi_get_value_external(env, value, &data) != napi_ok) return nullptr;
  return static_cast<T*>(data);
}

bool whole_number(napi_env env, napi_value value, int64_t* out) {
  napi_valuetype type;
  double x;
  if (napi_typeof(env, value, &type) != napi_ok || type != napi_number) return false;
  if (napi_get_value_double(env, value, &x) != napi_ok || std::floor(x) != x || std::fabs(x) > 9007199254740991.0)
    return false;
  *out = static_cast<int64_t>(x);
  return true;
}

bool text(napi_env env, napi_value value, std::string* out) {
  size_t length = 0;
  if (napi_get_value_string_utf8(env, value, nullptr, 0, &length) != napi_ok) return false;
  out->resize(length + 1);
  if (napi_get_value_string_utf8(env, value, &(*out)[0], length + 1, &length) != napi_ok) return false;
  out->resize(length);
  return true;
}

// "2.5", or what kind of value it is when it is no number.
std::string value_text(napi_env env, napi_value value) {
  double x = 0;
  if (napi_get_value_double(env, value, &x) != napi_ok) return type_name(env, value);
  char digits[32];
  snprintf(digits, sizeof digits, "%.15g", x);
  return digits;
}

napi_value number(napi_env env, double x) {
  napi_value v;
  napi_create_double(env, x, &v);
  return v;
}

napi_value string(napi_env env, const std::string& s) {
  napi_value v;
  napi_create_string_utf8(env, s.c_str(), s.size(), &v);
  return v;
}

struct Call {
  static constexpr size_t kMax = PT_MAX_PARAMS + 2;
  Call(napi_env env, napi_callback_info info) : env(env) {
    napi_get_cb_info(env, info, &count, args, nullptr, nullptr);
  }
  napi_env env;
  size_t count = kMax;
  napi_value args[kMax];
  napi_value at(size_t i) const { return i < count ? args[i] : undefined(env); }
};

Device* open_device_argument(const Call& call, size_t i, const char* what) {
  DevicePtr* device = external<DevicePtr>(call.env, call.at(i), kDeviceTag);
  if (device == nullptr) {
    fail(call.env, "kernel_argument",
         std::string(what) + ": device is " + type_name(call.env, call.at(i)) + ", expected an open device");
    return nullptr;
  }
  if ((*device)->closed) {
    fail(call.env, "kernel_argument", std::string(what) + ": the device was closed");
    return nullptr;
  }
  return device->get();
}

Tensor* tensor_argument(const Call& call, size_t i, const char* what) {
  Tensor* tensor = external<Tensor>(call.env, call.at(i), kTensorTag);
  if (tensor == nullptr) {
    fail(call.env, "kernel_argument",
         std::string(what) + ": tensor is " + type_name(call.env, call.at(i)) + ", expected a tensor");
    return nullptr;
  }
  if (tensor->storage == nullptr) {
    fail(call.env, "kernel_argument",
         std::string(what) + ": the tensor " + shape_text(tensor->view) + " was freed (its scope ended)");
    return nullptr;
  }
  if (tensor->device->closed) {
    fail(call.env, "kernel_argument",
         std::string(what) + ": the tensor " + shape_text(tensor->view) + " belongs to a device that was closed");
    return nullptr;
  }
  return tensor;
}

// Reading an array may run JavaScript (getters), which may free or close what was looked up before: read shapes first.
bool shape_argument(const Call& call, size_t i, const char* what, pt_tensor* view) {
  bool is_array = false;
  uint32_t rank = 0;
  if (napi_is_array(call.env, call.at(i), &is_array) != napi_ok || !is_array ||
      napi_get_array_length(call.env, call.at(i), &rank) != napi_ok || rank > PT_MAX_RANK) {
    const std::string given = is_array ? "an array of " + std::to_string(rank) : type_name(call.env, call.at(i));
    fail(call.env, "kernel_argument",
         std::string(what) + ": shape is " + given + ", expected an array of at most " + std::to_string(PT_MAX_RANK) +
             " whole numbers");
    return false;
  }
  view->rank = static_cast<int32_t>(rank);
  double total = 1;
  double rows = 1;  // without the empty axes: what a loop over an empty tensor may walk
  for (uint32_t axis = 0; axis < rank; axis++) {
    napi_value element;
    int64_t dim = -1;
    if (napi_get_element(call.env, call.at(i), axis, &element) != napi_ok || !whole_number(call.env, element, &dim) ||
        dim < 0) {
      bool pending = false;
      napi_is_exception_pending(call.env, &pending);
      if (!pending)
        fail(
            call.env, "kernel_argument",
            std::string(what) + ": axis " + std::to_string(axis) + " of the shape is not a whole number of at least 0");
      return false;
    }
    view->dims[axis] = dim;
    total *= static_cast<double>(dim);
    rows *= dim > 0 ? static_cast<double>(dim) : 1.0;
  }
  if (rows > (total > 0 ? 1e15 : 2147483647.0)) {
    fail(call.env, "kernel_argument",
         std::string(what) + ": a tensor of that shape cannot exist: " + shape_text(*view));
    return false;
  }
  return true;
}

std::string device_text(const Device& device) {
  const pt_backend* backend = device.stream->backend();
  return std::to_string(device.id) + " (" + backend->name + ", " + backend->path + ")";
}

void free_tensor(Tensor* tensor) {
  Storage* storage = tensor->storage;
  if (storage == nullptr) return;
  tensor->storage = nullptr;
  tensor->device->live_tensors--;
  if (--storage->views > 0) return;
  if (storage->mapping != nullptr) {
    // Unmap behind the last op that reads it.
    if (!storage->device->closed) {
      Task task;
      MappingPtr mapping = std::move(storage->mapping);
      task.action = [mapping](const std::string&) {};
      storage->device->stream->enqueue(std::move(task));
    }
  } else if (!storage->device->closed) {
    storage->device->arena.release(storage->data);
  }
  delete storage;
}

napi_value wrap_tensor(napi_env env, Storage* storage, const pt_tensor& view) {
  Tensor* tensor = new Tensor{storage, view, storage->device};
  storage->views++;
  storage->device->live_tensors++;
  napi_value value;
  napi_create_external(
      env, tensor,
      [](napi_env, void* data, void*) {
        Tensor* t = static_cast<Tensor*>(data);
        if (t->storage != nullptr && !t->device->closed) t->device->leaked_tensors++;
        delete t;
      },
      nullptr, &value);
  napi_type_tag_object(env, value, &kTensorTag);
  return value;
}

// --- memory that JavaScript gets a copy in. Large copies are pages of their own: malloc would keep what is freed, in a heap of each
// thread that asked. ---

constexpr size_t kOwnPages = 1 << 20;

void* new_copy(size_t bytes) {
  if (bytes < kOwnPages) return malloc(bytes > 0 ? bytes : 1);
  void* data = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return data == MAP_FAILED ? nullptr : data;
}

void free_copy(void* data, size_t bytes) {
  if (bytes < kOwnPages)
    free(data);
  else if (data != nullptr)
    munmap(data, bytes);
}

// --- waiting: the executor hands finished waits to the JavaScript thread ---

struct Wait {
  DevicePtr device;
  napi_deferred deferred;
  void* bytes = nullptr;
  size_t length = 0;
  bool has_value = false;
  std::string error;
};

void finish_wait(napi_env env, napi_value, void*, void* data) {
  std::unique_ptr<Wait> wait(static_cast<Wait*>(data));
  if (env == nullptr) {
    free_copy(wait->bytes, wait->length);
    return;
  }
  if (--wait->device->waits == 0) napi_unref_threadsafe_function(env, wait->device->wake);
  if (!wait->error.empty()) {
    free_copy(wait->bytes, wait->length);
    napi_value error;
    napi_create_error(env, string(env, "kernel_stream"), string(env, wait->error), &error);
    napi_reject_deferred(env, wait->deferred, error);
    return;
  }
  napi_value result = undefined(env);
  if (wait->has_value &&
      napi_create_external_arraybuffer(
          env, wait->bytes, wait->length,
          [](napi_env, void* bytes, void* length) { free_copy(bytes, reinterpret_cast<uintptr_t>(length)); },
          reinterpret_cast<void*>(wait->length), &result) != napi_ok) {
    void* copy = nullptr;  // a JavaScript engine that allows no memory of others
    if (napi_create_arraybuffer(env, wait->length, &copy, &result) == napi_ok) memcpy(copy, wait->bytes, wait->length);
    free_copy(wait->bytes, wait->length);
  }
  napi_resolve_deferred(env, wait->deferred, result);
}

// Enqueues a wait; fill(wait) runs on the executor when everything before it is done.
template <class Fill>
napi_value enqueue_wait(napi_env env, const DevicePtr& device, Fill fill) {
  Wait* wait = new Wait();
  wait->device = device;
  napi_value promise;
  napi_create_promise(env, &wait->deferred, &promise);
  if (device->waits++ == 0) napi_ref_threadsafe_function(env, device->wake);
  Task task;
  task.is_wait = true;
  napi_threadsafe_function wake = device->wake;
  task.action = [wait, wake, fill](const std::string& error) {
    wait->error = error;
    if (error.empty()) fill(wait);
    napi_call_threadsafe_function(wake, wait, napi_tsfn_blocking);
  };
  device->stream->enqueue(std::move(task));
  return promise;
}

// --- exports ---

#if defined(__x86_64__)
// Whether this process may use AMX's tiles for bf16: the processor has them, and Linux, asked once, grants their 8 KB of state (threads
// that live and threads to come).
bool amx_is_granted() {
#if defined(__linux__)
  static const bool granted = [] {
    unsigned a = 0, b = 0, c = 0, d = 0;
    const unsigned tiles = 1u << 24, bf16 = 1u << 22;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || (d & tiles) == 0 || (d & bf16) == 0) return false;
    const long request_permission = 0x1023, tile_data = 18;  // ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA
    return syscall(SYS_arch_prctl, request_permission, tile_data) == 0;
  }();
  return granted;
#else
  return false;
#endif
}
#endif

const pt_backend* cpu_backend(const std::string& path) {
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
      __builtin_cpu_supports("avx512vl")) {
    if (path == "amx" && amx_is_granted()) return pt_backend_cpu_amx();
    if (path == "amx_emulated") return pt_backend_cpu_amx_emulated();
    if (path == "avx512") return pt_backend_cpu_avx512();
  }
  if (path == "avx2" && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return pt_backend_cpu_avx2();
#endif
  return path == "plain" ? pt_backend_cpu_plain() : nullptr;
}

// cpuPaths(): the paths that this machine can run, fastest first; amx_emulated, which tests alone ask for, is none of them.
napi_value cpu_paths(napi_env env, napi_callback_info) {
  napi_value list;
  napi_create_array(env, &list);
  uint32_t n = 0;
  for (const char* path : {"amx", "avx512", "avx2", "plain"})
    if (cpu_backend(path) != nullptr) napi_set_element(env, list, n++, string(env, path));
  return list;
}

// openDevice(path, threads, memoryLimit, guards, dry): a cpu device.
napi_value open_device(napi_env env, napi_callback_info info) {
  const Call call(env, info);
  std::string path;
  int64_t threads = 0;
  int64_t limit = 0;
  bool guards = false;
  bool dry = false;
  if (!text(env, call.at(0), &path))
    return fail(env, "kernel_argument",
                std::string("openDevice: path is ") + type_name(env, call.at(0)) + ", expected a string");
  if (!whole_number(env, call.at(1), &threads) || threads < 1 || threads > 1024)
    return fail(env, "kernel_argument",
                "openDevice: threads is " + value_text(env, call.at(1)) + ", expected a whole number from 1 to 1024");
  if (!whole_number(env, call.at(2), &limit) || limit < 1)
    return fail(env, "kernel_argument",
                "openDevice: memoryLimit is " + value_text(env, call.at(2)) +
                    ", expected a whole number of bytes of at least 1");
  napi_get_value_bool(env, call.at(3), &guards);
  napi_get_value_bool(env, call.at(4), &dry);
  const pt_backend* backend = cpu_backend(path);
  if (backend == nullptr)
    return fail(env, "kernel_device", "openDevice: this machine cannot run the cpu path \"" + path + "\"");
  if (backend->abi_version != PT_ABI_VERSION)
    return fail(env, "kernel_device",
                "openDevice: the backend speaks ABI " + std::to_string(backend->abi_version) + ", expected " +
                    std::to_string(PT_ABI_VERSION));
  std::unique_ptr<DevicePtr> device;
  try {
    device.reset(new DevicePtr(
        std::make_shared<Device>(backend, static_cast<int>(threads), limit, guards, dry, next_device_id++)));
  } catch (const std::exception& error) {
    return fail(env, "kernel_device",
                "openDevice: the system gives no " + std::to_string(threads) + " threads: " + error.what());
  }
  (*device)->env = env;
  if (napi_create_threadsafe_function(env, nullptr, nullptr, string(env, "posttrain"), 0, 1, nullptr, nullptr, nullptr,
                                      finish_wait, &(*device)->wake) != napi_ok)
    return fail(env, "kernel_device", "openDevice: Node refuses a thread-safe function");
  napi_unref_threadsafe_function(env, (*device)->wake);
  napi_add_env_cleanup_hook(env, Device::at_thread_end, device->get());
  napi_value value;
  if (napi_create_external(
          env, device.get(), [](napi_env, void* data, void*) { delete static_cast<DevicePtr*>(data); }, nullptr,
          &value) != napi_ok)
    return fail(env, "kernel_device", "openDevice: Node refuses a handle");
  device.release();
  napi_type_tag_object(env, value, &kDeviceTag);
  return value;
}

// closeDevice(device): ends its threads and gives its memory back. Its tensors are gone; using one is an exception. Drain first.
napi_value close_device(napi_env env, napi_callback_info info) {
  const Call call(env, info);
  Device* device = open_device_argument(call, 0, "close");
  if (device == nullptr) return nullptr;
  device->close();
  return undefined(env);
}

bool dtype_argument(const Call& call, size_t i, const char* what, pt_tensor* view) {
  int64_t dtype = 0;
  if (!whole_number(call.env, call.at(i), &dtype) || dtype < 0 || dtype >= PT_DTYPE_COUNT) {
    fail(call.env, "kernel_argument",
         std::string(what) + ": dtype is " + value_text(call.env, call.at(i)) +
             ", expected the number of f32, f64, bf16, f16 or i32");
    return false;
  }
  view->dtype = static_cast<int32_t>(dtype);
  return true;
}

// createTensor(device, dtype, shape, op that asks)
napi_value create_tensor(napi_env env, napi_callback_info info) {
  const Call call(env, info);
  pt_tensor view{};
  std::string op;
  if (!text(env, call.at(3), &op)) op = "tensor";
  if (!dtype_argument(call, 1, op.c_str(), &view) || !shape_argument(call, 2, op.c_str(), &view)) return nullptr;
  if (open_device_argument(call, 0, op.c_str()) == nullptr) return nullptr;
  const DevicePtr device = *external<DevicePtr>(env, call.at(0), kDeviceTag);
  view.device = device->id;
  const int64_t bytes = element_count(view) * dtype_bytes(view.dtype);
  view.data = device->arena.allocate(bytes);
  if (view.data == nullptr && bytes <= device->arena.limit()) {
    // What is free may be in pieces. It goes back to the system when nothing that is queued can touch it.
    device->stream->wait_idle();
    device->arena.trim();
    view.data = device->arena.allocate(bytes);
  }
  if (view.data == nullptr) {
    const Arena& arena = device->arena;
    std::string message = op + ": out of memory: " + shape_text(view) + " needs " + std::to_string(bytes) +
                          " bytes, but " + std::to_string(arena.in_use()) + " of the device's " +
                          std::to_string(arena.limit()) + " (memoryLimit) are in use";
    if (arena.refused())
      message += ", and the system gives no more than the " + std::to_string(arena.reserved()) + " that it gave";
    else if (arena.in_use() + bytes <= arena.limit())
      message += ", and the " + std::to_string(arena.limit() - arena.in_use()) + " beside them are in pieces too small";
    return fail(env, "kernel_memory", message);
  }
  return wrap_tensor(env, new Storage{device, view.data, nullptr, 0}, view);
}

// viewTensor(tensor, offset in elements, shape): another shape over the same memory.
napi_value view_tensor(napi_env env, napi_callback_info info) {
  const Call call(env, info);
  int64_t offset = 0;
  pt_tensor shape{};
  if (!whole_number(env, call.at(1), &offset) || offset < 0)
    return fail(env, "kernel_argument",
                "view: offset is " + value_text(env, call.at(1)) + ", expected a whole number of at least 0");
  if (!shape_argument(call, 2, "view", &shape)) return nullptr;
  Tensor* tensor = tensor_argument(call, 0, "view");
  if (tensor == nullptr) return nullptr;
  pt_tensor view = tensor->view;
  view.rank = shape.rank;
  memcpy(view.dims, shape.dims, sizeof view.dims);
  if (offset + element_count(view) > element_count(tensor->view))
    return fail(env, "kernel_argument",
                "view: " + shape_text(view) + " at element " + std::to_string(offset) + " does not fit in the tensor " +
                    shape_text(tensor->view));
  view.data = static_cast<char*>(tensor->view.data) + offset * dtype_bytes(view.dtype);
  return wrap_tensor(env, tensor->storage, view);
}

napi_value free_tensor_export(napi_env env, napi_callback_info info) {
  const Call call(env, info);
  Tensor* tensor = external<Tensor>(env, call.at(0), kTensorTag);
  if (tensor == nullptr)
    return fail(env, "kernel_argument",
                std::string("free: tensor is ") + type_name(env, call.at(0)) + ", expected a tensor");
  free_tensor(tensor);
  return undefined(env);
}

// write(tensor, typed array): copies the bytes now, stores them at this place in the stream.
napi_value write_tensor(napi_env env, napi_callback_info info) {
  const Call call(env, info);
  Tensor* tensor = tensor_argument(call, 0, "write");
  if (tensor == nullptr) return nullptr;
  if (tensor->storage->mapping != nullptr)
    return fail(env, "kernel_argument",
                "write: the tensor " + shape_text(tensor->view) + " is read-only memory of a file");
  bool is_typed = false;
  napi_is_typedarray(env, call.at(1), &is_typed);
  if (!is_typed)
    return fail(env, "kernel_argument",
                std::string("write: data is ") + type_name(env, call.at(1)) + ", expected a typed array");
  napi_typedarray_type type;
  size_t length = 0;
  void* data = nullptr;
  static const struct {
    napi_typedarray_type type;
    const char* name;
  } arrays[PT_DTYPE_COUNT] = {{napi_float32_array, "a Float32Array"},
                              {napi_float64_array, "a Float64Array"},
                              {napi_uint16_array, "a Uint16Array (bits)"},
                              {napi_uint16_array, "a Uint16Array (bits)"},
                              {napi_int32_array, "an Int32Array"}};
  const auto& wanted = arrays[tensor->view.dtype];
  if (napi_get_typedarray_info(env, call.at(1), &type, &length, &data, nullptr, nullptr) != napi_ok ||
      type != wanted.type)
    return fail(env, "kernel_argument",
                std::string("write: data is another kind of typed array, expected ") + wanted.name + " for " +
                    shape_text(tensor->view));
  const size_t bytes = length * static_cast<size_t>(dtype_bytes(tensor->view.dtype));
  const size_t expected = static_cast<size_t>(element_count(tensor->view) * dtype_bytes(tensor->view.dtype));
  if (bytes != expected)
    return fail(env, "kernel_argument",
                "write: data has " + std::to_string(length) + " elements, expected " +
                    std::to_string(element_count(tensor->view)) + " for " + shape_text(tensor->view));
  if (bytes == 0) return undefined(env);
  const std::shared_ptr<char> staged(static_cast<char*>(new_copy(bytes)), [bytes](char* p) { free_copy(p, bytes); });
  if (staged == nullptr)
    return fail(env, "kernel_memory", "write: no memory to copy " + std::to_string(bytes) + " bytes");
  memcpy(staged.get(), data, bytes);
  Task task;
  void* target = tensor->view.data;
  task.action = [staged, target, bytes](const std::string&) { memcpy(target, staged.get(), bytes); };
  tensor->device->stream->enqueue(std::move(task));
  return undefined(env);
}

// read(tensor): a promise of an ArrayBuffer with its bytes as they are at this place in the stream.
napi_value read_tensor(napi_env env, napi_callback_info info) {
  const Call call(env, info);
  Tensor* tensor = tensor_argument(call, 0, "read");
  if (tensor == nullptr) return nullptr;
  const void* source = tensor->view.data;
  const size_t bytes = static_cast<size_t>(element_count(tensor->view) * dtype_bytes(tensor->view.dtype));
  return enqueue_wait(env, tensor->device, [source, bytes](Wait* wait) {
    wait->has_value = true;
    wait->length = bytes;
    wait->bytes = new_copy(bytes);
    if (wait->bytes == nullptr) {
      wait->error = "read: no memory for " + std::to_string(bytes) + " bytes";
      return;
    }
    memcpy(wait->bytes, source, bytes);
  });
}

// releaseCopy(buffer): of what read() gave; its memory is free without waiting for the garbage collector.
napi_value release_copy(napi_env env, napi_callback_info info) {
  const Call call(env, info);
  bool is_buffer = false;
  napi_is_arraybuffer(env, call.at(0), &is_buffer);
  if (!is_buffer || napi_detach_arraybuffer(env, call.at(0)) != napi_ok)
    return fail(env, "kernel_argument",
                std::string("releaseCopy: buffer is ") + type_name(env, call.at(0)) +
                    ", expected an ArrayBuffer that read() gave");
  return undefined(env);
}

// drain(device): a promise that settles when everything before it is done.
napi_value drain(napi_env env, napi_callback_info info) {
  const Call call(env, info);
  if (open_device_argument(call, 0, "drain") == nullptr) return nullptr;
  return enqueue_wait(env, *external<DevicePtr>(env, call.at(0), kDeviceTag), [](Wait*) {});
}

napi_value recover(napi_env env, napi_callback_info info) {
  const Call call(env, info);
  Device* device = open_device_argument(call, 0, "recover");
  if (device == nullptr) return nullptr;
  device->stream->recover();
  return undefined(env);
}

// enqueue(op, ...arguments as ops.def lists them); null leaves an optional tensor out.
napi_value enqueue(napi_env env, napi_callback_info info) {
  const Call call(env, info);
  int64_t index = -1;
  const std::vector<Op>& table = op_table();
  if (!whole_number(env, call.at(0), &index) || index < 0 || index >= static_cast<int64_t>(table.size()))
    return fail(env, "kernel_argument",
                "enqueue: op is " + value_text(env, call.at(0)) + ", expected a number of the op table");
  const Op& op = table[static_cast<size_t>(index)];
  std::unique_ptr<Argument[]> args(new Argument[op.params.size()]);
  Device* device = nullptr;
  const char* device_from = nullptr;
  for (size_t i = 0; i < op.params.size(); i++) {
    const Param& p = op.params[i];
    const napi_value value = call.at(i + 1);
    const auto argument_error = [&](const std::string& rest) {
      return fail(env, "kernel_argument", caller_name(op.name) + ": " + caller_name(p.name) + " " + rest);
    };
    if (p.kind == Kind::kReal) {
      if (napi_get_value_double(env, value, &args[i].real) != napi_ok)
        return argument_error(std::string("is ") + type_name(env, value) + ", expected a number");
    } else if (p.kind == Kind::kInt) {
      if (!whole_number(env, value, &args[i].integer))
        return argument_error("is " + value_text(env, value) + ", expected a whole number");
    } else {
      const Tensor* tensor = external<Tensor>(env, value, kTensorTag);
      if (tensor == nullptr) {
        napi_valuetype type = napi_undefined;
        napi_typeof(env, value, &type);
        if (!p.optional() || (type != napi_undefined && type != napi_null))
          return argument_error(std::string("is ") + type_name(env, value) + ", expected a tensor" +
                                (p.optional() ? " or null" : ""));
        args[i].tensor = pt_tensor{};
        continue;
      }
      if (tensor->storage == nullptr)
        return argument_error(shape_text(tensor->view) + " was freed (its scope ended), expected a live tensor");
      if (tensor->device->closed)
        return argument_error(shape_text(tensor->view) +
                              " belongs to a device that was closed, expected a live tensor");
      if (!p.is_input() && tensor->storage->mapping != nullptr)
        return argument_error(shape_text(tensor->view) +
                              " is read-only memory of a file, expected a tensor that can be written");
      if (device == nullptr) {
        device = tensor->device.get();
        device_from = p.name;
      }
      if (tensor->device.get() != device)
        return argument_error(shape_text(tensor->view) + " is on device " + device_text(*tensor->device) +
                              ", expected device " + device_text(*device) + " as " + caller_name(device_from));
      args[i].tensor = tensor->view;
    }
  }
  if (device == nullptr) return fail(env, "kernel_argument", caller_name(op.name) + ": needs at least one tensor");
  std::string mismatch = check_shapes(op, args.get());
  if (mismatch.empty()) mismatch = check_overlaps(op, args.get());
  if (!mismatch.empty()) return fail(env, "kernel_argument", mismatch);
  if (!op.supported(device->stream->backend()))
    return fail(
        env, "kernel_device",
        caller_name(op.name) + ": the backend \"" + device->stream->backend()->name + "\" does not have this op");
  Task task;
  task.op = &op;
  task.args = std::move(args);
  device->stream->enqueue(std::move(task));
  return undefined(env);
}

// mapFile(path): the whole file, read-only, without reading it.
napi_value map_file(napi_env env, napi_callback_info info) {
  const Call call(env, info);
  std::string path;
  if (!text(env, call.at(0), &path) || path.find('\0') != std::string::npos)
    return fail(env, "kernel_argument",
                std::string("mapFile: path is ") + type_name(env, call.at(0)) + ", expected a string that is a path");
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);  // a pipe must not keep us waiting
  if (fd < 0) return fail(env, "kernel_file", "mapFile: cannot open " + path + ": " + strerror(errno));
  struct stat status;
  MappingPtr* mapping = new MappingPtr(std::make_shared<Mapping>());
  std::string error;
  if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode)) {
    error = "not a regular file";
  } else if (status.st_size > 0) {
    void* data = mmap(nullptr, static_cast<size_t>(status.st_size), PROT_READ, MAP_PRIVATE, fd, 0);
    if (data == MAP_FAILED) {
      error = strerror(errno);
    } else {
      (*mapping)->data = data;
      (*mapping)->bytes = status.st_size;
    }
  }
  close(fd);
  if (!error.empty()) {
    delete mapping;
    return fail(env, "kernel_file", "mapFile: cannot map " + path + ": " + error);
  }
  napi_value value;
  napi_create_external(
      env, mapping, [](napi_env, void* data, void*) { delete static_cast<MappingPtr*>(data); }, nullptr, &value);
  napi_type_tag_object(env, value, &kMappingTag);
  return value;
}

// forgetPages(mapping): its pages leave this process; what is read again comes from the file again.
napi_value forget_pages(napi_env env, napi_callback_info info) {
  const Call call(env, info);
  MappingPtr* mapping = external<MappingPtr>(env, call.at(0), kMappingTag);
  if (mapping == nullptr)
    return fail(env, "kernel_argument",
                std::string("forgetPages: mapping is ") + type_name(env, call.at(0)) + ", expected a mapped file");
  if ((*mapping)->data != nullptr) madvise((*mapping)->data, static_cast<size_t>((*mapping)->bytes), MADV_DONTNEED);
  return undefined(env);
}

// mapTensor(device, mapping, byte offset, dtype, shape): a read-only tensor over file memory.
napi_value map_tensor(napi_env env, napi_callback_info info) {
  const Call call(env, info);
  int64_t offset = 0;
  pt_tensor view{};
  if (!whole_number(env, call.at(2), &offset) || offset < 0)
    return fail(env, "kernel_argument",
                "mapTensor: offset is " + value_text(env, call.at(2)) + ", expected a whole number of at least 0");
  if (!dtype_argument(call, 3, "mapTensor", &view) || !shape_argument(call, 4, "mapTensor", &view)) return nullptr;
  if (open_device_argument(call, 0, "mapTensor") == nullptr) return nullptr;
  const DevicePtr device = *external<DevicePtr>(env, call.at(0), kDeviceTag);
  MappingPtr* mapping = external<MappingPtr>(env, call.at(1), kMappingTag);
  if (mapping == nullptr)
    return fail(env, "kernel_argument",
                std::string("mapTensor: mapping is ") + type_name(env, call.at(1)) + ", expected a mapped file");
  view.device = device->id;
  const int64_t bytes = element_count(view) * dtype_bytes(view.dtype);
  if (offset + bytes > (*mapping)->bytes)
    return fail(env, "kernel_argument",
                "mapTensor: " + shape_text(view) + " at byte " + std::to_string(offset) + " ends beyond the file's " +
                    std::to_string((*mapping)->bytes) + " bytes");
  if (offset % dtype_bytes(view.dtype) != 0)
    return fail(env, "kernel_argument",
                "mapTensor: byte " + std::to_string(offset) + " is not aligned for " + dtype_name(view.dtype));
  alignas(64) static char nothing[64];
  view.data = bytes > 0 ? static_cast<char*>((*mapping)->data) + offset : nothing;
  return wrap_tensor(env, new Storage{device, view.data, *mapping, 0}, view);
}

// status(device): what memory and the stream look like now.
napi_value status(napi_env env, napi_callback_info info) {
  const Call call(env, info);
  Device* device = open_device_argument(call, 0, "status");
  if (device == nullptr) return nullptr;
  napi_value object;
  napi_create_object(env, &object);
  const auto set = [&](const char* name, double value) {
    napi_set_named_property(env, object, name, number(env, value));
  };
  set("bytesInUse", static_cast<double>(device->arena.in_use()));
  set("peakBytes", static_cast<double>(device->arena.peak()));
  set("reservedBytes", static_cast<double>(device->arena.reserved()));
  set("scratchPeakBytes", static_cast<double>(device->stream->scratch_peak()));
  set("liveTensors", static_cast<double>(device->live_tensors));
  set("leakedTensors", static_cast<double>(device->leaked_tensors));
  set("queued", static_cast<double>(device->stream->length()));
  set("capacity", static_cast<double>(Stream::kCapacity));
  return object;
}

// opTimes(device): calls and nanoseconds of each op since the device was opened, in the order of the op table.
napi_value op_times(napi_env env, napi_callback_info info) {
  const Call call(env, info);
  Device* device = open_device_argument(call, 0, "opTimes");
  if (device == nullptr) return nullptr;
  napi_value list;
  napi_create_array(env, &list);
  for (uint32_t op = 0; op < op_table().size(); op++) {
    napi_set_element(env, list, 2 * op, number(env, static_cast<double>(device->stream->calls(op))));
    napi_set_element(env, list, 2 * op + 1, number(env, static_cast<double>(device->stream->nanoseconds(op))));
  }
  return list;
}

napi_value reset_peak(napi_env env, napi_callback_info info) {
  const Call call(env, info);
  Device* device = open_device_argument(call, 0, "resetPeak");
  if (device == nullptr) return nullptr;
  device->arena.reset_peak();
  return undefined(env);
}

napi_value check_guards(napi_env env, napi_callback_info info) {
  const Call call(env, info);
  Device* device = open_device_argument(call, 0, "checkGuards");
  if (device == nullptr) return nullptr;
  device->stream->wait_idle();
  return number(env, device->arena.check_guards());
}

napi_value op_names(napi_env env, napi_callback_info) {
  napi_value list;
  napi_create_array(env, &list);
  uint32_t n = 0;
  for (const Op& op : op_table()) napi_set_element(env, list, n++, string(env, op.name));
  return list;
}

napi_value init(napi_env env, napi_value exports) {
  const auto add = [&](const char* name, napi_callback callback) {
    napi_value fn;
    napi_create_function(env, name, NAPI_AUTO_LENGTH, callback, nullptr, &fn);
    napi_set_named_property(env, exports, name, fn);
  };
  add("cpuPaths", cpu_paths);
  add("openDevice", open_device);
  add("closeDevice", close_device);
  add("createTensor", create_tensor);
  add("viewTensor", view_tensor);
  add("freeTensor", free_tensor_export);
  add("write", write_tensor);
  add("read", read_tensor);
  add("releaseCopy", release_copy);
  add("drain", drain);
  add("recover", recover);
  add("enqueue", enqueue);
  add("mapFile", map_file);
  add("forgetPages", forget_pages);
  add("mapTensor", map_tensor);
  add("status", status);
  add("opTimes", op_times);
  add("resetPeak", reset_peak);
  add("checkGuards", check_guards);
  add("opNames", op_names);
  return exports;
}

}  // namespace
}  // namespace posttrain

NAPI_MODULE_INIT() { return posttrain::init(env, exports); }
