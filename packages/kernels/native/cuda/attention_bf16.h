// What bf16 attention's kernels share: products of tiles by tensor cores (tensor_cores.h), a warp to 16 rows. A thread has of a block of 64 columns, in
// rows g and g + 8, columns 8 j + c and 8 j + c + 1 (tensor_cores.h): x[j][0..1] and x[j][2..3].
//
// Sums along a head are one sum of at most 256; sums over a block's 64 keys (queries) are made from zero, and those of blocks join in fp32 in their
// order. What a row does not see takes part with weight zero. Where a number on the other side is large or none (2^16 and more, infinities, NaN), so that
// zero times it would show, it counts as zero, row by row.
#pragma once
#include "attention.h"
#include "tensor_cores.h"

namespace pt_cuda {

using BlockTile = float[BLOCK / 8][4];

// Heads in shared memory: whole steps of 16, and 16 bytes more (gemm_bf16.cu).
inline __host__ __device__ int padded_size(int64_t size) { return static_cast<int>((size + 15) / 16 * 16); }

// `rows` rows of `size` numbers, to `all` rows of `padded`, with zeros where nothing is.
PT_SCALAR void copy_rows(bf16* to, int to_stride, const bf16* from, int64_t stride, int64_t rows, int all, int64_t size,
                         int padded, bool is_wide) {
  const int pieces = padded / 8;
  for (int i = static_cast<int>(threadIdx.x); i < all * pieces; i += static_cast<int>(blockDim.x)) {
    const int row = i / pieces, column = i % pieces * 8;
    copy_eight(to + row * to_stride + column, from + row * stride + column, row < rows ? size - column : 0, is_wide);
  }
}

// x = left right^T along `depth`, of the warp's 16 rows and 64 columns.
template <bool TURNED>
PT_SCALAR void dot_tiles(BlockTile& x, const bf16* left, int left_stride, const bf16* right, int right_stride,
                         int depth) {
#pragma unroll
  for (int j = 0; j < BLOCK / 8; j++)
#pragma unroll
    for (int n = 0; n < 4; n++) x[j][n] = 0.0f;
  for (int d = 0; d < depth; d += 16) {
    uint32_t a[4], b[4];
    load_left<false>(a, left + d, left_stride);
#pragma unroll
    for (int j = 0; j < BLOCK / 8; j += 2) {
      load_right<TURNED>(b, right + (TURNED ? d * right_stride + j * 8 : j * 8 * right_stride + d), right_stride);
      multiply_tiles(x[j], a, b);
      multiply_tiles(x[j + 1], a, b + 2);
    }
  }
}

// Whether one of 64 rows of `columns` numbers in shared memory is large or no number; for the whole warp.
PT_SCALAR bool any_large(const bf16* x, int stride, int columns) {
  int found = 0;
  for (int i = static_cast<int>(threadIdx.x) % 32; i < BLOCK * columns; i += 32)
    found |= (x[i / columns * stride + i % columns] & 0x7f80) >= (127 + 16) << 7 ? 1 : 0;
#pragma unroll
  for (int width = 16; width > 0; width /= 2) found |= __shfl_xor_sync(WHOLE_WARP, found, width);
  return found != 0;
}

// sum = p, rounded to bf16, times the block's 64 rows of `right`, from zero. Row r of the warp sees begin(r) to end(r); p is zero elsewhere.
template <int TILES, class Begin, class End>
PT_SCALAR void weigh_tiles(float (&sum)[TILES][4], const BlockTile& p, const bf16* right, int stride, bool is_large,
                           const Begin& begin, const End& end) {
  uint32_t a[BLOCK / 16][4];
#pragma unroll
  for (int k = 0; k < BLOCK / 16; k++)
#pragma unroll
    for (int n = 0; n < 4; n++) a[k][n] = pack(p[2 * k + n / 2][n % 2 * 2], p[2 * k + n / 2][n % 2 * 2 + 1]);
  if (!is_large) {
#pragma unroll
    for (int j = 0; j < TILES; j++)
#pragma unroll
      for (int n = 0; n < 4; n++) sum[j][n] = 0.0f;
#pragma unroll
    for (int k = 0; k < BLOCK / 16; k++)
#pragma unroll
      for (int j = 0; j < TILES; j += 2) {
        uint32_t b[4];
        load_right<true>(b, right + 16 * k * stride + 8 * j, stride);
        multiply_tiles(sum[j], a[k], b);
        multiply_tiles(sum[j + 1], a[k], b + 2);
      }
    return;
  }
  const int lane = static_cast<int>(threadIdx.x) % 32;
  for (int r = 0; r < 16; r++) {
    const int from = begin(r), to = end(r);
#pragma unroll
    for (int j = 0; j < TILES; j += 2) {
      float own[2][4] = {};
#pragma unroll
      for (int k = 0; k < BLOCK / 16; k++) {
        uint32_t b[4];
        load_right<true>(b, right + 16 * k * stride + 8 * j, stride);
#pragma unroll
        for (int n = 0; n < 4; n++) {
          const int row = 16 * k + lane % 4 * 2 + n % 2 * 8;
          if (row < from || row >= to) b[n] &= 0xffff0000u;
          if (row + 1 < from || row + 1 >= to) b[n] &= 0xffffu;
        }
        multiply_tiles(own[0], a[k], b);
        multiply_tiles(own[1], a[k], b + 2);
      }
#pragma unroll
      for (int n = 0; n < 4; n++)
        if (lane / 4 + n / 2 * 8 == r) sum[j][n] = own[0][n], sum[j + 1][n] = own[1][n];
    }
  }
}

// A sum and the larger one over the four threads that share a row.
PT_SCALAR float add_quarter(float x) {
#pragma unroll
  for (int width = 1; width < 4; width *= 2) x = x + __shfl_xor_sync(WHOLE_WARP, x, width);
  return x;
}
PT_SCALAR float larger_of_quarter(float x) {
#pragma unroll
  for (int width = 1; width < 4; width *= 2) x = larger(x, __shfl_xor_sync(WHOLE_WARP, x, width));
  return x;
}

int attention_forward_bf16(const pt_context* ctx, pt_tensor y, pt_tensor lse, pt_tensor q, pt_tensor k, pt_tensor v,
                           pt_tensor starts, double scale);
int attention_cached_bf16(const pt_context* ctx, pt_tensor y, pt_tensor lse, pt_tensor q, pt_tensor keys,
                          pt_tensor values, pt_tensor starts, pt_tensor lengths, pt_tensor pages, double scale);
// delta (M, H): of attention_backward.cu.
int attention_backward_bf16(const pt_context* ctx, pt_tensor dq, pt_tensor dk, pt_tensor dv, pt_tensor dy,
                            pt_tensor lse, const float* delta, pt_tensor q, pt_tensor k, pt_tensor v, pt_tensor starts,
                            double scale);

}  // namespace pt_cuda
