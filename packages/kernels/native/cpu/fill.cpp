// y = value, rounded to float once.
#include "cpu.h"

namespace PT_NAMESPACE {

int fill_forward(const pt_context* ctx, pt_tensor y, double value) {
  float* to = f32(y);
  const float x = static_cast<float>(value);
  parallel_ranges(ctx, elements(y), 1 << 16, [=](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; i++) to[i] = x;
  });
  return 0;
}

}  // namespace PT_NAMESPACE
