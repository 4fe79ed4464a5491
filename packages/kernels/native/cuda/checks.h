// Checks of what depends on data, beside check_rows (cuda.h).
#pragma once
#include "cuda.h"

namespace pt_cuda {

// starts, of sequences in `rows` rows: begin with 0, never fall, end with the rows.
int check_starts(const pt_context* ctx, pt_tensor starts, int64_t rows);

// Of a cache of `page_count` pages of `page_keys` keys: each sequence's new keys are part of its length, its pages hold that and are there.
int check_pages(const pt_context* ctx, pt_tensor starts, pt_tensor lengths, pt_tensor pages, int64_t page_keys,
                int64_t page_count);

// seen[starts[row]] to seen[starts[row + 1]] is a part of seen, whose ids are rows of `vocabulary`.
int check_seen(const pt_context* ctx, pt_tensor seen, pt_tensor starts, int64_t vocabulary);

}  // namespace pt_cuda
