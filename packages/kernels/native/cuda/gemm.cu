// A block of threads makes a tile of C, each thread TM x TN of it in registers. 16 steps of the inner dimension at a time pass through shared
// memory, turned so that a step's numbers are neighbours; while one piece is multiplied the next is fetched into registers, then stored to the
// other half of shared memory: one barrier a piece. The inner dimension is never padded: a step that is not there is not made.
#include "gemm.h"

namespace pt_cuda {
namespace {

constexpr int DEPTH = 16;
static_assert(SUM_BLOCK % DEPTH == 0, "blocks end where pieces do");

// Rows [first, first + EXTENT) of an operand, on their way to shared memory: four neighbours a piece, PIECES a thread.
template <int EXTENT, int THREADS, bool ALONG, bool WIDE>
struct Fetch {
  static constexpr int PIECES = EXTENT * DEPTH / 4 / THREADS;
  static constexpr int STRIDE = EXTENT + 4;
  static constexpr int FLOATS = DEPTH * STRIDE;  // of a piece in shared memory
  float held[PIECES][4];

  // The place of piece p: row and step of its first number.
  static __device__ __forceinline__ int row_of(int p) {
    const int i = static_cast<int>(threadIdx.x) + p * THREADS;
    return ALONG ? i / (DEPTH / 4) : i % (EXTENT / 4) * 4;
  }
  static __device__ __forceinline__ int step_of(int p) {
    const int i = static_cast<int>(threadIdx.x) + p * THREADS;
    return ALONG ? i % (DEPTH / 4) * 4 : i / (EXTENT / 4);
  }
  __device__ __forceinline__ void from(const Operand& x, int64_t first, int64_t rows, int64_t k, int64_t depth) {
#pragma unroll
    for (int p = 0; p < PIECES; p++) {
      const int64_t row = first + row_of(p), step = k + step_of(p);
      const float* const at = x.data + row * x.row + step * x.step;
      if (WIDE && (ALONG ? row < rows && step + 4 <= depth : row + 4 <= rows && step < depth)) {
        const float4 v = load4(at);
        held[p][0] = v.x, held[p][1] = v.y, held[p][2] = v.z, held[p][3] = v.w;
        continue;
      }
#pragma unroll
      for (int i = 0; i < 4; i++) {
        const bool there = ALONG ? row < rows && step + i < depth : row + i < rows && step < depth;
        held[p][i] = there ? at[i * (ALONG ? x.step : x.row)] : 0.0f;
      }
    }
  }
  __device__ __forceinline__ void to(float* shared) const {
#pragma unroll
    for (int p = 0; p < PIECES; p++) {
      float* const at = shared + step_of(p) * STRIDE + row_of(p);
      if (ALONG) {
#pragma unroll
        for (int i = 0; i < 4; i++) at[i * STRIDE] = held[p][i];
      } else {
        store4(at, float4{held[p][0], held[p][1], held[p][2], held[p][3]});
      }
    }
  }
};

// COUNT numbers of a step, in groups of four that are EXTENT / (COUNT / 4) apart: neighbouring threads read neighbouring groups.
template <int EXTENT, int COUNT>
PT_SCALAR void read_step(float (&to)[COUNT], const float* step, int thread) {
#pragma unroll
  for (int group = 0; group < COUNT / 4; group++) {
    const float4 v = load4(step + group * (EXTENT / (COUNT / 4)) + thread * 4);
    to[group * 4] = v.x, to[group * 4 + 1] = v.y, to[group * 4 + 2] = v.z, to[group * 4 + 3] = v.w;
  }
}
// Where number i of those is in the tile.
template <int EXTENT, int COUNT>
PT_SCALAR int place_of(int i, int thread) {
  return i / 4 * (EXTENT / (COUNT / 4)) + thread * 4 + i % 4;
}

template <int BM, int BN, int TM, int TN, bool A_ALONG, bool B_ALONG, bool WIDE, Sum SUM>
__global__ void __launch_bounds__(BM / TM * (BN / TN)) multiply_kernel(Product p) {
  constexpr int THREADS = BM / TM * (BN / TN);
  using FetchA = Fetch<BM, THREADS, A_ALONG, WIDE>;
  using FetchB = Fetch<BN, THREADS, B_ALONG, WIDE>;
  PT_DYNAMIC_SHARED(float, a_steps);
  float* const b_steps = a_steps + 2 * FetchA::FLOATS;
  const int tx = static_cast<int>(threadIdx.x) % (BN / TN), ty = static_cast<int>(threadIdx.x) / (BN / TN);
  const int64_t first_row = static_cast<int64_t>(blockIdx.y) * BM, first_column = static_cast<int64_t>(blockIdx.x) * BN;

  float sum[TM][TN], total[TM][TN];
#pragma unroll
  for (int i = 0; i < TM; i++)
#pragma unroll
    for (int j = 0; j < TN; j++) {
      const int64_t row = first_row + place_of<BM, TM>(i, ty), column = first_column + place_of<BN, TN>(j, tx);
      const bool is_stored = SUM != Sum::blocks && row < p.rows && column < p.columns;
      const float stored = is_stored ? p.c[row * p.c_row + column] : before_first(p.depth);
      sum[i][j] = SUM == Sum::chain ? stored : 0.0f;
      total[i][j] = stored;
    }

  FetchA fetch_a;
  FetchB fetch_b;
  fetch_a.from(p.a, first_row, p.rows, 0, p.depth);
  fetch_b.from(p.b, first_column, p.columns, 0, p.depth);
  fetch_a.to(a_steps);
  fetch_b.to(b_steps);
  __syncthreads();
  for (int64_t k = 0; k < p.depth; k += DEPTH) {
    const int now = static_cast<int>(k / DEPTH % 2);
    const bool more = k + DEPTH < p.depth;
    if (more) {
      fetch_a.from(p.a, first_row, p.rows, k + DEPTH, p.depth);
      fetch_b.from(p.b, first_column, p.columns, k + DEPTH, p.depth);
    }
    const auto step = [&](int s) {
      float a[TM], b[TN];
      read_step<BM, TM>(a, a_steps + now * FetchA::FLOATS + s * FetchA::STRIDE, ty);
      read_step<BN, TN>(b, b_steps + now * FetchB::FLOATS + s * FetchB::STRIDE, tx);
#pragma unroll
      for (int i = 0; i < TM; i++)
#pragma unroll
        for (int j = 0; j < TN; j++) sum[i][j] = multiply_add(a[i], b[j], sum[i][j]);
    };
    if (k + DEPTH <= p.depth) {
#pragma unroll
      for (int s = 0; s < DEPTH; s++) step(s);
    } else {
      for (int s = 0; s < static_cast<int>(p.depth - k); s++) step(s);
    }
    if (SUM != Sum::chain && ((k + DEPTH) % SUM_BLOCK == 0 || !more)) {
#pragma unroll
      for (int i = 0; i < TM; i++)
#pragma unroll
        for (int j = 0; j < TN; j++) {
          total[i][j] = total[i][j] + sum[i][j];
          sum[i][j] = 0.0f;
        }
    }
    if (more) {
      fetch_a.to(a_steps + (1 - now) * FetchA::FLOATS);
      fetch_b.to(b_steps + (1 - now) * FetchB::FLOATS);
      __syncthreads();
    }
  }

#pragma unroll
  for (int i = 0; i < TM; i++) {
    const int64_t row = first_row + place_of<BM, TM>(i, ty);
    if (row >= p.rows) continue;
#pragma unroll
    for (int group = 0; group < TN; group += 4) {
      const int64_t column = first_column + place_of<BN, TN>(group, tx);
      float v[4];
#pragma unroll
      for (int j = 0; j < 4; j++) {
        v[j] = SUM == Sum::chain ? sum[i][group + j] : total[i][group + j];
        if (p.bias && column + j < p.columns) v[j] = v[j] + p.bias[column + j];
      }
      float* const to = p.c + row * p.c_row + column;
      if (WIDE && column + 4 <= p.columns) {
        store4(to, float4{v[0], v[1], v[2], v[3]});
        continue;
      }
#pragma unroll
      for (int j = 0; j < 4; j++)
        if (column + j < p.columns) to[j] = v[j];
    }
  }
}

// From how many large tiles on they are taken: below, the small ones keep more of the device busy. Emulated, tests reach both.
#if defined(PT_EMULATED)
constexpr int64_t LARGE_FROM = 4;
#else
constexpr int64_t LARGE_FROM = 132;
#endif

template <bool A_ALONG, bool B_ALONG, Sum SUM>
int multiply_as(const pt_context* ctx, const Product& p) {
  const auto whole = [](const Operand& x) { return wide(x.data) && (x.row == 1 ? x.step : x.row) % 4 == 0; };
  const bool is_wide = whole(p.a) && whole(p.b) && wide(p.c) && p.c_row % 4 == 0;
  // Large tiles have no registers to spare for numbers that are fetched one by one.
  const bool large = is_wide && ceil_div(p.rows, 128) * ceil_div(p.columns, 128) >= LARGE_FROM;
  const int64_t size = large ? 128 : 64, bytes = 4 * DEPTH * (size + 4) * static_cast<int64_t>(sizeof(float));
  const Shape shape = {
      {count_of(ceil_div(p.columns, size)), count_of(ceil_div(p.rows, size))}, large ? 256u : 128u, bytes};
  if (large) return launch<multiply_kernel<128, 128, 8, 8, A_ALONG, B_ALONG, true, SUM>>(ctx, shape, p);
  return is_wide ? launch<multiply_kernel<64, 64, 8, 4, A_ALONG, B_ALONG, true, SUM>>(ctx, shape, p)
                 : launch<multiply_kernel<64, 64, 8, 4, A_ALONG, B_ALONG, false, SUM>>(ctx, shape, p);
}

}  // namespace

// The three that there are: x w^T, dy w, and dy^T x.
int multiply(const pt_context* ctx, const Product& p, Sum sum) {
  if (sum == Sum::chain) return multiply_as<false, false, Sum::chain>(ctx, p);
  if (p.b.step == 1) return multiply_as<true, true, Sum::blocks>(ctx, p);
  return sum == Sum::blocks ? multiply_as<true, false, Sum::blocks>(ctx, p)
                            : multiply_as<true, false, Sum::more_blocks>(ctx, p);
}

}  // namespace pt_cuda
