// Blocks of a bf16 product on fp32 lanes: the order of TDPBF16PS by fused multiply-adds, for machines without AMX. Both factors are
// widened as they are packed, and each block of 32 along the inner dimension is laid down with its 16 even elements first: a
// register tile then runs one chain over the even ones, parks it, runs the odd ones, and adds both to its totals, which lie in L1.
#pragma once
#include "gemm_bf16_block.h"
#include "gemm_lanes.h"

namespace PT_NAMESPACE {
namespace {

// ---- the register tile ----

template <int R>
PT_INLINE void park(const Rows<R>& rows, float* to) {
  if constexpr (R > 0) {
    park<R - 1>(rows.above, to);
    store_wide(to + (R - 1) * WIDTH, rows.last);
  }
}
template <int R>
PT_INLINE void take(Rows<R>& rows, const float* parked) {
  if constexpr (R > 0) {
    take<R - 1>(rows.above, parked);
    rows.last = load_wide(parked + (R - 1) * WIDTH);
  }
}
// A chain of 16 steps from +0.
template <int R>
PT_INLINE void run_chain(Rows<R>& rows, RowPointers& p, const float*& b) {
  clear(rows);
  for (int k = 0; k < 16; k++) {
    step_rows(rows, p, load_wide(b));
    p.next();
    b += WIDTH;
  }
}

// total (R, WIDTH) += A B over `depth`, a multiple of 32.
template <int R>
__attribute__((noinline)) void run_tile(float* total, const float* a, int64_t a_row, const float* b, int64_t depth) {
  alignas(64) float parked[R * WIDTH];
  RowPointers p = row_pointers<R>(a, a_row);
  for (int64_t k = 0; k < depth; k += 32) {
    Rows<R> even, odd;
    run_chain<R>(even, p, b);
    park<R>(even, parked);
    run_chain<R>(odd, p, b);
    take<R>(even, parked);
    join_chains(even, odd, total, WIDTH, false);
  }
}
PT_INLINE void run_tile_of(int64_t rows, float* total, const float* a, int64_t a_row, const float* b, int64_t depth) {
  with_count<TILE_ROWS>(rows, [&](auto count) { run_tile<decltype(count)::value>(total, a, a_row, b, depth); });
}

// ---- packing ----

// 16 lines of 32 bf16, `from_row` apart, turned: element 2 j of line i to even[j * to_row + i], element 2 j + 1 to odd[j * to_row + i],
// widened. A pair moves as one word of 32 bits.
PT_INLINE void turn_pairs(float* even, float* odd, int64_t to_row, const bf16* from, int64_t from_row) {
#if defined(PT_AVX512) || defined(PT_AVX2)
  turn_words(
      16,
      [&](int line, int word) {
        return _mm_castsi128_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from + line * from_row + 2 * word)));
      },
      [&](int word, int line, auto pairs) {
        const int64_t at = word * to_row + line;
#if defined(PT_AVX512)
        const Words w = (Words)pairs;
        store(even + at, as_lanes(w << 16));
        store(odd + at, as_lanes(w & 0xffff0000u));
#else
        const __m256i w = _mm256_castps_si256(pairs);
        const __m256i upper = _mm256_set1_epi32(static_cast<int32_t>(0xffff0000u));
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(even + at), _mm256_slli_epi32(w, 16));
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(odd + at), _mm256_and_si256(w, upper));
#endif
      });
#else
  for (int i = 0; i < 16; i++)
    for (int j = 0; j < 16; j++) {
      even[j * to_row + i] = widen_bf16(from[i * from_row + 2 * j]);
      odd[j * to_row + i] = widen_bf16(from[i * from_row + 2 * j + 1]);
    }
#endif
}
// The same of the first `lines` lines and `count` elements, the others zero.
static void turn_pairs_of(float* even, float* odd, int64_t to_row, const bf16* from, int64_t from_row, int64_t lines,
                          int64_t count) {
  bf16 block[16 * 32] = {};
  for (int64_t i = 0; i < lines; i++) memcpy(block + i * 32, from + i * from_row, count * sizeof(bf16));
  turn_pairs(even, odd, to_row, block, 32);
}

