// cpu/gather_ids.cpp
#include "cuda.h"

namespace pt_cuda {
namespace {

__global__ void gather_ids_kernel(const Note* note, int32_t* y, const int32_t* x, const int32_t* rows, int64_t count) {
  const int64_t r = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (!failed(note) && r < count) y[r] = x[rows[r]];
}

}  // namespace

int gather_ids_forward(const pt_context* ctx, pt_tensor y, pt_tensor x, pt_tensor rows) {
  constexpr int THREADS = 256;
  if (check_rows(ctx, rows, x.dims[0], "rows", "x")) return 1;
  return launch<gather_ids_kernel>(ctx, {count_of(ceil_div(y.dims[0], THREADS)), THREADS}, note_of(ctx), i32(y), i32(x),
                                   i32(rows), y.dims[0]);
}

}  // namespace pt_cuda
