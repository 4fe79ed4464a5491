// Between JavaScript and the memory of tensors: copies in, copies out, and the waits for them. The executor hands finished waits to the
// JavaScript thread.
#include <cstdlib>
#include <cstring>

#include "handles.h"

namespace posttrain {
namespace {

constexpr size_t kOwnPages = 1 << 20;

struct Wait {
  DevicePtr device;
  napi_deferred deferred;
  void* bytes = nullptr;
  size_t length = 0;
  bool has_value = false;
  Failure error;
};

}  // namespace

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

void finish_wait(napi_env env, napi_value, void*, void* data) {
  std::unique_ptr<Wait> wait(static_cast<Wait*>(data));
  if (env == nullptr) {
    free_copy(wait->bytes, wait->length);
    return;
  }
  if (--wait->device->waits == 0) napi_unref_threadsafe_function(env, wait->device->wake);
  if (!wait->error.text.empty()) {
    free_copy(wait->bytes, wait->length);
    napi_value error;
    napi_create_error(env, string(env, wait->error.code), string(env, wait->error.text), &error);
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

namespace {

// Enqueues a wait; fill(ctx, wait) runs on the executor at its turn and waits for what is before it.
template <class Fill>
napi_value enqueue_wait(napi_env env, const DevicePtr& device, const char* name, Fill fill) {
  Wait* wait = new Wait();
  wait->device = device;
  napi_value promise;
  napi_create_promise(env, &wait->deferred, &promise);
  if (device->waits++ == 0) napi_ref_threadsafe_function(env, device->wake);
  Task task = Stream::wait();
  task.name = name;
  task.work = [wait, fill](const pt_context* ctx) { return fill(ctx, wait); };
  napi_threadsafe_function wake = device->wake;
  task.done = [wait, wake](const Failure& error) {
    if (!error.text.empty()) wait->error = error;
    napi_call_threadsafe_function(wake, wait, napi_tsfn_blocking);
  };
  device->stream->enqueue(std::move(task));
  return promise;
}

// write(tensor, typed array): copies the bytes now, stores them at this place in the stream.
napi_value write_tensor(napi_env env, napi_callback_info info) {
  const Call call(env, info);
  Tensor* tensor = tensor_argument(call, 0, "write");
  if (tensor == nullptr) return nullptr;
  if (tensor->storage->read_only)
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
  task.name = "write";
  void* target = tensor->view.data;
  task.work = [staged, target, bytes](const pt_context* ctx) {
    return ctx->backend->copy_in(ctx, target, staged.get(), static_cast<int64_t>(bytes));
  };
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
  return enqueue_wait(env, tensor->device, "read", [source, bytes](const pt_context* ctx, Wait* wait) {
    wait->has_value = true;
    wait->length = bytes;
    wait->bytes = new_copy(bytes);
    if (wait->bytes == nullptr) {
      wait->error = {"kernel_memory", "read: no memory for " + std::to_string(bytes) + " bytes"};
      return 0;
    }
    return ctx->backend->copy_out(ctx, wait->bytes, source, static_cast<int64_t>(bytes));
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
  return enqueue_wait(env, *device_of(env, call.at(0)), "drain",
                      [](const pt_context* ctx, Wait*) { return ctx->backend->wait(ctx); });
}

}  // namespace

void add_transfer_exports(napi_env env, napi_value exports) {
  add_export(env, exports, "write", write_tensor);
  add_export(env, exports, "read", read_tensor);
  add_export(env, exports, "releaseCopy", release_copy);
  add_export(env, exports, "drain", drain);
}

}  // namespace posttrain
