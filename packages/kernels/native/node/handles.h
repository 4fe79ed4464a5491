// What JavaScript holds: devices, tensors, mapped files, each a type-tagged external. A value of another kind, a freed tensor or a tensor
// of another device is an exception, never a crash. All but the stream's inside is touched on the JavaScript thread only.
#pragma once
#include <sys/mman.h>

#include <memory>
#include <string>

#include "stream.h"
#include "values.h"

namespace posttrain {

// Lives as long as a handle, a tensor or a wait refers to it; open until closeDevice(), the last reference, or the end of its
// JavaScript thread.
struct Device {
  Device(const pt_backend* backend, void* state, std::string description, int threads, bool dry, int id)
      : backend(backend),
        state(state),
        description(std::move(description)),
        stream(new Stream(backend, state, threads, dry)),
        id(id) {}
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;
  ~Device() { close(); }

  void close() {
    if (closed) return;
    closed = true;
    stream.reset();
    backend->close(state);
    if (wake == nullptr) return;
    napi_remove_env_cleanup_hook(env, at_thread_end, this);
    napi_release_threadsafe_function(wake, napi_tsfn_release);
  }
  // Before Node takes `wake` away, the executor must be gone.
  static void at_thread_end(void* device) { static_cast<Device*>(device)->close(); }

  // "avx512", "sm_90"
  std::string path() const {
    return backend->path[0] != '\0' ? backend->path : description.substr(0, description.find(','));
  }
  pt_memory memory() const {
    pt_memory now;
    backend->memory(state, &now);
    return now;
  }

  const pt_backend* const backend;
  void* const state;
  const std::string description;  // as open wrote it
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

// The memory behind one or more tensors (views share it).
struct Storage {
  DevicePtr device;
  void* data = nullptr;
  MappingPtr mapping;  // set: memory of a file, borrowed, instead of the device's
  bool read_only = false;
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

inline DevicePtr* device_of(napi_env env, napi_value value) {
  return static_cast<DevicePtr*>(external(env, value, kDeviceTag));
}
inline Tensor* tensor_of(napi_env env, napi_value value) {
  return static_cast<Tensor*>(external(env, value, kTensorTag));
}
inline MappingPtr* mapping_of(napi_env env, napi_value value) {
  return static_cast<MappingPtr*>(external(env, value, kMappingTag));
}

// Arguments that must be open, or alive; null after throwing.
Device* open_device_argument(const Call& call, size_t i, const char* what);
Tensor* tensor_argument(const Call& call, size_t i, const char* what);
// "3 (cpu, avx512)"
std::string device_text(const Device& device);

// Memory of the device for `view`, whose data becomes its address; throws when there is none.
bool allocate(const Call& call, Device& device, const std::string& op, pt_tensor* view);
// A handle for one more view of the storage.
napi_value wrap_tensor(napi_env env, Storage* storage, const pt_tensor& view);

// Memory of the host on its way to JavaScript or from there. Large ones are pages of their own: malloc would keep what is freed, in a heap of
// each thread that asked.
void* new_copy(size_t bytes);
void free_copy(void* data, size_t bytes);

// The exports, by file.
void add_device_exports(napi_env env, napi_value exports);
void add_tensor_exports(napi_env env, napi_value exports);
void add_transfer_exports(napi_env env, napi_value exports);
void add_file_exports(napi_env env, napi_value exports);
void add_op_exports(napi_env env, napi_value exports);
void add_message_exports(napi_env env, napi_value exports);
inline void add_export(napi_env env, napi_value exports, const char* name, napi_callback callback) {
  napi_value fn;
  napi_create_function(env, name, NAPI_AUTO_LENGTH, callback, nullptr, &fn);
  napi_set_named_property(env, exports, name, fn);
}

}  // namespace posttrain
