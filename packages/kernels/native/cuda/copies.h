// Rows from global to shared memory: by cp.async, 16 bytes at a time, where they are aligned to it, else number by number.
#pragma once
#include "lanes.h"

namespace pt_cuda {

#if defined(PT_EMULATED)
PT_SCALAR void copy_async16(void* to, const void* from) { simt::copy_async(to, from, 16); }
PT_SCALAR void commit_async() { simt::commit_async(); }
template <int PENDING>
PT_SCALAR void wait_async() {
  simt::wait_async(PENDING);
}
#else
PT_SCALAR void copy_async16(void* to, const void* from) {
  const auto address = static_cast<uint32_t>(__cvta_generic_to_shared(to));
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(address), "l"(from) : "memory");
}
PT_SCALAR void commit_async() { asm volatile("cp.async.commit_group;" ::: "memory"); }
// Until at most PENDING of this thread's groups are on their way; the others' data are there behind the next barrier.
template <int PENDING>
PT_SCALAR void wait_async() {
  asm volatile("cp.async.wait_group %0;" ::"n"(PENDING) : "memory");
}
#endif

// `rows` rows of `size` numbers, `stride` apart, to rows TO_STRIDE apart (a multiple of 4); all ROWS rows are written to whole fours, with zeros
// where there is nothing. By all threads of the block.
template <int ROWS, bool WIDE>
PT_SCALAR void copy_rows(float* to, int to_stride, const float* from, int64_t stride, int64_t rows, int size) {
  const int pieces = (size + 3) / 4;
  for (int i = static_cast<int>(threadIdx.x); i < ROWS * pieces; i += static_cast<int>(blockDim.x)) {
    const int row = i / pieces, column = i % pieces * 4;
    float* const at = to + row * to_stride + column;
    const float* const source = from + row * stride + column;
    if (row >= rows) {
      store4(at, float4{0.0f, 0.0f, 0.0f, 0.0f});
    } else if (WIDE) {
      copy_async16(at, source);
    } else {
      for (int j = 0; j < 4; j++) at[j] = column + j < size ? source[j] : 0.0f;
    }
  }
}

}  // namespace pt_cuda
