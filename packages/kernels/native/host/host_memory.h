// The host's memory behind an arena (arena.h): one range of addresses, of which pages are taken as they are touched.
#pragma once
#include <sys/mman.h>
#include <unistd.h>
#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#endif

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <utility>

#include "pages.h"

namespace posttrain {

class HostMemory {
 public:
  // Of a dry device nobody touches most of it, so huge pages would only be large.
  explicit HostMemory(bool dry) : huge_(!dry) {}
  HostMemory(const HostMemory&) = delete;
  HostMemory& operator=(const HostMemory&) = delete;
  HostMemory(HostMemory&& other) noexcept : huge_(other.huge_), mapped_(std::exchange(other.mapped_, nullptr)) {}
  ~HostMemory() {
    if (mapped_ != nullptr) munmap(mapped_, static_cast<size_t>(bytes_));
  }

  char* reserve(int64_t bytes) {
    bytes_ = bytes + kHugePage;
    void* mapped =
        mmap(nullptr, static_cast<size_t>(bytes_), PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (mapped == MAP_FAILED) return nullptr;
    mapped_ = static_cast<char*>(mapped);
    base_ = mapped_ + (kHugePage - reinterpret_cast<uintptr_t>(mapped_) % kHugePage) % kHugePage;
    writable_ = base_;
#ifdef MADV_HUGEPAGE
    if (huge_) madvise(base_, static_cast<size_t>(bytes), MADV_HUGEPAGE);
#endif
    return base_;
  }

  // Pages that went back come again when they are touched.
  bool back(char*, char* end) {
    if (end <= writable_) return true;
    const int64_t bytes = (end - base_ + kSystemPage - 1) / kSystemPage * kSystemPage;
    if (mprotect(base_, static_cast<size_t>(bytes), PROT_READ | PROT_WRITE) != 0) return false;
    writable_ = base_ + bytes;
    return true;
  }
  void give_back(char* begin, char* end) { madvise(begin, static_cast<size_t>(end - begin), MADV_DONTNEED); }
  int64_t page() const { return sysconf(_SC_PAGESIZE); }

  // Forbids [begin, end) to everybody, in a build with the address sanitizer.
  void fence(const char* begin, const char* end) {
#if defined(__SANITIZE_ADDRESS__)
    __asan_poison_memory_region(begin, static_cast<size_t>(end - begin));
#else
    (void)begin, (void)end;
#endif
  }
  void unfence(const char* begin, const char* end) {
#if defined(__SANITIZE_ADDRESS__)
    __asan_unpoison_memory_region(begin, static_cast<size_t>(end - begin));
#else
    (void)begin, (void)end;
#endif
  }

  void mark(char* data, int byte, int64_t bytes) { memset(data, byte, static_cast<size_t>(bytes)); }
  bool marked(const char* data, int byte, int64_t bytes) const {
    for (int64_t i = 0; i < bytes; i++)
      if (static_cast<unsigned char>(data[i]) != byte) return false;
    return true;
  }

 private:
  static constexpr int64_t kSystemPage = 64 << 10;  // the largest that systems have

  const bool huge_;
  char* mapped_ = nullptr;
  int64_t bytes_ = 0;
  char* base_ = nullptr;      // mapped_, up to a whole huge page
  char* writable_ = nullptr;  // where what may be touched ends
};

}  // namespace posttrain
