// Measures the machine, not a tensor: every compute thread runs `iterations` rounds of four products of bf16 tiles that stay in their
// registers (4 * 16 * 16 * 32 * 2 floating-point operations a round), into four accumulators, which hides the instruction's latency.
#include "amx.h"

namespace PT_NAMESPACE {

template <class Tiles>
static void probe_tiles(const pt_context* ctx, pt_tensor y, int64_t iterations) {
  float* out = f32(y);
  const int64_t n = elements(y);
  parallel(ctx, ctx->threads, [&](int64_t i, int32_t) {
    alignas(64) uint16_t ones[16 * 32];
    for (uint16_t& one : ones) one = 0x3c00;  // 2^-7: sums stay finite for long
    alignas(64) float sums[16 * 16];
    Tiles tiles;
    tiles.template zero<0>();
    tiles.template zero<1>();
    tiles.template zero<2>();
    tiles.template zero<3>();
    tiles.template load<4>(ones, 64);
    tiles.template load<5>(ones, 64);
    tiles.template load<6>(ones, 64);
    tiles.template load<7>(ones, 64);
    for (int64_t round = 0; round < iterations; round++) {
      tiles.template dot<0, 4, 6>();
      tiles.template dot<1, 4, 7>();
      tiles.template dot<2, 5, 6>();
      tiles.template dot<3, 5, 7>();
    }
    float sum = 0.0f;
    tiles.template store<0>(sums, 64);
    sum += sums[0];
    tiles.template store<1>(sums, 64);
    sum += sums[17];
    tiles.template store<2>(sums, 64);
    sum += sums[34];
    tiles.template store<3>(sums, 64);
    sum += sums[255];
    if (i < n) out[i] = sum;
  });
}

int probe_amx_forward(const pt_context* ctx, pt_tensor y, int64_t iterations) {
  if (iterations < 0 || iterations > 1000000000) {
    ctx->fail(ctx, "iterations is %lld, expected 0 to 1000000000", static_cast<long long>(iterations));
    return 1;
  }
  return with_tiles(ctx, [&](auto tiles) {
    using Tiles = typename decltype(tiles)::type;
    if constexpr (HAS_TILES<Tiles>) {
      probe_tiles<Tiles>(ctx, y, iterations);
      return 0;
    } else {
      (void)y;
      ctx->fail(ctx, "this path has no tiles: only amx has (amx_emulated in tests)");
      return 1;
    }
  });
}

}  // namespace PT_NAMESPACE
