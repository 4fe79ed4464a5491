// Two or three linear maps (linear.cpp) of one x in one go: q, k and v of attention, gate and up of SwiGLU. Every element is what linear gives:
// x is packed once where rows are few, and threads end together once instead of three times. dx is the sum of the maps' own, each made from zero
// in its own blocks, the last map's first: ((dx3 + dx2) + dx1), which is how a tape adds what three consumers send back.
#include "elementwise.h"
#include "linear.h"

namespace PT_NAMESPACE {

static int refuse_mixed_weights(const pt_context* ctx, pt_tensor first, pt_tensor second, pt_tensor third) {
  if (refuse_mixed(ctx, "weight1", first, "weight2", second)) return 1;
  return third.data && refuse_mixed(ctx, "weight1", first, "weight3", third);
}

// The third is there with all of its parts or none.
static int refuse_part(const pt_context* ctx, const char* name, pt_tensor part, pt_tensor weight) {
  if ((part.data == nullptr) == (weight.data == nullptr)) return 0;
  ctx->fail(ctx, "%s and weight3 come together: one of them is missing", name);
  return 1;
}

int linears_forward(const pt_context* ctx, pt_tensor y1, pt_tensor y2, pt_tensor y3, pt_tensor x, pt_tensor weight1,
                    pt_tensor weight2, pt_tensor weight3, pt_tensor bias1, pt_tensor bias2, pt_tensor bias3) {
  if (refuse_mixed_weights(ctx, weight1, weight2, weight3) || refuse_part(ctx, "y3", y3, weight3)) return 1;
  const LinearMap maps[MOST_TOGETHER] = {{y1, weight1, bias1}, {y2, weight2, bias2}, {y3, weight3, bias3}};
  return linear_maps(ctx, maps, weight3.data ? 3 : 2, x);
}

int linears_backward(const pt_context* ctx, pt_tensor dx, pt_tensor dweight1, pt_tensor dweight2, pt_tensor dweight3,
                     pt_tensor dbias1, pt_tensor dbias2, pt_tensor dbias3, pt_tensor dy1, pt_tensor dy2, pt_tensor dy3,
                     pt_tensor x, pt_tensor weight1, pt_tensor weight2, pt_tensor weight3) {
  if (refuse_mixed_weights(ctx, weight1, weight2, weight3) || refuse_part(ctx, "dy3", dy3, weight3)) return 1;
  const struct {
    pt_tensor dweight, dbias, dy, weight;
  } maps[] = {{dweight1, dbias1, dy1, weight1}, {dweight2, dbias2, dy2, weight2}, {dweight3, dbias3, dy3, weight3}};
  const int64_t count = weight3.data ? 3 : 2, size = elements(dx);
  void* scratch = linear_scratch(ctx, weight1);
  auto* more = static_cast<float*>(ctx->scratch(ctx, size * static_cast<int64_t>(sizeof(float))));
  if (!scratch || !more) return 1;
  for (int64_t i = count - 1; i >= 0; i--) {
    const auto& map = maps[i];
    const bool first = i == count - 1;
    pt_tensor part = dx;
    if (!first) part.data = more;
    if (linear_gradients(ctx, part, map.dweight, map.dbias, map.dy, x, map.weight, scratch)) return 1;
    if (first) continue;
    float* const sum = f32(dx);
    parallel_elements(ctx, size, [=](int64_t begin, int64_t end) {
      each_group(begin, end, [&](int64_t c, int64_t n) { put(sum + c, add(get(sum + c, n), get(more + c, n)), n); });
    });
  }
  return 0;
}

}  // namespace PT_NAMESPACE
