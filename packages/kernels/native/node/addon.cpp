// The addon: devices, tensors and op calls for JavaScript, on plain Node-API. No arithmetic here, and no look into the memory of tensors:
// that is the backend's (abi/kernels.h).
//
// Tensors are freed by their owner (src/scope.ts); finalizers only count what was forgotten.
#include "handles.h"

NAPI_MODULE_INIT() {
  posttrain::add_device_exports(env, exports);
  posttrain::add_tensor_exports(env, exports);
  posttrain::add_transfer_exports(env, exports);
  posttrain::add_file_exports(env, exports);
  posttrain::add_op_exports(env, exports);
  posttrain::add_message_exports(env, exports);
  return exports;
}
