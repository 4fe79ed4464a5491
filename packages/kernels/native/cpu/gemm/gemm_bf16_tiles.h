// Blocks of a bf16 product on AMX's tiles (amx.h). Both factors are packed into tiles of 1 KB: A by 16 rows and 32 of the inner
// dimension as they are, B with the two elements of a pair of rows side by side; two tiles of rows, or of columns, alternate along the inner dimension. 2 x 2
// tiles of C are at work at a time. 32 rows of A fit L1 (their depth is at most TILE_DEPTH_BLOCK), while the panels of B come from L2.
#pragma once
#include "../amx.h"
#include "gemm_bf16_block.h"
#include "gemm_lanes.h"

#if defined(PT_AVX512)
namespace PT_NAMESPACE {
namespace {

// 16 words of 32 bits from each of 16 lines, `from_row` bytes apart, turned: to[j * 16 + i] = word j of line i.
PT_INLINE void turn_tile(uint32_t* to, const void* from, int64_t from_row) {
  turn_words(
      16,
      [&](int line, int word) {
        return _mm_loadu_ps(
            reinterpret_cast<const float*>(static_cast<const char*>(from) + line * from_row + 4 * word));
      },
      [&](int word, int, __m512 x) { _mm512_store_ps(to + 16 * word, x); });
}

// `n` elements of two lines, side by side: 16 words, zeros past n. A line that is not there is null.
PT_INLINE Words pair_up(const bf16* first, const bf16* second, int64_t n) {
  const __mmask16 mask = first_lanes(smaller(16, n));
  const auto words = [&](const bf16* line) {
    return line ? (Words)_mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(mask, line)) : Words{};
  };
  return words(first) | words(second) << 16;
}

// Tiles of 16 lines that lie along the inner dimension: as they are, or turned; zeros past what is there.
template <bool TURNED>
void tile_from_lines(uint32_t* to, const bf16* from, int64_t stride, int64_t lines, int64_t depth) {
  alignas(64) bf16 block[16 * 32];
  if (lines < 16 || depth < 32) {
    memset(block, 0, sizeof block);
    for (int64_t i = 0; i < lines; i++) memcpy(block + 32 * i, from + i * stride, smaller(32, depth) * sizeof(bf16));
    from = block;
    stride = 32;
  }
  if constexpr (TURNED)
    turn_tile(to, from, stride * static_cast<int64_t>(sizeof(bf16)));
  else
    for (int64_t i = 0; i < 16; i++) memcpy(to + 16 * i, from + i * stride, 64);
}
// Tiles of 16 lines that lie across: element k of line i at from[k * stride + i].
template <bool TURNED>
void tile_from_pairs(uint32_t* to, const bf16* from, int64_t stride, int64_t lines, int64_t depth) {
  alignas(64) uint32_t pairs[256];
  uint32_t* const target = TURNED ? to : pairs;
  for (int64_t k = 0; k < 32; k += 2) {
    const bf16* first = k < depth ? from + k * stride : nullptr;
    const bf16* second = k + 1 < depth ? from + (k + 1) * stride : nullptr;
    _mm512_store_si512(target + 8 * k, (__m512i)pair_up(first, second, lines));
  }
  if constexpr (!TURNED) turn_tile(to, pairs, 64);
}

template <class Tiles>
struct TileKernel {
  static constexpr int64_t PANEL_WIDTH = 32;
  static constexpr int64_t FLAT_ROWS = 64;  // up to here B is streamed, never packed as a whole
  static constexpr int64_t DEPTH_BLOCK = 640;
  static constexpr bool WHOLE = true;
  static constexpr int64_t STEP_BYTES = 2 * TILE_BYTES;  // of A, and of B, for 32 of the inner dimension

  static int64_t steps(int64_t depth) { return ceil_div(depth, 32); }
  static int64_t a_bytes(int64_t rows, int64_t depth) { return ceil_div(rows, 32) * steps(depth) * STEP_BYTES; }
  static int64_t b_bytes(int64_t columns, int64_t depth) { return a_bytes(columns, depth); }

  // 32 lines for each row of tiles, two of them after one another for each step. TURNED: B's tiles.
  template <bool TURNED>
  static void pack(char* to, const bf16* data, int64_t across, bool along, int64_t lines, int64_t depth) {
    for (int64_t i = 0; i < ceil_div(lines, 32) * 32; i += 16) {
      char* tiles = to + i / 32 * steps(depth) * STEP_BYTES + i % 32 / 16 * TILE_BYTES;
      const int64_t n = lines - i < 0 ? 0 : smaller(16, lines - i);
      for (int64_t k = 0; k < depth; k += 32) {
        auto* tile = reinterpret_cast<uint32_t*>(tiles + k / 32 * STEP_BYTES);
        if (TURNED && along)
          for (int64_t line = 0; line < 16; line++)  // of the next panel
            __builtin_prefetch(data + (i + 32 + line) * across + k, 0, 2);
        if (n == 0)
          memset(tile, 0, TILE_BYTES);
        else if (along)
          tile_from_lines<TURNED>(tile, data + i * across + k, across, n, depth - k);
        else
          tile_from_pairs<TURNED>(tile, data + k * across + i, across, n, depth - k);
      }
    }
  }
  static void pack_a(char* to, const Factor<bf16>& a, int64_t rows, int64_t depth) {
    const bool along = a.column == 1;
    pack<false>(to, a.data, along ? a.row : a.column, along, rows, depth);
  }
  static void pack_b(char* to, const Factor<bf16>& b, int64_t columns, int64_t depth) {
    const bool along = b.row == 1 && b.column != 1;
    pack<true>(to, b.data, along ? b.column : b.row, along, columns, depth);
  }

