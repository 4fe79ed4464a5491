// Products of up to GEMV_ROWS rows with a B whose columns lie along the inner dimension, one after the other: y = x w^T of one token, or of a
// few. They take as long as B takes to come from memory: here it comes once, in order, and 16 x 16 of it at a time are turned in registers.
#pragma once
#include "gemv_ahead.h"

namespace PT_NAMESPACE {

constexpr int64_t GEMV_DEPTH = 1536;  // deeper ones are too far apart in memory to be read in order

PT_INLINE bool is_gemv(const Product& p) {
  return p.sum == Sum::blocks && p.depth > 0 && p.depth <= GEMV_DEPTH && p.a.column == 1 && p.b.row == 1 &&
         p.b.column == p.depth && suits_gemv(p.rows, 4 * p.depth);
}

void multiply_gemv(const Product& product);

}  // namespace PT_NAMESPACE
