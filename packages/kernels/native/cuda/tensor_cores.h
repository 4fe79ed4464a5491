// bf16 tiles on tensor cores: mma.sync m16n8k16, whose bits on each chip emulated/mma.cpp knows, and ldmatrix. Fragments as the PTX ISA has them: of
// the 32 threads of a warp, t has rows g and g + 8 and columns c and c + 1, g = t / 4, c = 2 (t mod 4).
//
// Every sum of products is made in one order: along the inner dimension in steps of 16 from zero, the chip's own arithmetic adding them up; after
// 256 the sum is added in fp32 to the total of those before, which is rounded as fp32 is and does not drift as sums cut toward zero do. What is not
// there counts as zero, up to a multiple of 32. So an element's bits depend on its row and its column alone.
#pragma once
#include "copies.h"

namespace pt_cuda {

#if defined(PT_EMULATED)
PT_SCALAR void multiply_tiles(float (&d)[4], const uint32_t (&a)[4], const uint32_t* b) {
  const uint32_t pair[2] = {b[0], b[1]};
  simt::mma_m16n8k16(d, a, pair, d);
}
PT_SCALAR void load_tiles(uint32_t (&words)[4], const bf16* row) { simt::ldmatrix_x4(words, row); }
PT_SCALAR void load_tiles_turned(uint32_t (&words)[4], const bf16* row) { simt::ldmatrix_x4_turned(words, row); }
#else
// d += a b, of 16 x 16 and 16 x 8 numbers.
PT_SCALAR void multiply_tiles(float (&d)[4], const uint32_t (&a)[4], const uint32_t* b) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
      "{%0, %1, %2, %3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}
// Four tiles of 8 x 8; thread i gives the address of row i mod 8 of tile i / 8.
PT_SCALAR void load_tiles(uint32_t (&words)[4], const bf16* row) {
  const auto address = static_cast<uint32_t>(__cvta_generic_to_shared(row));
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(words[0]), "=r"(words[1]), "=r"(words[2]), "=r"(words[3])
               : "r"(address)
               : "memory");
}
// The same of tiles that lie with rows and columns exchanged.
PT_SCALAR void load_tiles_turned(uint32_t (&words)[4], const bf16* row) {
  const auto address = static_cast<uint32_t>(__cvta_generic_to_shared(row));
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(words[0]), "=r"(words[1]), "=r"(words[2]), "=r"(words[3])
               : "r"(address)
               : "memory");
}
#endif

// The fragment of 16 rows and 16 steps of a left side that begins at `from` in shared memory: its rows `stride` apart, or, where it lies turned, its
// steps.
template <bool TURNED>
PT_SCALAR void load_left(uint32_t (&words)[4], const bf16* from, int stride) {
  const int tile = static_cast<int>(threadIdx.x) % 32 / 8, r = static_cast<int>(threadIdx.x) % 8;
  if (TURNED)
    load_tiles_turned(words, from + (tile / 2 * 8 + r) * stride + tile % 2 * 8);
  else
    load_tiles(words, from + (tile % 2 * 8 + r) * stride + tile / 2 * 8);
}
// Of 16 columns and 16 steps of a right side: words 0 and 1 are for its first 8 columns, 2 and 3 for the others. Its columns lie `stride` apart, or,
// where it lies turned, its steps.
template <bool TURNED>
PT_SCALAR void load_right(uint32_t (&words)[4], const bf16* from, int stride) {
  const int tile = static_cast<int>(threadIdx.x) % 32 / 8, r = static_cast<int>(threadIdx.x) % 8;
  if (TURNED)
    load_tiles_turned(words, from + (tile % 2 * 8 + r) * stride + tile / 2 * 8);
  else
    load_tiles(words, from + (tile / 2 * 8 + r) * stride + tile % 2 * 8);
}
PT_SCALAR uint32_t pack(float low, float high) {
  return static_cast<uint32_t>(round_bf16(low)) | static_cast<uint32_t>(round_bf16(high)) << 16;
}

// Eight numbers to shared memory, of which the first n are there: by cp.async where they are all there and lie so that it can.
PT_SCALAR void copy_eight(bf16* to, const bf16* from, int64_t n, bool is_wide) {
  if (n >= 8 && is_wide) {
    copy_async16(to, from);
    return;
  }
#pragma unroll
  for (int i = 0; i < 8; i++) to[i] = i < n ? from[i] : static_cast<bf16>(0);
}

}  // namespace pt_cuda
