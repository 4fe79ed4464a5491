// The cpu backend's table for one path.
#include "cpu.h"

namespace PT_NAMESPACE {
static const pt_backend table = {
    PT_ABI_VERSION,
    "cpu",
#define PT_STRING2(x) #x
#define PT_STRING(x) PT_STRING2(x)
    PT_STRING(PT_PATH),
#define OP(name, ...) name,
#include "../abi/ops.def"
#undef OP
};
}  // namespace PT_NAMESPACE

extern "C" const pt_backend* PT_CONCAT(pt_backend_cpu_, PT_PATH)() { return &PT_NAMESPACE::table; }
