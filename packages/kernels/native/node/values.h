// JavaScript's values on their way into C++ and back. What returns false has thrown.
#pragma once
#include <node_api.h>

#include <cstdint>
#include <string>

#include "../abi/kernels.h"

namespace posttrain {

napi_value fail(napi_env env, const char* code, const std::string& message);
napi_value undefined(napi_env env);
napi_value number(napi_env env, double x);
napi_value string(napi_env env, const std::string& s);

// "null", "a number", "a function".
const char* type_name(napi_env env, napi_value value);
// "2.5", or what kind of value it is when it is no number.
std::string value_text(napi_env env, napi_value value);

bool whole_number(napi_env env, napi_value value, int64_t* out);
bool text(napi_env env, napi_value value, std::string* out);

// What an external of this tag holds, or null.
void* external(napi_env env, napi_value value, const napi_type_tag& tag);

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

// Arguments that are dtype and shape, into `view`.
bool dtype_argument(const Call& call, size_t i, const char* what, pt_tensor* view);
bool shape_argument(const Call& call, size_t i, const char* what, pt_tensor* view);

}  // namespace posttrain
