// The caching arena of a host device: best fit with splitting and coalescing inside one range of addresses, which is reserved whole
// and taken from the system as its end moves up. In one range whatever was freed joins its neighbours, of whatever size the next
// step asks: when a step is over, all that it used is one free block again. So the high-water mark depends on the hungriest step
// alone. (Segments that are kept, as many allocators have them, held 7.1 GB after 20 steps of other lengths each that needed 4.5.)
//
// All calls come from the JavaScript thread, in the order in which ops are enqueued. A block that is released may be handed
// out again at once: whoever writes it next stands behind the last reader in the same first-in-first-out stream. So memory
// returns at its place in the stream without any waiting, and the high-water mark does not depend on timing.
//
// With guards on (tests), each block carries 64 marked bytes or more on both sides, right up to the tensor's own, and is not
// reused until check_guards() has seen that they are untouched. The address sanitizer also sees reads beyond a guarded block.
#pragma once
#include <sys/mman.h>
#include <unistd.h>
#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#endif

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "pages.h"

namespace posttrain {

class Arena {
 public:
  Arena(int64_t limit, bool guards, bool dry) : limit_(limit), guards_(guards), dry_(dry) {}
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;
  ~Arena() { clear(); }

  // Gives everything back to the system, live blocks too: nobody may touch or release them afterwards.
  void clear() {
    for (Block* block = first_; block != nullptr;) {
      Block* next = block->next;
      delete block;
      block = next;
    }
    if (mapped_ != nullptr) {
      unfence(base_, base_ + end_);
      munmap(mapped_, static_cast<size_t>(capacity_ + kHugePage));
    }
    mapped_ = base_ = nullptr;
    first_ = last_ = nullptr;
    free_.clear();
    live_.clear();
    quarantine_.clear();
    in_use_ = end_ = returned_ = 0;
  }

  // 64-byte aligned, not cleared; null when the limit or the system says no (trim() may help).
  void* allocate(int64_t bytes) {
    const int64_t margin = guards_ ? kGuard : 0;
    const int64_t size = round_up(bytes < 1 ? 1 : bytes, kAlign) + 2 * margin;
    auto it = free_.lower_bound(FreeKey{size, nullptr});
    Block* block = nullptr;
    if (it != free_.end()) {
      block = it->block;
      // What went back to the system comes again.
      if (reserved() + smaller(block->returned, size) > limit_) return nullptr;
      free_.erase(it);
    } else {
      block = grow(size);
      if (block == nullptr) return nullptr;
    }
    const int64_t stays = block->returned > size ? block->returned - size : 0;
    returned_ -= block->returned - stays;
    block->returned = stays;
    if (block->size - size >= kAlign * 8) split(block, size);
    block->used = true;
    block->asked = size;
    in_use_ += size;
    if (in_use_ > peak_) peak_ = in_use_;
    char* data = block->base + margin;
    live_[data] = block;
    if (guards_) {
      block->bytes = bytes;
      memset(block->base, kMark, kGuard);
      memset(data + bytes, kMark, static_cast<size_t>(block->base + block->size - (data + bytes)));
      fence(block->base, data);
      fence(data + bytes, block->base + block->size);
    }
    return data;
  }

  void release(void* data) {
    const auto it = live_.find(data);
    Block* block = it->second;
    if (guards_) {
      quarantine_.push_back(block);
      live_.erase(it);
      return;
    }
    live_.erase(it);
    give_back(block);
  }

  // The number of blocks whose guard bytes were overwritten. The stream must be idle.
  int check_guards() {
    if (!guards_) return 0;
    int damaged = 0;
    for (const auto& entry : live_) damaged += !intact(entry.second);
    for (Block* block : quarantine_) {
      unfence(block->base, block->base + block->size);
      damaged += !intact(block);
      give_back(block);
    }
    quarantine_.clear();
    return damaged;
  }

  // Gives the pages of free blocks back to the system. The stream must be idle.
  void trim() {
    const int64_t page = sysconf(_SC_PAGESIZE);
    for (const FreeKey& key : free_) {
      Block* block = key.block;
      const int64_t begin = round_up(block->base - base_, page);
      const int64_t bytes = (block->base - base_ + block->size) / page * page - begin;
      if (bytes <= block->returned) continue;
      unfence(block->base, block->base + block->size);
      madvise(base_ + begin, static_cast<size_t>(bytes), MADV_DONTNEED);
      returned_ += bytes - block->returned;
      block->returned = bytes;
    }
  }

  int64_t in_use() const { return in_use_; }
  int64_t peak() const { return peak_; }
  int64_t reserved() const { return end_ - returned_; }
  int64_t limit() const { return limit_; }
  // Whether the last allocation that failed did so because the system had no more to give.
  bool refused() const { return refused_; }
  void reset_peak() { peak_ = in_use_; }

 private:
  static constexpr int64_t kAlign = 64;
  static constexpr int64_t kGuard = 64;
  static constexpr int kMark = 0xA5;
  static constexpr int64_t kSystemPage = 64 << 10;  // the largest that systems have

