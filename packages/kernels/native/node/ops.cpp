// Op calls: their arguments checked against the table, then enqueued.
#include "handles.h"

namespace posttrain {
namespace {

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
      const Tensor* tensor = tensor_of(env, value);
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
      if (!p.is_input() && tensor->storage->read_only)
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
  if (!op.supported(device->backend))
    return fail(env, "kernel_device",
                caller_name(op.name) + ": the backend \"" + device->backend->name + "\" does not have this op");
  Task task;
  task.op = &op;
  task.args = std::move(args);
  device->stream->enqueue(std::move(task));
  return undefined(env);
}

napi_value op_names(napi_env env, napi_callback_info) {
  napi_value list;
  napi_create_array(env, &list);
  uint32_t n = 0;
  for (const Op& op : op_table()) napi_set_element(env, list, n++, string(env, op.name));
  return list;
}

}  // namespace

void add_op_exports(napi_env env, napi_value exports) {
  add_export(env, exports, "enqueue", enqueue);
  add_export(env, exports, "opNames", op_names);
}

}  // namespace posttrain
