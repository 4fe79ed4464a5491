// Matrix products in fp32. Each element of C = A B is a sum over blocks of SUM_BLOCK along the inner dimension, which begin at its
// multiples: a block is ONE chain of fused multiply-adds in ascending order from +0, and block sums are added in ascending order.
// (One chain over all of it would be simpler; its rounding errors grow faster: see ARCHITECTURE.md, "Matrix products".) Where C is
// a parameter's gradient it is one chain over everything that starts from the stored C. The inner dimension is never padded, so
// neither the shape around an element nor the number of threads changes its bits.
//
// Which kernel computes a product, here and in bf16 (gemm_bf16.h), by the rows of C; the order of sums is the same in all:
//
//   rows           where                                            fp32                   bf16
//   1 to 4         AVX-512; columns of B along the inner            gemv.cpp               gemm_bf16_vectors.h
//                  dimension, not a multiple of 4 KB apart
//   up to 256      columns of B along the inner dimension, at most  gemm_few_rows.cpp      (up to 64: B streamed)
//                  16,384 deep; without AVX-512 from 3 rows on
//   up to 2 tiles  else                                             gemm.cpp, one panel    gemm_bf16_tiles.h with AMX,
//                                                                   of B at a time         else gemm_bf16_lanes.h
//   more           depth up to 1,024 in one block, else by 512      gemm.cpp, blocks       the same, blocks packed ahead
//                  (bf16: by 640 on tiles, 1,024 on lanes)
#pragma once
#include "factor.h"

namespace PT_NAMESPACE {

constexpr int64_t SUM_BLOCK = 256;

enum class Sum {
  blocks,       // C = A B, by blocks
  more_blocks,  // C += A B, by blocks: goes on with a sum whose parts so far were multiples of SUM_BLOCK deep
  chain,        // C += A B, one chain from the stored C
};

struct Product {
  float* c;  // (rows, columns), its rows c_row floats apart
  int64_t c_row;
  Factor<float> a;  // (rows, depth)
  Factor<float> b;  // (depth, columns)
  int64_t rows, columns, depth;
  Sum sum;
  const float* bias;  // (columns), added once to each finished sum; or null
};

// Into how many parts the columns of a product of few rows are cut, whose B comes from memory: each part waits for its first columns.
PT_INLINE int64_t streamed_parts(int64_t columns, int64_t threads) {
  const int64_t each = columns / threads / 448;
  return threads * (each < 1 ? 1 : smaller(each, 4));
}

constexpr int64_t PRODUCT_SCRATCH = 2560 * 1024;  // bytes that multiply() needs, 64-byte aligned, its own per thread

void multiply(const Product& product, void* scratch);

// Scratch for multiply_parallel, taken once an op; null when there is no memory (the context said so).
PT_INLINE void* parallel_scratch(const pt_context* ctx) { return ctx->scratch(ctx, ctx->threads * PRODUCT_SCRATCH); }

// On all compute threads: `count` products, at most MOST_TOGETHER, in one go.
constexpr int64_t MOST_TOGETHER = 3;
void multiply_parallel(const pt_context* ctx, const Product* products, int64_t count, void* scratch);
PT_INLINE void multiply_parallel(const pt_context* ctx, const Product& product, void* scratch) {
  multiply_parallel(ctx, &product, 1, scratch);
}

}  // namespace PT_NAMESPACE
