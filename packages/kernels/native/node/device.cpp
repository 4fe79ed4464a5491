// Devices: opened, closed, and what they look like now.
#include <atomic>

#include "backends.h"
#include "handles.h"

namespace posttrain {

Device* open_device_argument(const Call& call, size_t i, const char* what) {
  DevicePtr* device = device_of(call.env, call.at(i));
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

std::string device_text(const Device& device) {
  return std::to_string(device.id) + " (" + device.backend->name + ", " + device.path() + ")";
}

void finish_wait(napi_env env, napi_value, void*, void* data);  // transfers.cpp

namespace {

std::atomic<int> next_device_id{1};  // devices of all JavaScript threads

// cpuPaths(): the paths that this machine can run, fastest first.
napi_value cpu_paths(napi_env env, napi_callback_info) {
  napi_value list;
  napi_create_array(env, &list);
  uint32_t n = 0;
  for (const char* path : kCpuPaths)
    if (cpu_backend(path) != nullptr) napi_set_element(env, list, n++, string(env, path));
  return list;
}

// openDevice(path, threads, memoryLimit, guards, dry, library, index, limitAsked): of the cpu, or of the backend in a library's file.
napi_value open_device(napi_env env, napi_callback_info info) {
  const Call call(env, info);
  std::string path, library;
  int64_t threads = 0;
  int64_t limit = 0;
  bool guards = false;
  bool dry = false;
  int64_t index = 0;
  bool limit_asked = true;
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
  const bool is_library = text(env, call.at(5), &library);
  napi_valuetype index_type = napi_undefined;
  napi_typeof(env, call.at(6), &index_type);
  if (index_type != napi_undefined && (!whole_number(env, call.at(6), &index) || index < 0 || index > 1023))
    return fail(env, "kernel_argument",
                "openDevice: index is " + value_text(env, call.at(6)) + ", expected a whole number from 0 to 1023");
  napi_get_value_bool(env, call.at(7), &limit_asked);
  std::string why = "this machine cannot run the cpu path \"" + path + "\"";
  const pt_backend* backend = is_library ? library_backend(library, &why) : cpu_backend(path);
  if (backend == nullptr) return fail(env, "kernel_device", "openDevice: " + why);
  if (backend->abi_version != PT_ABI_VERSION)
    return fail(env, "kernel_device",
                "openDevice: the backend" + (is_library ? " of " + library : std::string()) + " speaks ABI " +
                    std::to_string(backend->abi_version) + ", expected " + std::to_string(PT_ABI_VERSION) +
                    ": build it again");
  const pt_options options = {limit, limit_asked, static_cast<int32_t>(index), guards, dry};
  char about[1024] = "";
  void* state = backend->open(&options, about, sizeof about);
  if (state == nullptr)
    return fail(env, "kernel_device",
                std::string("openDevice: ") + backend->name + ": " + (about[0] ? about : "it gives no reason"));
  std::unique_ptr<DevicePtr> device;
  try {
    device.reset(new DevicePtr(
        std::make_shared<Device>(backend, state, about, static_cast<int>(threads), dry, next_device_id++)));
  } catch (const std::exception& error) {
    backend->close(state);
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

napi_value recover(napi_env env, napi_callback_info info) {
  const Call call(env, info);
  Device* device = open_device_argument(call, 0, "recover");
  if (device == nullptr) return nullptr;
  device->stream->recover();
  return undefined(env);
}

// describeDevice(device): what backend it is of, what of that, and the most that its tensors may take.
napi_value describe_device(napi_env env, napi_callback_info info) {
  const Call call(env, info);
  const Device* device = open_device_argument(call, 0, "describeDevice");
  if (device == nullptr) return nullptr;
  napi_value object;
  napi_create_object(env, &object);
  napi_set_named_property(env, object, "backend", string(env, device->backend->name));
  napi_set_named_property(env, object, "path", string(env, device->path()));
  napi_set_named_property(env, object, "description", string(env, device->description));
  napi_set_named_property(env, object, "memoryLimit", number(env, static_cast<double>(device->memory().limit)));
  return object;
}

// status(device): what memory and the stream look like now.
napi_value status(napi_env env, napi_callback_info info) {
  const Call call(env, info);
  Device* device = open_device_argument(call, 0, "status");
  if (device == nullptr) return nullptr;
  const pt_memory memory = device->memory();
  napi_value object;
  napi_create_object(env, &object);
  const auto set = [&](const char* name, double value) {
    napi_set_named_property(env, object, name, number(env, value));
  };
  set("bytesInUse", static_cast<double>(memory.in_use));
  set("peakBytes", static_cast<double>(memory.peak));
  set("reservedBytes", static_cast<double>(memory.reserved));
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
  device->backend->reset_peak(device->state);
  return undefined(env);
}

napi_value check_guards(napi_env env, napi_callback_info info) {
  const Call call(env, info);
  Device* device = open_device_argument(call, 0, "checkGuards");
  if (device == nullptr) return nullptr;
  device->stream->wait_idle();
  return number(env, device->backend->check_guards(device->state));
}

}  // namespace

void add_device_exports(napi_env env, napi_value exports) {
  add_export(env, exports, "cpuPaths", cpu_paths);
  add_export(env, exports, "openDevice", open_device);
  add_export(env, exports, "closeDevice", close_device);
  add_export(env, exports, "recover", recover);
  add_export(env, exports, "describeDevice", describe_device);
  add_export(env, exports, "status", status);
  add_export(env, exports, "opTimes", op_times);
  add_export(env, exports, "resetPeak", reset_peak);
  add_export(env, exports, "checkGuards", check_guards);
}

}  // namespace posttrain
