// The products of attention in bf16 with the tiles of amx.h. Operands come widened, in the buffers that the sums by lanes read; here they
// become what tiles load: the left one rows of bf16, the right one pairs of rows side by side.
#pragma once
#include "amx.h"
#include "attention.h"

namespace PT_NAMESPACE {

#if defined(PT_AVX512)

// to[r, :] = from[r, :], which are bf16 already.
static inline void narrow_rows(bf16* to, const float* from, int64_t count) {
  for (int64_t i = 0; i < count; i += LANES)
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to + i),
                        _mm512_cvtepi32_epi16(_mm512_srli_epi32(_mm512_castps_si512(load(from + i).v), 16)));
}
// Word c of pair i: from[2 i, c] below from[2 i + 1, c].
static inline void pair_rows(uint32_t* to, const float* from, int64_t columns, int64_t rows) {
  const __m512i upper = _mm512_set1_epi32(static_cast<int32_t>(0xffff0000u));
  for (int64_t r = 0; r < rows; r += 2, to += columns, from += 2 * columns)
    for (int64_t c = 0; c < columns; c += LANES) {
      const __m512i low = _mm512_srli_epi32(_mm512_castps_si512(load(from + c).v), 16);
      const __m512i high = _mm512_and_si512(_mm512_castps_si512(load(from + columns + c).v), upper);
      _mm512_storeu_si512(to + c, _mm512_or_si512(low, high));
    }
}

// c (rows, columns) from zero or going on, `columns` apart; a (rows, depth); b (depth / 2, columns) pairs. Rows come in 16, columns and
// depth in 32.
template <class Tiles>
static void product_of_tiles(Tiles& tiles, int64_t rows, int64_t columns, int64_t depth, const bf16* a,
                             const uint32_t* b, float* c, bool from_zero) {
  const int64_t a_bytes = depth * 2, b_bytes = columns * 4;
  for (int64_t r = 0; r < rows; r += LANES, a += LANES * depth, c += LANES * columns) {
    for (int64_t n = 0; n < columns; n += 2 * LANES) {
      const bool four = n + 4 * LANES <= columns;
      float* to = c + n;
      if (from_zero) {
        tiles.template zero<0>();
        tiles.template zero<1>();
        if (four) tiles.template zero<2>(), tiles.template zero<3>();
      } else {
        tiles.template load<0>(to, b_bytes);
        tiles.template load<1>(to + LANES, b_bytes);
        if (four) tiles.template load<2>(to + 2 * LANES, b_bytes), tiles.template load<3>(to + 3 * LANES, b_bytes);
      }
      for (int64_t k = 0; k < depth; k += 2 * SUM_PAIRS) {
        const uint32_t* right = b + k / 2 * columns + n;
        tiles.template load<4>(a + k, a_bytes);
        tiles.template load<5>(right, b_bytes);
        tiles.template dot<0, 4, 5>();
        tiles.template load<6>(right + LANES, b_bytes);
        tiles.template dot<1, 4, 6>();
        if (!four) continue;
        tiles.template load<5>(right + 2 * LANES, b_bytes);
        tiles.template dot<2, 4, 5>();
        tiles.template load<6>(right + 3 * LANES, b_bytes);
        tiles.template dot<3, 4, 6>();
      }
      tiles.template store<0>(to, b_bytes);
      tiles.template store<1>(to + LANES, b_bytes);
      if (!four) continue;
      tiles.template store<2>(to + 2 * LANES, b_bytes);
      tiles.template store<3>(to + 3 * LANES, b_bytes);
      n += 2 * LANES;
    }
  }
}

#else
// Named where no path with tiles is compiled.
void narrow_rows(bf16* to, const float* from, int64_t count);
void pair_rows(uint32_t* to, const float* from, int64_t columns, int64_t rows);
#endif

}  // namespace PT_NAMESPACE