// `lines` lines that lie along the inner dimension, `stride` apart, into lines of to_row floats: each block of 32 with its even
// elements first, zeros past `depth`.
void widen_lines(float* to, int64_t to_row, const bf16* from, int64_t stride, int64_t lines, int64_t depth) {
  for (int64_t i = 0; i < lines; i++, to += to_row, from += stride) {
    int64_t k = 0;
    for (; k + 32 <= depth; k += 32) {
      store(to + k, load_even(from + k));
      store(to + k + 16, load_odd(from + k));
    }
    if (k == depth) continue;
    bf16 block[32] = {};
    memcpy(block, from + k, (depth - k) * sizeof(bf16));
    store(to + k, load_even(block));
    store(to + k + 16, load_odd(block));
  }
}

// The same of lines that lie across: element k of line i at from[k * stride + i]. Writes whole groups of 32 lines.
void turn_lines(float* to, int64_t to_row, const bf16* from, int64_t stride, int64_t lines, int64_t depth) {
  for (int64_t i = 0; i < lines; i += 32)
    for (int64_t k = 0; k < depth; k += 32)
      for (int64_t odd = 0; odd < 2; odd++) {
        float* line = to + i * to_row + k + 16 * odd;
        const bf16* start = from + (k + odd) * stride + i;
        if (lines - i >= 32 && depth - k >= 32)
          turn_pairs(line, line + to_row, 2 * to_row, start, 2 * stride);
        else
          turn_pairs_of(line, line + to_row, 2 * to_row, start, 2 * stride, smaller(16, (depth - k + 1 - odd) / 2),
                        smaller(32, lines - i));
      }
}

// B's columns into panels of WIDTH, (depth, WIDTH) each, the inner dimension in the order of widen_lines. Columns along the inner
// dimension:
void panels_from_columns(float* to, const bf16* from, int64_t stride, int64_t columns, int64_t depth) {
  const int64_t padded = ceil_div(depth, 32) * 32;
  for (int64_t j = 0; j < columns; j += 16) {
    float* group = to + j / WIDTH * WIDTH * padded + j % WIDTH;
    const bf16* lines = from + j * stride;
    const int64_t n = smaller(16, columns - j);
    for (int64_t k = 0; k < depth; k += 32) {
      float *even = group + k * WIDTH, *odd = even + 16 * WIDTH;
      for (int64_t i = 0; i < 16; i++) __builtin_prefetch(lines + k + (WIDTH + i) * stride, 0, 2);  // of the next panel
      if (n == 16 && depth - k >= 32)
        turn_pairs(even, odd, WIDTH, lines + k, stride);
      else
        turn_pairs_of(even, odd, WIDTH, lines + k, stride, n, smaller(32, depth - k));
    }
  }
  if (columns % WIDTH != 0 && columns % WIDTH <= WIDTH - 16) {  // a panel of which half is not there
    float* panel = to + columns / WIDTH * WIDTH * padded;
    for (int64_t k = 0; k < padded; k++) memset(panel + k * WIDTH + WIDTH - 16, 0, 64);
  }
}
// and across it:
void panels_from_rows(float* to, const bf16* from, int64_t stride, int64_t columns, int64_t depth) {
  const int64_t padded = ceil_div(depth, 32) * 32;
  const int64_t wide = ceil_div(columns, WIDTH) * WIDTH;
  for (int64_t k = 0; k < padded; k++) {
    const int64_t at = k / 32 * 32 + k % 2 * 16 + k % 32 / 2;
    for (int64_t j = 0; j < wide; j += 16) {
      float* line = to + j / WIDTH * WIDTH * padded + at * WIDTH + j % WIDTH;
      const int64_t n = columns - j;
      store(line, k >= depth || n <= 0 ? splat(0.0f)
                  : n >= 16            ? load_bf16(from + k * stride + j)
                                       : load_bf16_first(from + k * stride + j, n));
    }
  }
}

// ---- blocks ----

