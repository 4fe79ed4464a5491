// Tensors: made, viewed, freed.
#include <cstring>

#include "handles.h"

namespace posttrain {

Tensor* tensor_argument(const Call& call, size_t i, const char* what) {
  Tensor* tensor = tensor_of(call.env, call.at(i));
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

bool allocate(const Call& call, Device& device, const std::string& op, pt_tensor* view) {
  view->device = device.id;
  const int64_t bytes = element_count(*view) * dtype_bytes(view->dtype);
  view->data = device.backend->allocate(device.state, bytes);
  if (view->data == nullptr && bytes <= device.memory().limit) {
    // What is free may be in pieces. It goes back to the system when nothing that is queued can touch it.
    device.stream->wait_idle();
    device.backend->trim(device.state);
    view->data = device.backend->allocate(device.state, bytes);
  }
  if (view->data != nullptr) return true;
  const pt_memory memory = device.memory();
  std::string message = op + ": out of memory: " + shape_text(*view) + " needs " + std::to_string(bytes) + " bytes, ";
  if (memory.refused)
    message += "and the system gives no more than the " + std::to_string(memory.reserved) +
               " that it gave (no memory left, as others have it, or a limit such as ulimit -v)";
  else
    message += "but " + std::to_string(memory.in_use) + " of the device's " + std::to_string(memory.limit) +
               " (memoryLimit) are in use";
  if (!memory.refused && memory.in_use + bytes <= memory.limit)
    message += ", and the " + std::to_string(memory.limit - memory.in_use) + " beside them are in pieces too small";
  fail(call.env, "kernel_memory", message);
  return false;
}

namespace {

void free_tensor(Tensor* tensor) {
  Storage* storage = tensor->storage;
  if (storage == nullptr) return;
  tensor->storage = nullptr;
  tensor->device->live_tensors--;
  if (--storage->views > 0) return;
  const Device& device = *storage->device;
  if (!device.closed && storage->mapping != nullptr) {
    // Unmap behind the last op that reads it.
    Task task = Stream::wait();
    task.done = [mapping = std::move(storage->mapping)](const Failure&) {};
    device.stream->enqueue(std::move(task));
  } else if (!device.closed) {
    device.backend->free(device.state, storage->data);
  }
  delete storage;
}

// createTensor(device, dtype, shape, op that asks)
napi_value create_tensor(napi_env env, napi_callback_info info) {
  const Call call(env, info);
  pt_tensor view{};
  std::string op;
  if (!text(env, call.at(3), &op)) op = "tensor";
  if (!dtype_argument(call, 1, op.c_str(), &view) || !shape_argument(call, 2, op.c_str(), &view)) return nullptr;
  if (open_device_argument(call, 0, op.c_str()) == nullptr) return nullptr;
  const DevicePtr device = *device_of(env, call.at(0));
  if (!allocate(call, *device, op, &view)) return nullptr;
  return wrap_tensor(env, new Storage{device, view.data, nullptr, false, 0}, view);
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
  Tensor* tensor = tensor_of(env, call.at(0));
  if (tensor == nullptr)
    return fail(env, "kernel_argument",
                std::string("free: tensor is ") + type_name(env, call.at(0)) + ", expected a tensor");
  free_tensor(tensor);
  return undefined(env);
}

}  // namespace

void add_tensor_exports(napi_env env, napi_value exports) {
  add_export(env, exports, "createTensor", create_tensor);
  add_export(env, exports, "viewTensor", view_tensor);
  add_export(env, exports, "freeTensor", free_tensor_export);
}

}  // namespace posttrain
