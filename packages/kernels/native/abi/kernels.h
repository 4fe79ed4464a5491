// The seam between the executor and a backend: plain C types, one struct of function pointers, one version number.
//
// A backend implements every op of ops.def as a function
//     int op(const pt_context* ctx, pt_tensor a, pt_tensor b, ..., double scalar, ...)
// in the order in which ops.def lists its parameters. It returns 0, or nonzero after pt_fail(ctx, ...) said why.
// Shapes and dtypes were checked against ops.def before the call; data-dependent errors (a token id outside the
// table) are the op's own. No exception crosses this line.
//
// Gradients: d<parameter> accumulates (ACC, +=), d<activation> overwrites (OUT, =).
#pragma once
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define PT_ABI_VERSION 2
#define PT_MAX_RANK 4
#define PT_MAX_PARAMS 24

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

// Tiles that products of bf16 matrices are made with (cpu/amx.h): none, the processor's, or the same in C++ (tests).
typedef enum pt_tiles { PT_NO_TILES = 0, PT_AMX_TILES = 1, PT_SOFTWARE_TILES = 2 } pt_tiles;

typedef struct pt_context pt_context;
struct pt_context {
  void* owner;
  pt_tiles tiles;   // the backend's
  int32_t threads;  // compute threads, the executor among them
  // Runs body(arg, i, thread) for every i in [0, count), in any order, on all compute threads; returns when all are done.
  void (*parallel)(const pt_context* ctx, int64_t count, void (*body)(void* arg, int64_t i, int32_t thread), void* arg);
  // Memory for the duration of this op call, 64-byte aligned, not cleared. Fails the op (returns null) when there is none.
  void* (*scratch)(const pt_context* ctx, int64_t bytes);
  // Records why the op fails. printf-like; the executor adds the op's name and shapes.
  void (*fail)(const pt_context* ctx, const char* format, ...);
};

typedef struct pt_backend {
  uint32_t abi_version;  // PT_ABI_VERSION; checked before anything else
  const char* name;      // "cpu"
  const char* path;      // "amx", "avx512", "avx2", "plain"; "amx_emulated" in tests
  pt_tiles tiles;
#define OUT(name, dtype, shape) pt_tensor name
#define OPT_OUT(name, dtype, shape) pt_tensor name
#define IN(name, dtype, shape) pt_tensor name
#define OPT_IN(name, dtype, shape) pt_tensor name
#define ACC(name, dtype, shape) pt_tensor name
#define OPT_ACC(name, dtype, shape) pt_tensor name
#define REAL(name) double name
#define INT(name) int64_t name
#define OP(name, ...) int (*name)(const pt_context* ctx, __VA_ARGS__);
#include "ops.def"
#undef OP
#undef OUT
#undef OPT_OUT
#undef IN
#undef OPT_IN
#undef ACC
#undef OPT_ACC
#undef REAL
#undef INT
} pt_backend;

#ifdef __cplusplus
}
#endif
