// The seam between the executor and a backend: plain C types, one struct of function pointers, one version number. A backend is a table
// (pt_backend): the cpu's are in the addon, any other is a library that exports pt_backend_table (below).
//
// A backend implements every op of ops.def as a function
//     int op(const pt_context* ctx, pt_tensor a, pt_tensor b, ..., double scalar, ...)
// in the order in which ops.def lists its parameters. It returns 0, or nonzero after ctx->fail(ctx, ...) said why.
// Shapes, dtypes and overlaps were checked against ops.def before the call. No exception crosses this line.
//
// Memory of tensors is the backend's alone: whoever is not the backend does arithmetic on its addresses (views, overlaps) and never reads or
// writes there, but through copy_in and copy_out.
//
// What depends on data (an id outside the table, starts that fall, a page that is not there) is checked by the op, where the data is: ids may
// be an op's output that never was on the host. An op that is done when it returns fails at once and writes nothing. A device that runs behind
// its host (`late`) notes its first failure in memory of its own: which call (ctx->call), which entry, its value. That op and those behind it
// may leave their outputs undefined but write nowhere else, whatever their indices say. wait and copy_out look at the note and report it by
// fail_late. Nothing comes to JavaScript but through these two, so nobody sees a number of a stream that failed.
//
// Gradients: d<parameter> accumulates (ACC, +=), d<activation> overwrites (OUT, =).
#pragma once
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define PT_ABI_VERSION 6
#define PT_MAX_RANK 4
#define PT_MAX_PARAMS 32

typedef enum pt_dtype { PT_F32 = 0, PT_F64 = 1, PT_BF16 = 2, PT_F16 = 3, PT_I32 = 4, PT_DTYPE_COUNT = 5 } pt_dtype;

// How the elements lie in memory. Row-major is the only layout yet; packed weights (transposed for AMX, 4-bit) get
// their own number, so that an op can refuse what it does not read.
typedef enum pt_layout { PT_ROW_MAJOR = 0 } pt_layout;

typedef struct pt_tensor {
  void* data;  // null for an optional tensor that was left out
  int32_t dtype;
  int32_t layout;
  int32_t rank;
  int32_t device;
  int64_t dims[PT_MAX_RANK];
} pt_tensor;

// What a device is opened with.
typedef struct pt_options {
  int64_t memory_limit;  // the most bytes that tensors may take
  int32_t limit_asked;   // by somebody: else a device with memory of its own takes a limit that follows from it
  int32_t index;         // which one, where a backend has several devices
  int32_t guards;        // for tests: marks around each tensor, which check_guards looks at
  int32_t dry;           // memory is counted and not touched
} pt_options;

// What its tensors take, in bytes: live ones now and at most; live and kept for later.
typedef struct pt_memory {
  int64_t limit, in_use, peak, reserved;
  int32_t refused;  // the last allocation failed because the system gives no more, not because of the limit
} pt_memory;

// Whose failure it is, where it is not the call's.
typedef enum pt_cause { PT_NO_MEMORY = 0, PT_DEVICE_LOST = 1 } pt_cause;

typedef struct pt_backend pt_backend;
typedef struct pt_context pt_context;
// What the functions below that run on the executor are called with: one at a time, in the order of the stream.
struct pt_context {
  void* owner;  // the stream
  const pt_backend* backend;
  void* state;      // what open gave
  int32_t threads;  // compute threads, the executor among them
  int32_t dry;      // ops ask for the memory that they would use and compute nothing
  int32_t op;       // of the table: the op at work
  int64_t call;     // its number in the stream
  // Runs body(arg, i, thread) for every i in [0, count), in any order, on all compute threads; returns when all are done. The host's threads:
  // for backends that compute there.
  void (*parallel)(const pt_context* ctx, int64_t count, void (*body)(void* arg, int64_t i, int32_t thread), void* arg);
  // Memory of the backend (take_scratch) for the duration of this op call, 64-byte aligned, not cleared. Fails the op (returns null) when there
  // is none.
  void* (*scratch)(const pt_context* ctx, int64_t bytes);
  // Records why this call fails. printf-like; the executor adds the op's name and shapes.
  void (*fail)(const pt_context* ctx, const char* format, ...);
  // The same where the machine is why, from any of the executor's functions.
  void (*fail_machine)(const pt_context* ctx, pt_cause cause, const char* format, ...);
  // The same of an earlier call, from wait or copy_out.
  void (*fail_late)(const pt_context* ctx, int64_t call, const char* format, ...);
  // What a call of `op` took on the device.
  void (*took)(const pt_context* ctx, int32_t op, int64_t nanoseconds);
};