struct LaneKernel {
  static constexpr int64_t PANEL_WIDTH = WIDTH;
  static constexpr int64_t FLAT_ROWS = 64;  // up to here B is streamed, never packed as a whole
  static constexpr int64_t DEPTH_BLOCK = 1024;
  static constexpr bool WHOLE = false;
  static constexpr int64_t ROW_GAP = 16;  // floats between lines of A, which fall into different sets of L1 then

  static int64_t line(int64_t depth) { return ceil_div(depth, 32) * 32 + ROW_GAP; }
  static int64_t a_bytes(int64_t rows, int64_t depth) { return ceil_div(rows, 32) * 32 * line(depth) * 4; }
  static int64_t b_bytes(int64_t columns, int64_t depth) {
    return ceil_div(columns, WIDTH) * WIDTH * ceil_div(depth, 32) * 32 * 4;
  }

  static void pack_a(char* to, const Factor<bf16>& a, int64_t rows, int64_t depth) {
    float* lines = reinterpret_cast<float*>(to);
    if (a.column == 1)
      widen_lines(lines, line(depth), a.data, a.row, rows, depth);
    else
      turn_lines(lines, line(depth), a.data, a.column, rows, depth);
  }
  static void pack_b(char* to, const Factor<bf16>& b, int64_t columns, int64_t depth) {
    float* panels = reinterpret_cast<float*>(to);
    if (b.column == 1)
      panels_from_rows(panels, b.data, b.row, columns, depth);
    else
      panels_from_columns(panels, b.data, b.column, columns, depth);
  }

  // Rows of A from `row` on, packed a_depth deep, of which the block begins at `k`.
  static void run(const BlockBf16& block, const char* a, int64_t row, int64_t a_depth, int64_t k, const char* b) {
    const int64_t stride = line(a_depth), depth = ceil_div(block.depth, 32) * 32;
    const float* lines = reinterpret_cast<const float*>(a) + row * stride + k;
    const float* panels = reinterpret_cast<const float*>(b);
    const int64_t tiles = ceil_div(block.rows, TILE_ROWS);
    alignas(64) float total[TILE_ROWS * WIDTH];
    for (int64_t i = 0; i < tiles; i++) {
      const int64_t at = i * block.rows / tiles, rows = (i + 1) * block.rows / tiles - at;  // spread evenly
      for (int64_t j = 0; j < block.columns; j += WIDTH) {
        const int64_t columns = smaller(WIDTH, block.columns - j);
        start_totals(block, at, rows, j, columns, total, WIDTH);
        run_tile_of(rows, total, lines + at * stride, stride, panels + j * depth, depth);
        finish_totals(block, at, rows, j, columns, total, WIDTH);
      }
    }
  }

  // The same for at most FLAT_ROWS rows and all of the inner dimension: 32 x WIDTH of B at a time, straight from memory, so that
  // what is read next comes while there is something to compute.
  static void run_streamed(const BlockBf16& block, const char* a, const Factor<bf16>& b) {
    const int64_t stride = line(block.depth);
    const float* lines = reinterpret_cast<const float*>(a);
    const int64_t tiles = ceil_div(block.rows, TILE_ROWS);
    alignas(64) float panel[32 * WIDTH], total[FLAT_ROWS * WIDTH];
    for (int64_t j = 0; j < block.columns; j += WIDTH) {
      const int64_t columns = smaller(WIDTH, block.columns - j);
      start_totals(block, 0, block.rows, j, columns, total, WIDTH);
      for (int64_t k = 0; k < block.depth; k += 32) {
        pack_b(reinterpret_cast<char*>(panel), b.from(k, j), columns, smaller(32, block.depth - k));
        for (int64_t i = 0; i < tiles; i++) {
          const int64_t at = i * block.rows / tiles, rows = (i + 1) * block.rows / tiles - at;
          run_tile_of(rows, total + at * WIDTH, lines + at * stride + k, stride, panel, 32);
        }
      }
      finish_totals(block, 0, block.rows, j, columns, total, WIDTH);
    }
  }
};

}  // namespace
}  // namespace PT_NAMESPACE
