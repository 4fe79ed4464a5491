// The cpu backend's tables: one for each path, and amx, which is avx512 with other products of bf16 matrices. Memory is the host's.
#include "backend.h"

#include "../host/host.h"

#define PT_STRING2(x) #x
#define PT_STRING(x) PT_STRING2(x)

namespace PT_NAMESPACE {
template <TileSource TILES>
static const pt_backend* table(const char* path) {
  static const Backend backend = {{
                                      PT_ABI_VERSION,
                                      0,
                                      "cpu",
                                      path,
                                      PT_HOST_MEMORY,
#define OP(name, ...) name,
#include "../abi/ops.def"
#undef OP
                                  },
                                  TILES};
  return &backend.table;
}
}  // namespace PT_NAMESPACE

extern "C" const pt_backend* PT_CONCAT(pt_backend_cpu_, PT_PATH)() {
  return PT_NAMESPACE::table<PT_NAMESPACE::TileSource::none>(PT_STRING(PT_PATH));
}
#if defined(PT_AVX512)
extern "C" const pt_backend* pt_backend_cpu_amx() {
  return PT_NAMESPACE::table<PT_NAMESPACE::TileSource::processor>("amx");
}
extern "C" const pt_backend* pt_backend_cpu_amx_emulated() {
  return PT_NAMESPACE::table<PT_NAMESPACE::TileSource::software>("amx_emulated");
}
#endif
