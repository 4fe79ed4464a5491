// cpu/linears.cpp: the maps one after the other, x rounded to bf16 once where the weights are; dx = (dx3 + dx2) + dx1.
#include "linear.h"

namespace pt_cuda {
namespace {

int refuse_part(const pt_context* ctx, const char* name, pt_tensor part, pt_tensor weight) {
  if ((part.data == nullptr) == (weight.data == nullptr)) return 0;
  ctx->fail(ctx, "%s and weight3 come together: one of them is missing", name);
  return 1;
}
int refuse_mixed_weights(const pt_context* ctx, pt_tensor first, pt_tensor second, pt_tensor third) {
  if (refuse_mixed(ctx, "weight1", first, "weight2", second)) return 1;
  return third.data && refuse_mixed(ctx, "weight1", first, "weight3", third);
}

}  // namespace

int linears_forward(const pt_context* ctx, pt_tensor y1, pt_tensor y2, pt_tensor y3, pt_tensor x, pt_tensor weight1,
                    pt_tensor weight2, pt_tensor weight3, pt_tensor bias1, pt_tensor bias2, pt_tensor bias3) {
  if (refuse_mixed_weights(ctx, weight1, weight2, weight3) || refuse_part(ctx, "y3", y3, weight3)) return 1;
  if (is_bf16(weight1)) x = as_bf16(ctx, x);
  if (!x.data) return 1;
  return linear_forward(ctx, y1, x, weight1, bias1) || linear_forward(ctx, y2, x, weight2, bias2) ||
         (weight3.data && linear_forward(ctx, y3, x, weight3, bias3));
}

int linears_backward(const pt_context* ctx, pt_tensor dx, pt_tensor dweight1, pt_tensor dweight2, pt_tensor dweight3,
                     pt_tensor dbias1, pt_tensor dbias2, pt_tensor dbias3, pt_tensor dy1, pt_tensor dy2, pt_tensor dy3,
                     pt_tensor x, pt_tensor weight1, pt_tensor weight2, pt_tensor weight3) {
  if (refuse_mixed_weights(ctx, weight1, weight2, weight3) || refuse_part(ctx, "dy3", dy3, weight3)) return 1;
  const struct {
    pt_tensor dweight, dbias, dy, weight;
  } maps[] = {{dweight1, dbias1, dy1, weight1}, {dweight2, dbias2, dy2, weight2}, {dweight3, dbias3, dy3, weight3}};
  const int count = weight3.data ? 3 : 2;
  if (is_bf16(weight1)) x = as_bf16(ctx, x);
  if (!x.data) return 1;
  pt_tensor more = dx;
  more.data = ctx->scratch(ctx, elements(dx) * static_cast<int64_t>(sizeof(float)));
  if (!more.data) return 1;
  for (int i = count - 1; i >= 0; i--) {
    const auto& map = maps[i];
    const bool first = i == count - 1;
    if (linear_gradients(ctx, first ? dx : more, map.dweight, map.dbias, map.dy, x, map.weight)) return 1;
    if (!first && add_forward(ctx, dx, dx, more)) return 1;
  }
  return 0;
}

}  // namespace pt_cuda
