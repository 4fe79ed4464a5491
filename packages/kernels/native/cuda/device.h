// A GPU as the ops see it, and what they call of it: shared by the ops' files, which nvcc or the emulation compile, and by what holds the device,
// which the host's compiler takes (device.cpp, emulated/device.cpp).
#pragma once
#include <stdint.h>

#include "../abi/kernels.h"

namespace pt_cuda {

// The device's note of its first failure, in its own memory. Texts are the host's: they go through the device as they are and are read where
// the note is told.
enum class Failure : int32_t { row, starts, length, page, seen };
struct Note {
  int64_t call;  // -1: none
  Failure kind;
  int32_t value;
  int64_t at, limit;
  const char *index, *table, *what;
  int64_t other;  // new keys of a length, block of a page, end of what was seen
};
// Reports a failure that the device has noted (ctx->fail_late), in the cpu's words.
void tell(const pt_context* ctx, const Note& note);

struct Device {
  Note* note;
};
inline const Device& device_of(const pt_context* ctx) { return *static_cast<const Device*>(ctx->state); }
inline Note* note_of(const pt_context* ctx) { return device_of(ctx).note; }

// A kernel, known by an address of the host's: nvcc's stub, or what the emulation knows of it (simt::Kernel). `arguments`: a pointer to each.
struct Launch {
  const void* kernel;
  unsigned grid[3], block[3];
  int64_t dynamic_bytes;
  void** arguments;
};
int launch_kernel(const pt_context* ctx, const Launch& launch);

#define OP(name, ...) pt_##name name;
#include "../abi/ops.def"
#undef OP

}  // namespace pt_cuda
