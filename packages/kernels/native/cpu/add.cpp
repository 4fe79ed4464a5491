// y = a + b, element by element; y may be a or b.
#include "elementwise.h"

namespace PT_NAMESPACE {

int add_forward(const pt_context* ctx, pt_tensor y, pt_tensor a, pt_tensor b) {
  float* const to = f32(y);
  const float *const left = f32(a), *const right = f32(b);
  const bool cold = is_cold(y) && to != left && to != right;
  parallel_elements(ctx, elements(y), [=](int64_t begin, int64_t end) {
    each_group(begin, end,
               [&](int64_t i, int64_t n) { put(cold, to + i, add(get(left + i, n), get(right + i, n)), n); });
  });
  return 0;
}

}  // namespace PT_NAMESPACE