  struct Block {
    char* base;
    int64_t size;
    int64_t returned;  // of a free block: bytes that are the system's, at least
    int64_t asked;     // what in_use counts: the size of a block depends on what was freed before
    int64_t bytes;     // of the tensor, with guards on: the marks begin right behind them
    bool used;
    Block* previous;
    Block* next;
  };
  struct FreeKey {
    int64_t size;
    Block* block;
    bool operator<(const FreeKey& other) const {
      if (size != other.size) return size < other.size;
      const char* a = block == nullptr ? nullptr : block->base;
      const char* b = other.block == nullptr ? nullptr : other.block->base;
      return a < b;
    }
  };
  // Forbids [begin, end) to everybody, in a build with the address sanitizer.
  static void fence(const char* begin, const char* end) {
#if defined(__SANITIZE_ADDRESS__)
    __asan_poison_memory_region(begin, static_cast<size_t>(end - begin));
#else
    (void)begin, (void)end;
#endif
  }
  static void unfence(const char* begin, const char* end) {
#if defined(__SANITIZE_ADDRESS__)
    __asan_unpoison_memory_region(begin, static_cast<size_t>(end - begin));
#else
    (void)begin, (void)end;
#endif
  }

  static int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }
  static int64_t round_up(int64_t n, int64_t to) { return (n + to - 1) / to * to; }

  bool intact(const Block* block) const {
#if defined(__SANITIZE_ADDRESS__)
    if (block->used && live_.count(block->base + kGuard) > 0) return true;  // fenced: the sanitizer would have said
#endif
    const auto marked = [block](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; i++)
        if (static_cast<unsigned char>(block->base[i]) != kMark) return false;
      return true;
    };
    return marked(0, kGuard) && marked(kGuard + block->bytes, block->size);
  }

  // A block of at least `size` bytes at the end of what is in hand, which moves up by what is missing; not listed as free.
  Block* grow(int64_t size) {
    Block* tail = last_ != nullptr && !last_->used ? last_ : nullptr;
    const int64_t missing = size - (tail == nullptr ? 0 : tail->size);
    const int64_t room = limit_ - reserved() - (tail == nullptr ? 0 : tail->returned);
    refused_ = false;
    if (missing > room) return nullptr;
    refused_ = true;
    if (!reserve_addresses()) return nullptr;
    int64_t bytes = round_up(end_ + missing, kHugePage) - end_;
    if (bytes > room) bytes = missing;  // a small limit, or the last of a large one
    char* end = base_ + end_;
    // Whole pages of the system; the first may be writable already.
    if (end_ + bytes > capacity_ ||
        mprotect(base_, static_cast<size_t>(round_up(end_ + bytes, kSystemPage)), PROT_READ | PROT_WRITE) != 0)
      return nullptr;
    refused_ = false;
    end_ += bytes;
    if (tail != nullptr) {
      free_.erase(FreeKey{tail->size, tail});
      tail->size += bytes;
      return tail;
    }
    Block* block = new Block{end, bytes, 0, 0, 0, false, last_, nullptr};
    if (last_ != nullptr) last_->next = block;
    if (first_ == nullptr) first_ = block;
    last_ = block;
    return block;
  }

  // Addresses for twice `limit_` bytes, as free blocks may lie between; no memory. Where the system limits addresses (ulimit -v),
  // as many as it gives.
  bool reserve_addresses() {
    if (base_ != nullptr) return true;
    for (capacity_ = round_up(2 * limit_, kHugePage); capacity_ >= kHugePage;
         capacity_ = round_up(capacity_ / 2, kHugePage)) {
      void* mapped = mmap(nullptr, static_cast<size_t>(capacity_ + kHugePage), PROT_NONE,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
      if (mapped != MAP_FAILED) {
        mapped_ = static_cast<char*>(mapped);
        base_ = mapped_ + (kHugePage - reinterpret_cast<uintptr_t>(mapped_) % kHugePage) % kHugePage;
#ifdef MADV_HUGEPAGE
        if (!dry_) madvise(base_, static_cast<size_t>(capacity_), MADV_HUGEPAGE);
#endif
        return true;
      }
      if (capacity_ == kHugePage) break;
    }
    return false;
  }

  void split(Block* block, int64_t size) {
    Block* rest = new Block{block->base + size, block->size - size, block->returned, 0, 0, false, block, block->next};
    if (rest->next != nullptr) rest->next->previous = rest;
    if (last_ == block) last_ = rest;
    block->next = rest;
    block->size = size;
    block->returned = 0;
    free_.insert(FreeKey{rest->size, rest});
  }

  void give_back(Block* block) {
    in_use_ -= block->asked;
    block->used = false;
    if (block->next != nullptr && !block->next->used) absorb_next(block);
    if (block->previous != nullptr && !block->previous->used) {
      block = block->previous;
      free_.erase(FreeKey{block->size, block});
      absorb_next(block, false);
    }
    free_.insert(FreeKey{block->size, block});
  }

  void absorb_next(Block* block, bool next_is_listed = true) {
    Block* next = block->next;
    if (next_is_listed) free_.erase(FreeKey{next->size, next});
    block->size += next->size;
    block->returned += next->returned;
    block->next = next->next;
    if (next->next != nullptr) next->next->previous = block;
    if (last_ == next) last_ = block;
    delete next;
  }

  const int64_t limit_;
  const bool guards_;
  const bool dry_;
  int64_t in_use_ = 0;
  int64_t peak_ = 0;
  int64_t end_ = 0;       // of what was taken from the system, counted from base_
  int64_t returned_ = 0;  // of that, given back by trim()
  std::set<FreeKey> free_;
  std::unordered_map<void*, Block*> live_;
  std::vector<Block*> quarantine_;
  char* mapped_ = nullptr;
  char* base_ = nullptr;  // mapped_, up to a whole huge page
  int64_t capacity_ = 0;
  bool refused_ = false;
  Block* first_ = nullptr;
  Block* last_ = nullptr;
};

}  // namespace posttrain
