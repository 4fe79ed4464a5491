// cosines[m, p] = cos(positions[m] * frequencies[p]) * scale, sines alike: angles, functions and product in double, rounded to
// float once. The scale is YaRN's attention factor (arXiv 2309.00071), 1 without it.
#include "cpu.h"
#include "math64.h"

namespace PT_NAMESPACE {

int rope_table_forward(const pt_context* ctx, pt_tensor cosines, pt_tensor sines, pt_tensor positions,
                       pt_tensor frequencies, double scale) {
  const int64_t angles = frequencies.dims[0];
  parallel_ranges(ctx, positions.dims[0], 16, [=](int64_t begin, int64_t end) {
    for (int64_t m = begin; m < end; m++)
      for (int64_t p = 0; p < angles; p++) {
        double sine, cosine;
        sincos64(static_cast<double>(i32(positions)[m]) * f64(frequencies)[p], &sine, &cosine);
        f32(cosines)[m * angles + p] = static_cast<float>(cosine * scale);
        f32(sines)[m * angles + p] = static_cast<float>(sine * scale);
      }
  });
  return 0;
}

}  // namespace PT_NAMESPACE