// The ops' types, pt_add_forward and so on.
#define OUT(name, dtype, shape) pt_tensor name
#define OVER(name, dtype, shape) pt_tensor name
#define OPT_OUT(name, dtype, shape) pt_tensor name
#define IN(name, dtype, shape) pt_tensor name
#define OPT_IN(name, dtype, shape) pt_tensor name
#define ACC(name, dtype, shape) pt_tensor name
#define OPT_ACC(name, dtype, shape) pt_tensor name
#define REAL(name) double name
#define INT(name) int64_t name
#define OP(name, ...) typedef int pt_##name(const pt_context* ctx, __VA_ARGS__);
#include "ops.def"
#undef OP
#undef OUT
#undef OVER
#undef OPT_OUT
#undef IN
#undef OPT_IN
#undef ACC
#undef OPT_ACC
#undef REAL
#undef INT

struct pt_backend {
  uint32_t abi_version;  // PT_ABI_VERSION; checked before anything else
  int32_t late;          // whether ops may fail after they have returned
  const char* name;      // "cpu"
  const char* path;      // what of it: "amx", "avx512", "avx2", "plain"; "amx_emulated" in tests; "" where open says it

  // A device's state, or null after the reason was written to `text`, `size` bytes (no driver, no device). A device that is opened writes what it is
  // there, its path first: "sm_90, NVIDIA H100, 79.2 GiB". A dry one needs nothing but the host. close: when the stream has ended.
  void* (*open)(const pt_options* options, char* text, int64_t size);
  void (*close)(void* state);

  // Memory of tensors, on the thread that enqueues. What is freed may still be used by what was enqueued before, and may at once be handed out
  // for what is enqueued from now on. allocate: 64-byte aligned, not cleared; null when limit or system say no (trim may help).
  void* (*allocate)(void* state, int64_t bytes);
  void (*free)(void* state, void* data);
  // Gives the system what is kept for later. The stream is idle, as for check_guards: how many tensors had their marks overwritten.
  void (*trim)(void* state);
  int32_t (*check_guards)(void* state);
  void (*memory)(void* state, pt_memory* now);
  void (*reset_peak)(void* state);
  // The address at which ops read `bytes` of the host's memory, which will not change, where it lies; null where they cannot.
  const void* (*borrow)(void* state, const void* host, int64_t bytes);

  // On the executor. copy_in: `from`, of the host, is free when it returns. copy_out: `to`, of the host, is written when it returns. wait: all
  // that was called before is done when it returns. The last two fail with what failed before them.
  int (*copy_in)(const pt_context* ctx, void* to, const void* from, int64_t bytes);
  int (*copy_out)(const pt_context* ctx, void* to, const void* from, int64_t bytes);
  int (*wait)(const pt_context* ctx);
  // Memory that ops' working memory is cut from; null when there is none. What is given back may still be used by what was called before.
  void* (*take_scratch)(const pt_context* ctx, int64_t bytes);
  void (*give_scratch)(const pt_context* ctx, void* data, int64_t bytes);
  // Stand around each op: what it took is told to ctx->took then or later, by the next wait at the latest.
  void (*begin_op)(const pt_context* ctx);
  void (*end_op)(const pt_context* ctx);

#define OP(name, ...) pt_##name* name;
#include "ops.def"
#undef OP
};

// What a library exports: its table, or null after the reason why there can be none here was written to `why`. `cpu`: the fastest of this machine.
typedef const pt_backend* pt_backend_table_function(const pt_backend* cpu, char* why, int64_t size);

#ifdef __cplusplus
}
#endif
