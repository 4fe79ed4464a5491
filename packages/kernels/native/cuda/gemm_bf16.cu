// A block of threads makes a tile of C, each warp a part of it in tiles of 16 x 8. Pieces of 32 steps come to shared memory by cp.async, two of them on
// their way while one is multiplied: one barrier a piece. Rows in shared memory are 16 bytes longer than they are, so that ldmatrix finds no two of
// its rows in one bank.
#include "gemm_bf16.h"

#include "tensor_cores.h"

namespace pt_cuda {
namespace {

constexpr int DEPTH = 32, STAGES = 3;
static_assert(SUM_BLOCK % DEPTH == 0, "blocks end where pieces do");

// Rows [first, first + EXTENT) of an operand in shared memory: rows that lie along the inner dimension, or across it.
template <int EXTENT, bool ALONG>
struct Piece {
  static constexpr int STRIDE = (ALONG ? DEPTH : EXTENT) + 8;
  static constexpr int SIZE = (ALONG ? EXTENT : DEPTH) * STRIDE;

  static __device__ __forceinline__ void copy(bf16* to, const OperandBf16& x, int64_t first, int64_t rows, int64_t k,
                                              int64_t depth, bool is_wide) {
    for (int i = static_cast<int>(threadIdx.x); i < EXTENT * DEPTH / 8; i += static_cast<int>(blockDim.x)) {
      const int row = ALONG ? i / (DEPTH / 8) : i % (EXTENT / 8) * 8;
      const int step = ALONG ? i % (DEPTH / 8) * 8 : i / (EXTENT / 8);
      const int64_t rows_left = rows - first - row, steps_left = depth - k - step;
      const int64_t n = rows_left <= 0 || steps_left <= 0 ? 0 : ALONG ? steps_left : rows_left;
      copy_eight(to + (ALONG ? row * STRIDE + step : step * STRIDE + row),
                 x.data + (first + row) * x.row + (k + step) * x.step, n, is_wide);
    }
  }
  // Where the fragments of rows from `row` and steps from `step` begin.
  static __device__ __forceinline__ const bf16* at(const bf16* piece, int row, int step) {
    return piece + (ALONG ? row * STRIDE + step : step * STRIDE + row);
  }
};

template <int BM, int BN, int WM, int WN, bool A_ALONG, bool B_ALONG>
__global__ void __launch_bounds__(BM / WM * (BN / WN) * 32) multiply_bf16_kernel(ProductBf16 p, bool is_wide) {
  using PieceA = Piece<BM, A_ALONG>;
  using PieceB = Piece<BN, B_ALONG>;
  constexpr int MS = WM / 16, NS = WN / 8;
  PT_DYNAMIC_SHARED(bf16, shared);
  const int lane = static_cast<int>(threadIdx.x) % 32, warp = static_cast<int>(threadIdx.x) / 32;
  const int warp_row = warp / (BN / WN) * WM, warp_column = warp % (BN / WN) * WN;
  const int64_t first_row = static_cast<int64_t>(blockIdx.y) * BM, first_column = static_cast<int64_t>(blockIdx.x) * BN;
  // Of number n of the thread's four of tile (i, j).
  const auto row_of = [&](int i, int n) { return first_row + warp_row + 16 * i + lane / 4 + n / 2 * 8; };
  const auto column_of = [&](int j, int n) { return first_column + warp_column + 8 * j + lane % 4 * 2 + n % 2; };

  float sum[MS][NS][4], total[MS][NS][4];
#pragma unroll
  for (int i = 0; i < MS; i++)
#pragma unroll
    for (int j = 0; j < NS; j++)
#pragma unroll
      for (int n = 0; n < 4; n++) {
        const bool stored = p.from_c && row_of(i, n) < p.rows && column_of(j, n) < p.columns;
        sum[i][j][n] = 0.0f;
        total[i][j][n] =
            stored ? static_cast<const float*>(p.c)[row_of(i, n) * p.c_row + column_of(j, n)] : before_first(p.depth);
      }

  const int64_t pieces = ceil_div(p.depth, DEPTH);
  const auto fetch = [&](int64_t piece) {
    if (piece < pieces) {
      bf16* const stage = shared + piece % STAGES * (PieceA::SIZE + PieceB::SIZE);
      PieceA::copy(stage, p.a, first_row, p.rows, piece * DEPTH, p.depth, is_wide);
      PieceB::copy(stage + PieceA::SIZE, p.b, first_column, p.columns, piece * DEPTH, p.depth, is_wide);
    }
    commit_async();
  };
  for (int64_t piece = 0; piece < STAGES - 1; piece++) fetch(piece);
  for (int64_t piece = 0; piece < pieces; piece++) {
    wait_async<STAGES - 2>();
    __syncthreads();
    fetch(piece + STAGES - 1);
    const bf16* const a_piece = shared + piece % STAGES * (PieceA::SIZE + PieceB::SIZE);
    const bf16* const b_piece = a_piece + PieceA::SIZE;
#pragma unroll
    for (int step = 0; step < DEPTH; step += 16) {
      uint32_t a[MS][4], b[NS / 2][4];
#pragma unroll
      for (int i = 0; i < MS; i++)
        load_left<!A_ALONG>(a[i], PieceA::at(a_piece, warp_row + 16 * i, step), PieceA::STRIDE);
#pragma unroll
      for (int j = 0; j < NS / 2; j++)
        load_right<!B_ALONG>(b[j], PieceB::at(b_piece, warp_column + 16 * j, step), PieceB::STRIDE);
#pragma unroll
      for (int i = 0; i < MS; i++)
#pragma unroll
        for (int j = 0; j < NS; j++) multiply_tiles(sum[i][j], a[i], b[j / 2] + j % 2 * 2);
    }
    if ((piece + 1) * DEPTH % SUM_BLOCK != 0 && piece + 1 < pieces) continue;
#pragma unroll
    for (int i = 0; i < MS; i++)
#pragma unroll
      for (int j = 0; j < NS; j++)
#pragma unroll
        for (int n = 0; n < 4; n++) {
          total[i][j][n] = total[i][j][n] + sum[i][j][n];
          sum[i][j][n] = 0.0f;
        }
  }
  wait_async<0>();

#pragma unroll
  for (int i = 0; i < MS; i++)
#pragma unroll
    for (int n = 0; n < 4; n += 2) {
      const int64_t row = row_of(i, n);
      if (row >= p.rows) continue;
#pragma unroll
      for (int j = 0; j < NS; j++) {
        const int64_t column = column_of(j, 0), at = row * p.c_row + column;
        float v[2];
#pragma unroll
        for (int e = 0; e < 2; e++) {
          v[e] = total[i][j][n + e];
          if (p.bias && column + e < p.columns) v[e] = v[e] + widen(p.bias[column + e]);
        }
        if (is_wide && column + 2 <= p.columns) {
          if (p.c_narrow)
            *reinterpret_cast<uint32_t*>(static_cast<bf16*>(p.c) + at) = pack(v[0], v[1]);
          else
            *reinterpret_cast<float2*>(static_cast<float*>(p.c) + at) = float2{v[0], v[1]};
          continue;
        }
#pragma unroll
        for (int e = 0; e < 2; e++) {
          if (column + e >= p.columns) continue;
          if (p.c_narrow)
            static_cast<bf16*>(p.c)[at + e] = round_bf16(v[e]);
          else
            static_cast<float*>(p.c)[at + e] = v[e];
        }
      }
    }
}

template <int BM, int BN, int WM, int WN, bool A_ALONG, bool B_ALONG>
int multiply_in(const pt_context* ctx, const ProductBf16& p) {
  const auto whole = [](const OperandBf16& x) { return wide(x.data) && (x.row == 1 ? x.step : x.row) % 8 == 0; };
  const bool is_wide = whole(p.a) && whole(p.b) && wide(static_cast<const float*>(p.c)) && p.c_row % 2 == 0;
  const Shape shape = {{count_of(ceil_div(p.columns, BN)), count_of(ceil_div(p.rows, BM))},
                       BM / WM * (BN / WN) * 32,
                       2 * STAGES * (Piece<BM, A_ALONG>::SIZE + Piece<BN, B_ALONG>::SIZE)};
  return launch<multiply_bf16_kernel<BM, BN, WM, WN, A_ALONG, B_ALONG>>(ctx, shape, p, is_wide);
}

// From how many large tiles on they are taken: below, the small ones keep more of the device busy. Emulated, tests reach both.
#if defined(PT_EMULATED)
constexpr int64_t LARGE_FROM = 2;
#else
constexpr int64_t LARGE_FROM = 132;
#endif

template <bool A_ALONG, bool B_ALONG>
int multiply_as(const pt_context* ctx, const ProductBf16& p) {
  if (ceil_div(p.rows, 128) * ceil_div(p.columns, 128) >= LARGE_FROM)
    return multiply_in<128, 128, 64, 32, A_ALONG, B_ALONG>(ctx, p);
  return multiply_in<64, 64, 32, 32, A_ALONG, B_ALONG>(ctx, p);
}

}  // namespace

// The three that there are: x w^T, dy w, and dy^T x.
int multiply(const pt_context* ctx, const ProductBf16& p) {
  if (p.a.step != 1) return multiply_as<false, false>(ctx, p);
  if (p.b.step != 1) return multiply_as<true, false>(ctx, p);
  // Decoding has a few rows: weights are read once, by many blocks.
  if (p.rows <= 16) return multiply_in<16, 64, 16, 16, true, true>(ctx, p);
  return multiply_as<true, true>(ctx, p);
}

pt_tensor as_bf16(const pt_context* ctx, pt_tensor x) {
  if (is_bf16(x)) return x;
  pt_tensor y = x;
  y.dtype = PT_BF16;
  y.data = ctx->scratch(ctx, elements(x) * 2 + 2);
  if (y.data && convert_forward(ctx, y, x)) y.data = nullptr;
  return y;
}

}  // namespace pt_cuda
