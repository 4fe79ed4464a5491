#include "backends.h"

#include <dlfcn.h>
#if defined(__x86_64__)
#include <cpuid.h>
#endif
#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

extern "C" const pt_backend* pt_backend_cpu_plain();
#if defined(__x86_64__)
extern "C" const pt_backend* pt_backend_cpu_avx2();
extern "C" const pt_backend* pt_backend_cpu_avx512();
extern "C" const pt_backend* pt_backend_cpu_amx();
extern "C" const pt_backend* pt_backend_cpu_amx_emulated();
#endif

namespace posttrain {
namespace {

#if defined(__x86_64__)
// Whether this process may use AMX's tiles for bf16: the processor has them, and Linux, asked once, grants their 8 KB of state (threads
// that live and threads to come).
bool amx_is_granted() {
#if defined(__linux__)
  static const bool granted = [] {
    unsigned a = 0, b = 0, c = 0, d = 0;
    const unsigned tiles = 1u << 24, bf16 = 1u << 22;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || (d & tiles) == 0 || (d & bf16) == 0) return false;
    const long request_permission = 0x1023, tile_data = 18;  // ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA
    return syscall(SYS_arch_prctl, request_permission, tile_data) == 0;
  }();
  return granted;
#else
  return false;
#endif
}
#endif

}  // namespace

const pt_backend* cpu_backend(const std::string& path) {
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
      __builtin_cpu_supports("avx512vl")) {
    if (path == "amx" && amx_is_granted()) return pt_backend_cpu_amx();
    if (path == "amx_emulated") return pt_backend_cpu_amx_emulated();
    if (path == "avx512") return pt_backend_cpu_avx512();
  }
  if (path == "avx2" && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return pt_backend_cpu_avx2();
#endif
  return path == "plain" ? pt_backend_cpu_plain() : nullptr;
}

const pt_backend* library_backend(const std::string& file, std::string* why) {
  void* library = dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    *why = dlerror();
    return nullptr;
  }
  const auto table = reinterpret_cast<pt_backend_table_function*>(dlsym(library, "pt_backend_table"));
  if (table == nullptr) {
    *why = file + " exports no pt_backend_table: it is no library of kernels";
    return nullptr;
  }
  const pt_backend* cpu = nullptr;
  for (const char* path : kCpuPaths)
    if (cpu == nullptr) cpu = cpu_backend(path);
  char reason[512] = "it gives no reason";
  const pt_backend* backend = table(cpu, reason, sizeof reason);
  if (backend == nullptr) *why = reason;
  return backend;
}

}  // namespace posttrain
