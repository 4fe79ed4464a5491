#include "values.h"

#include <cmath>
#include <cstdio>

#include "op_table.h"

namespace posttrain {

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

void* external(napi_env env, napi_value value, const napi_type_tag& tag) {
  napi_valuetype type;
  if (napi_typeof(env, value, &type) != napi_ok || type != napi_external) return nullptr;
  bool matches = false;
  if (napi_check_object_type_tag(env, value, &tag, &matches) != napi_ok || !matches) return nullptr;
  void* data = nullptr;
  if (napi_get_value_external(env, value, &data) != napi_ok) return nullptr;
  return data;
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

}  // namespace posttrain
