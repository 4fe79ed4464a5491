// Pages of the system, straight from it.
#pragma once
#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>

namespace posttrain {

constexpr int64_t kHugePage = 2 << 20;

// Zero when they are first read. `huge`: in huge pages, wherever they fill one: what ops work in is walked as far and wide as tensors are.
inline void* take_pages(int64_t bytes, bool huge) {
  const int64_t slack = huge && bytes >= kHugePage ? kHugePage : 0;
  void* mapped =
      mmap(nullptr, static_cast<size_t>(bytes + slack), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapped == MAP_FAILED) return nullptr;
  if (slack == 0) return mapped;
  char* const begin = static_cast<char*>(mapped);
  char* const data = begin + (kHugePage - reinterpret_cast<uintptr_t>(begin) % kHugePage) % kHugePage;
  const int64_t page = sysconf(_SC_PAGESIZE), end = (bytes + page - 1) / page * page;
  if (data > begin) munmap(begin, static_cast<size_t>(data - begin));
  if (data - begin < slack) munmap(data + end, static_cast<size_t>(slack - (data - begin)));
#ifdef MADV_HUGEPAGE
  madvise(data, static_cast<size_t>(bytes), MADV_HUGEPAGE);
#endif
  return data;
}
inline void give_pages(void* data, int64_t bytes) { munmap(data, static_cast<size_t>(bytes)); }

}  // namespace posttrain
