// A sum of weights by ids, as sample.cpp draws from it: blocks of SPAN ids at its multiples, each one chain from zero in ascending order; block sums are
// added in ascending order. What has no weight can be left out: adding zero changes nothing. So threads may have blocks each.
//
// A kernel of a GPU has it too, as math64.h.
#pragma once
#ifndef PT_SCALAR
#include "simd.h"
#define PT_SCALAR static inline
#endif

namespace PT_NAMESPACE {

constexpr int64_t SPAN = 1024;

struct BlockSum {
  double before, block;  // of the blocks before, of this one
  int64_t end;           // where it ends
};
PT_SCALAR BlockSum sum_from(double before, int64_t first) { return {before, 0.0, (first / SPAN + 1) * SPAN}; }
PT_SCALAR void add_weight(BlockSum& sum, int64_t id, float weight) {
  if (id >= sum.end) sum = sum_from(sum.before + sum.block, id);
  sum.block += weight;
}
PT_SCALAR double total_of(const BlockSum& sum) { return sum.before + sum.block; }

}  // namespace PT_NAMESPACE
