// A matrix as a factor of a product: element (i, j) lies at data[i * row + j * column]; one of the two strides is 1.
#pragma once
#include "../cpu.h"

namespace PT_NAMESPACE {

template <class T>
struct Factor {
  const T* data;
  int64_t row, column;

  Factor from(int64_t i, int64_t j) const { return {data + i * row + j * column, row, column}; }
  Factor transposed() const { return {data, column, row}; }
};
template <class T>
PT_INLINE Factor<T> row_major(const T* data, int64_t columns) {
  return {data, columns, 1};
}
// A tensor of two axes from row `first` on, whose elements are T.
template <class T>
PT_INLINE Factor<T> factor(pt_tensor t, int64_t first = 0) {
  return row_major(static_cast<const T*>(t.data) + first * t.dims[1], t.dims[1]);
}

}  // namespace PT_NAMESPACE
