// The backend "cuda-emulated": the ops of ../*.cu by the host compiler, memory of the host. Each op's tensors are what its kernels may touch, inputs
// read only; outputs hold NaN before, so that reading one shows. It fails late, as a GPU does.
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "../../host/host.h"
#include "../cuda.h"

namespace pt_cuda {
namespace {

struct Emulated : Device {  // first, as ops see it
  Emulated(void* host, int order, int capability) : Device{&failure}, order(order), capability(capability), host(host) {
    failure.call = -1;
  }
  Note failure;
  const int order, capability;
  void* host;
  void* (*scratch)(const pt_context*, int64_t) = nullptr;  // the executor's
};
static_assert(std::is_standard_layout_v<Device>);
Emulated& of(void* state) { return *static_cast<Emulated*>(static_cast<Device*>(state)); }

pt_context host_context(const pt_context* ctx) {
  pt_context host = *ctx;
  host.state = of(ctx->state).host;
  return host;
}

void* open(const pt_options* options, char* text, int64_t size) {
  const char* order = getenv("POSTTRAIN_SIMT_ORDER");
  void* host = pt_host_open(options, text, size);
  const int backwards = order != nullptr && strcmp(order, "backwards") == 0;
  // Of the chip whose tensor cores are emulated: 80 to 89, or 90 and later.
  const char* chip = getenv("POSTTRAIN_SIMT_CAPABILITY");
  const int capability = chip != nullptr ? atoi(chip) : 90;
  return host ? static_cast<Device*>(new Emulated(host, backwards, capability)) : nullptr;
}
void close(void* state) {
  pt_host_close(of(state).host);
  delete &of(state);
}
void* allocate(void* state, int64_t bytes) { return pt_host_allocate(of(state).host, bytes); }
void release(void* state, void* data) { pt_host_free(of(state).host, data); }
void trim(void* state) { pt_host_trim(of(state).host); }
int32_t check_guards(void* state) { return pt_host_check_guards(of(state).host); }
void memory(void* state, pt_memory* now) { pt_host_memory(of(state).host, now); }
void reset_peak(void* state) { pt_host_reset_peak(of(state).host); }
const void* borrow(void*, const void*, int64_t) { return nullptr; }

int wait(const pt_context* ctx) {
  Note& note = of(ctx->state).failure;
  if (note.call < 0) return 0;
  tell(ctx, note);
  note.call = -1;
  return 1;
}
int copy_in(const pt_context* ctx, void* to, const void* from, int64_t bytes) {
  return pt_host_copy(ctx, to, from, bytes);
}
int copy_out(const pt_context* ctx, void* to, const void* from, int64_t bytes) {
  return wait(ctx) ? 1 : pt_host_copy(ctx, to, from, bytes);
}
void* take_scratch(const pt_context* ctx, int64_t bytes) {
  const pt_context host = host_context(ctx);
  return pt_host_take_scratch(&host, bytes);
}
void give_scratch(const pt_context* ctx, void* data, int64_t bytes) {
  const pt_context host = host_context(ctx);
  pt_host_give_scratch(&host, data, bytes);
}
void begin_op(const pt_context* ctx) {
  const pt_context host = host_context(ctx);
  pt_host_begin_op(&host);
}
void end_op(const pt_context* ctx) {
  const pt_context host = host_context(ctx);
  pt_host_end_op(&host);
}

// ---- ops, between what their kernels may touch ----

enum class Kind { out, over, in, acc, scalar };
struct Parameter {
  const char* name;
  Kind kind;
};
constexpr int64_t SIZES[PT_DTYPE_COUNT] = {4, 8, 2, 2, 4};

void enter(const Parameter& parameter, const pt_tensor& t, bool dry) {
  if (t.data == nullptr || dry) return;
  const int64_t bytes = elements(t) * SIZES[t.dtype];
  simt::region(parameter.name, t.data, bytes, parameter.kind == Kind::in ? simt::Access::read : simt::Access::both);
  if (parameter.kind == Kind::out) memset(t.data, 0xff, static_cast<size_t>(bytes));
}
void enter(const Parameter&, double, bool) {}
void enter(const Parameter&, int64_t, bool) {}

void* watched_scratch(const pt_context* ctx, int64_t bytes) {
  void* data = of(ctx->state).scratch(ctx, bytes);
  if (data == nullptr || ctx->dry) return data;
  simt::region("scratch", data, bytes, simt::Access::both);
  memset(data, 0xff, static_cast<size_t>(bytes));
  return data;
}

template <class Parameters, auto OP>
struct Watched;
template <class Parameters, class... A, int (*OP)(const pt_context*, A...)>
struct Watched<Parameters, OP> {
  static int run(const pt_context* ctx, A... arguments) {
    simt::set_order(of(ctx->state).order);
    simt::set_capability(of(ctx->state).capability);
    simt::forget_regions();
    simt::region("the device's note", of(ctx->state).note, sizeof(Note), simt::Access::both);
    int i = 0;
    (enter(Parameters::list()[i++], arguments, ctx->dry != 0), ...);
    of(ctx->state).scratch = ctx->scratch;
    pt_context inside = *ctx;
    inside.scratch = watched_scratch;
    return OP(&inside, arguments...);
  }
};

#define OUT(name, dtype, shape) {#name, Kind::out}
#define OVER(name, dtype, shape) {#name, Kind::over}
#define OPT_OUT OUT
#define IN(name, dtype, shape) {#name, Kind::in}
#define OPT_IN IN
#define ACC(name, dtype, shape) {#name, Kind::acc}
#define OPT_ACC ACC
#define REAL(name) {#name, Kind::scalar}
#define INT(name) REAL(name)
#define OP(name, ...)                               \
  struct name##_parameters {                        \
    static const Parameter* list() {                \
      static const Parameter all[] = {__VA_ARGS__}; \
      return all;                                   \
    }                                               \
  };
#include "../../abi/ops.def"
#undef OP

const pt_backend table = {
    PT_ABI_VERSION, 1,    "cuda-emulated", "simt",       open,       close,  allocate,
    release,        trim, check_guards,    memory,       reset_peak, borrow, copy_in,
    copy_out,       wait, take_scratch,    give_scratch, begin_op,   end_op,
#define OP(name, ...) Watched<name##_parameters, name>::run,
#include "../../abi/ops.def"
#undef OP
};

}  // namespace

int launch_kernel(const pt_context* ctx, const Launch& launch) {
  const auto& kernel = *static_cast<const simt::Kernel*>(launch.kernel);
  const auto at = [](const unsigned (&of)[3]) { return dim3(of[0], of[1], of[2]); };
  std::vector<std::max_align_t> arguments(static_cast<size_t>(kernel.bytes) / sizeof(std::max_align_t) + 1);
  kernel.pack(arguments.data(), launch.arguments);
  const char* wrong = simt::run(simt::kernel_name(kernel.pretty), at(launch.grid), at(launch.block),
                                launch.dynamic_bytes, {kernel.run, arguments.data(), kernel.bytes});
  if (wrong) ctx->fail(ctx, "%s", wrong);
  return wrong != nullptr;
}

}  // namespace pt_cuda

extern "C" __attribute__((visibility("default"))) const pt_backend* pt_backend_table(const pt_backend*, char* why,
                                                                                     int64_t size) {
#if defined(__x86_64__)
  if (!__builtin_cpu_supports("fma") || !__builtin_cpu_supports("avx2")) {
    snprintf(why, static_cast<size_t>(size), "the emulated kernels need a processor with AVX2 and FMA");
    return nullptr;
  }
#else
  (void)why, (void)size;
#endif
  return &pt_cuda::table;
}
