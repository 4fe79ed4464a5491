// Where tables of backends come from.
#pragma once
#include <string>

#include "../abi/kernels.h"

namespace posttrain {

// The paths of the cpu, fastest first; amx_emulated, which tests alone ask for, is none of them.
constexpr const char* kCpuPaths[] = {"amx", "avx512", "avx2", "plain"};
// The table of a cpu path, null where this machine cannot run it.
const pt_backend* cpu_backend(const std::string& path);

// The table of a library, which stays loaded; null after the reason was put into `why`.
const pt_backend* library_backend(const std::string& file, std::string* why);

}  // namespace posttrain
