// The cpu backend's tables: one for each path, and amx, which is avx512 with other products of bf16 matrices.
#include "cpu.h"

#define PT_STRING2(x) #x
#define PT_STRING(x) PT_STRING2(x)

namespace PT_NAMESPACE {
template <pt_tiles TILES>
static const pt_backend* table(const char* path) {
  static const pt_backend backend = {
      PT_ABI_VERSION,
      "cpu",
      path,
      TILES,
#define OP(name, ...) name,
#include "../abi/ops.def"
#undef OP
  };
  return &backend;
}
}  // namespace PT_NAMESPACE

extern "C" const pt_backend* PT_CONCAT(pt_backend_cpu_, PT_PATH)() {
  return PT_NAMESPACE::table<PT_NO_TILES>(PT_STRING(PT_PATH));
}
#if defined(PT_AVX512)
extern "C" const pt_backend* pt_backend_cpu_amx() { return PT_NAMESPACE::table<PT_AMX_TILES>("amx"); }
extern "C" const pt_backend* pt_backend_cpu_amx_emulated() {
  return PT_NAMESPACE::table<PT_SOFTWARE_TILES>("amx_emulated");
}
#endif
