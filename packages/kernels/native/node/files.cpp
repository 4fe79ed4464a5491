// Files in memory, and tensors over them.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "handles.h"

namespace posttrain {
namespace {

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
  MappingPtr* mapping = mapping_of(env, call.at(0));
  if (mapping == nullptr)
    return fail(env, "kernel_argument",
                std::string("forgetPages: mapping is ") + type_name(env, call.at(0)) + ", expected a mapped file");
  if ((*mapping)->data != nullptr) madvise((*mapping)->data, static_cast<size_t>((*mapping)->bytes), MADV_DONTNEED);
  return undefined(env);
}

// mapTensor(device, mapping, byte offset, dtype, shape): a read-only tensor over file memory; a copy of it where ops cannot read that.
napi_value map_tensor(napi_env env, napi_callback_info info) {
  const Call call(env, info);
  int64_t offset = 0;
  pt_tensor view{};
  if (!whole_number(env, call.at(2), &offset) || offset < 0)
    return fail(env, "kernel_argument",
                "mapTensor: offset is " + value_text(env, call.at(2)) + ", expected a whole number of at least 0");
  if (!dtype_argument(call, 3, "mapTensor", &view) || !shape_argument(call, 4, "mapTensor", &view)) return nullptr;
  if (open_device_argument(call, 0, "mapTensor") == nullptr) return nullptr;
  const DevicePtr device = *device_of(env, call.at(0));
  MappingPtr* mapping = mapping_of(env, call.at(1));
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
  alignas(64) static const char nothing[64] = {};
  const char* host = bytes > 0 ? static_cast<char*>((*mapping)->data) + offset : nothing;
  view.data = const_cast<void*>(device->backend->borrow(device->state, host, bytes));
  if (view.data != nullptr) return wrap_tensor(env, new Storage{device, view.data, *mapping, true, 0}, view);
  if (!allocate(call, *device, "mapTensor", &view)) return nullptr;
  Task task;
  task.name = "mapTensor";
  task.work = [mapping = *mapping, host, data = view.data, bytes](const pt_context* ctx) {
    return ctx->backend->copy_in(ctx, data, host, bytes);
  };
  device->stream->enqueue(std::move(task));
  return wrap_tensor(env, new Storage{device, view.data, nullptr, true, 0}, view);
}

}  // namespace

void add_file_exports(napi_env env, napi_value exports) {
  add_export(env, exports, "mapFile", map_file);
  add_export(env, exports, "forgetPages", forget_pages);
  add_export(env, exports, "mapTensor", map_tensor);
}

}  // namespace posttrain
