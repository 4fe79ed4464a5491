// y = value, rounded to float once, and from there to bf16 where y is.
#include "elementwise.h"

namespace PT_NAMESPACE {

int fill_forward(const pt_context* ctx, pt_tensor y, double value) {
  const f32x16 x = splat(static_cast<float>(value));
  with_float(y, [&](auto to) {
    const bool cold = is_cold(y);
    parallel_elements(ctx, elements(y), [=](int64_t begin, int64_t end) {
      each_group(begin, end, [&](int64_t i, int64_t n) { put(cold, to + i, x, n); });
    });
  });
  return 0;
}

}  // namespace PT_NAMESPACE
