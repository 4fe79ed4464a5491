// Indices that are checked where they lie (cuda.h).
#include "checks.h"

namespace pt_cuda {
namespace {

constexpr int THREADS = 256;

// The lowest `found` of the block, for its thread 0.
PT_SCALAR int64_t lowest(int64_t found) {
  __shared__ int64_t all[THREADS];
  all[threadIdx.x] = found;
  __syncthreads();
  for (unsigned width = THREADS / 2; width > 0; width /= 2) {
    if (threadIdx.x < width && all[threadIdx.x + width] < all[threadIdx.x]) all[threadIdx.x] = all[threadIdx.x + width];
    __syncthreads();
  }
  return all[0];
}

__global__ void check_rows_kernel(Note* note, Note failure, const int32_t* rows, int64_t count) {
  int64_t found = count;
  for (int64_t i = threadIdx.x; i < count && found == count; i += THREADS)
    if (rows[i] < 0 || rows[i] >= failure.limit) found = i;
  found = lowest(found);
  if (threadIdx.x > 0 || found == count || failed(note)) return;
  failure.at = found;
  failure.value = rows[found];
  *note = failure;
}

__global__ void check_starts_kernel(Note* note, Note failure, const int32_t* starts, int64_t sequences) {
  int64_t found = sequences + 1;
  for (int64_t s = threadIdx.x; s <= sequences && found > sequences; s += THREADS) {
    const bool wrong = s == 0 ? starts[0] != 0 : starts[s] < starts[s - 1];
    if (wrong || (s == sequences && starts[s] != failure.limit)) found = s;
  }
  found = lowest(found);
  if (threadIdx.x > 0 || found > sequences || failed(note)) return;
  failure.at = found;
  failure.value = starts[found];
  *note = failure;
}

__global__ void check_pages_kernel(Note* note, Note failure, const int32_t* starts, const int32_t* lengths,
                                   const int32_t* pages, int64_t sequences, int64_t pages_each, int64_t page_keys,
                                   int64_t page_count) {
  // The block of a sequence whose page is not there, -1 where its length is wrong, -2 where nothing is.
  const auto wrong_block = [&](int64_t s) -> int64_t {
    const int64_t added = starts[s + 1] - starts[s], length = lengths[s];
    if (added == 0) return -2;
    if (length < added || length > pages_each * page_keys) return -1;
    for (int64_t b = 0; b * page_keys < length; b++) {
      const int32_t page = pages[s * pages_each + b];
      if (page < 0 || page >= page_count) return b;
    }
    return -2;
  };
  if (failed(note)) return;
  int64_t found = sequences;
  for (int64_t s = threadIdx.x; s < sequences && found == sequences; s += THREADS)
    if (wrong_block(s) != -2) found = s;
  found = lowest(found);
  if (threadIdx.x > 0 || found == sequences) return;
  const int64_t block = wrong_block(found);
  failure.at = found;
  failure.kind = block < 0 ? Failure::length : Failure::page;
  failure.value = block < 0 ? lengths[found] : pages[found * pages_each + block];
  failure.limit = block < 0 ? pages_each * page_keys : page_count;
  failure.other = block < 0 ? starts[found + 1] - starts[found] : block;
  *note = failure;
}

__global__ void check_seen_kernel(Note* note, Note failure, const int32_t* starts, int64_t rows) {
  int64_t found = rows;
  for (int64_t row = threadIdx.x; row < rows && found == rows; row += THREADS)
    if (starts[row] < 0 || starts[row] > starts[row + 1] || starts[row + 1] > failure.limit) found = row;
  found = lowest(found);
  if (threadIdx.x > 0 || found == rows || failed(note)) return;
  failure.at = found;
  failure.value = starts[found];
  failure.other = starts[found + 1];
  *note = failure;
}

}  // namespace

int check_rows(const pt_context* ctx, pt_tensor rows, int64_t limit, const char* index, const char* table,
               const char* what) {
  const Note failure = {ctx->call, Failure::row, 0, 0, limit, index, table, what, 0};
  return launch<check_rows_kernel>(ctx, {1, THREADS}, note_of(ctx), failure, i32(rows), elements(rows));
}

int check_starts(const pt_context* ctx, pt_tensor starts, int64_t rows) {
  const Note failure = {ctx->call, Failure::starts, 0, 0, rows, "starts", "", "", 0};
  return launch<check_starts_kernel>(ctx, {1, THREADS}, note_of(ctx), failure, i32(starts), starts.dims[0] - 1);
}

int check_pages(const pt_context* ctx, pt_tensor starts, pt_tensor lengths, pt_tensor pages, int64_t page_keys,
                int64_t page_count) {
  const Note failure = {ctx->call, Failure::length, 0, 0, 0, "", "", "", 0};
  return launch<check_pages_kernel>(ctx, {1, THREADS}, note_of(ctx), failure, i32(starts), i32(lengths), i32(pages),
                                    lengths.dims[0], pages.dims[1], page_keys, page_count);
}

int check_seen(const pt_context* ctx, pt_tensor seen, pt_tensor starts, int64_t vocabulary) {
  const Note failure = {ctx->call, Failure::seen, 0, 0, elements(seen), "", "", "", 0};
  return launch<check_seen_kernel>(ctx, {1, THREADS}, note_of(ctx), failure, i32(starts), starts.dims[0] - 1) ||
         check_rows(ctx, seen, vocabulary, "seen", "weight");
}

void tell(const pt_context* ctx, const Note& note) {
  const auto at = static_cast<long long>(note.at), limit = static_cast<long long>(note.limit);
  const auto other = static_cast<long long>(note.other);
  const int value = note.value;
  switch (note.kind) {
    case Failure::row:
      return ctx->fail_late(ctx, note.call, "%s[%lld] is %d, but %s has %lld %s", note.index, at, value, note.table,
                            limit, note.what);
    case Failure::starts:
      return ctx->fail_late(ctx, note.call,
                            "%s[%lld] is %d: starts must begin with 0, never fall and end with the %lld rows",
                            note.index, at, value, limit);
    case Failure::length:
      return ctx->fail_late(ctx, note.call,
                            "lengths[%lld] is %d: expected the %lld new keys at least and %lld, all its pages, at most",
                            at, value, other, limit);
    case Failure::page:
      return ctx->fail_late(ctx, note.call, "pages[%lld, %lld] is %d, but the cache has %lld pages", at, other, value,
                            limit);
    case Failure::seen:
      return ctx->fail_late(ctx, note.call, "seen_starts[%lld] to [%lld] is %d to %lld, but seen has %lld ids", at,
                            at + 1, value, other, limit);
  }
}

}  // namespace pt_cuda