  // 32 (or, not TWO, 16) x 32 totals, from and to `total` or C itself, rows `row` bytes apart.
  template <bool TWO>
  static void run_tile(Tiles& tiles, float* total, int64_t row, bool from_zero, const char* a, const char* b,
                       int64_t steps) {
    float* const below = reinterpret_cast<float*>(reinterpret_cast<char*>(total) + 16 * row);
    if (from_zero) {
      tiles.template zero<0>(), tiles.template zero<1>();
      if (TWO) tiles.template zero<2>(), tiles.template zero<3>();
    } else {
      tiles.template load<0>(total, row), tiles.template load<1>(total + 16, row);
      if (TWO) tiles.template load<2>(below, row), tiles.template load<3>(below + 16, row);
    }
    for (int64_t k = 0; k < steps; k++, a += STEP_BYTES, b += STEP_BYTES) {
      tiles.template load<6>(b, 64);
      tiles.template load<4>(a, 64);
      tiles.template dot<0, 4, 6>();
      tiles.template load<7>(b + TILE_BYTES, 64);
      tiles.template dot<1, 4, 7>();
      if (TWO) {
        tiles.template load<5>(a + TILE_BYTES, 64);
        tiles.template dot<2, 5, 6>();
        tiles.template dot<3, 5, 7>();
      }
    }
    tiles.template store<0>(total, row), tiles.template store<1>(total + 16, row);
    if (TWO) tiles.template store<2>(below, row), tiles.template store<3>(below + 16, row);
  }

  // Rows of A from `row` on, a multiple of 32, packed a_depth deep, of which the block begins at `k`.
  static void run(const BlockBf16& block, const char* a, int64_t row, int64_t a_depth, int64_t k, const char* b) {
    Tiles tiles;
    const int64_t a_row = steps(a_depth) * STEP_BYTES, count = steps(block.depth);
    alignas(64) float total[32 * 32];
    a += row / 32 * a_row + k / 32 * STEP_BYTES;
    for (int64_t i = 0; i < block.rows; i += 32, a += a_row)
      for (int64_t j = 0; j < block.columns; j += 32) {
        const int64_t rows = smaller(32, block.rows - i), columns = smaller(32, block.columns - j);
        const char* panel = b + j / 32 * count * STEP_BYTES;
        // Whole tiles of an f32 C are loaded from it and stored to it; others, and a bias, by way of `total`.
        const bool direct = block.to && !block.bias && columns == 32 && (rows == 32 || rows == 16);
        float* const at = direct ? block.to + i * block.row + j : total;
        const int64_t stride = (direct ? block.row : 32) * static_cast<int64_t>(sizeof(float));
        if (!direct && block.from_c) start_totals(block, i, rows, j, columns, total, 32);
        if (rows > 16)
          run_tile<true>(tiles, at, stride, !block.from_c, a, panel, count);
        else
          run_tile<false>(tiles, at, stride, !block.from_c, a, panel, count);
        if (!direct) finish_totals(block, i, rows, j, columns, total, 32);
      }
  }

  // The same for at most FLAT_ROWS rows and all of the inner dimension: STREAM_DEPTH x 32 of B at a time, straight from memory. A piece is
  // packed while tiles of the one before are at work: they could not be loaded from stores that have not left the core.
  static constexpr int64_t STREAM_DEPTH = 128;
  static void run_streamed(const BlockBf16& block, const char* a, const Factor<bf16>& b) {
    Tiles tiles;
    const int64_t a_row = steps(block.depth) * STEP_BYTES;
    alignas(64) char piece[2][STREAM_DEPTH / 32 * STEP_BYTES];
    alignas(64) float total[FLAT_ROWS * 32];
    for (int64_t j = 0; j < block.columns; j += 32) {
      const int64_t columns = smaller(32, block.columns - j);
      start_totals(block, 0, block.rows, j, columns, total, 32);
      for (int64_t k = 0; k < block.depth + STREAM_DEPTH; k += STREAM_DEPTH) {
        if (k < block.depth)
          pack_b(piece[k / STREAM_DEPTH % 2], b.from(k, j), columns, smaller(STREAM_DEPTH, block.depth - k));
        if (k == 0) continue;
        const int64_t before = k - STREAM_DEPTH, count = steps(smaller(STREAM_DEPTH, block.depth - before));
        const char* from = a + before / 32 * STEP_BYTES;
        for (int64_t i = 0; i < block.rows; i += 32, from += a_row)
          if (block.rows - i > 16)
            run_tile<true>(tiles, total + 32 * i, 128, false, from, piece[before / STREAM_DEPTH % 2], count);
          else
            run_tile<false>(tiles, total + 32 * i, 128, false, from, piece[before / STREAM_DEPTH % 2], count);
      }
      finish_totals(block, 0, block.rows, j, columns, total, 32);
    }
  }
};

}  // namespace
}  // namespace PT_NAMESPACE
#else
namespace PT_NAMESPACE {
namespace {
template <class Tiles>
struct TileKernel;  // named where no path with tiles is compiled
}  // namespace
}  // namespace PT_NAMESPACE
#endif
