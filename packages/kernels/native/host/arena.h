// The caching arena of a device: best fit with splitting and coalescing inside one range of addresses, which is reserved whole
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
//
// `Memory` is where addresses and what lies behind them come from: HostMemory (host_memory.h) or a GPU's (cuda/gpu_memory.h). Of it the arena asks
//     char* reserve(bytes)                   addresses without memory, aligned to kHugePage; null where there are none
//     bool back(begin, end)                  memory behind them, where there is none yet; false where the system gives no more
//     void give_back(begin, end)             whole pages of page() bytes, to the system; back() brings them again
//     void fence(begin, end), unfence(...)   nobody may look there, with guards on
//     void mark(data, byte, bytes), bool marked(data, byte, bytes)
#pragma once
#include <cstddef>
#include <cstdint>
#include <set>
#include <unordered_map>
#include <utility>
#include <vector>

#include "pages.h"

namespace posttrain {

template <class Memory>
class Arena {
 public:
  Arena(int64_t limit, bool guards, Memory memory) : limit_(limit), guards_(guards), memory_(std::move(memory)) {}
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;
  // What is behind it goes with `memory_`: nobody may touch a block afterwards.
  ~Arena() {
    for (Block* block = first_; block != nullptr;) {
      Block* next = block->next;
      delete block;
      block = next;
    }
    if (guards_ && base_ != nullptr) memory_.unfence(base_, base_ + end_);
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
      refused_ = false;
      if (reserved() + smaller(block->returned, size) > limit_) return nullptr;
      free_.erase(it);
    } else {
      block = grow(size);
      if (block == nullptr) return nullptr;
    }
    const bool is_split = block->size - size >= kAlign * 8;
    if (!memory_.back(block->base, block->base + (is_split ? size : block->size))) {
      refused_ = true;
      free_.insert(FreeKey{block->size, block});
      return nullptr;
    }
    const int64_t stays = block->returned > size ? block->returned - size : 0;
    returned_ -= block->returned - stays;
    block->returned = stays;
    if (is_split) split(block, size);
    block->used = true;
    block->asked = size;
    in_use_ += size;
    if (in_use_ > peak_) peak_ = in_use_;
    char* data = block->base + margin;
    live_[data] = block;
    if (guards_) {
      block->bytes = bytes;
      memory_.mark(block->base, kMark, kGuard);
      memory_.mark(data + bytes, kMark, block->base + block->size - (data + bytes));
      memory_.fence(block->base, data);
      memory_.fence(data + bytes, block->base + block->size);
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
      memory_.unfence(block->base, block->base + block->size);
      damaged += !intact(block);
      give_back(block);
    }
    quarantine_.clear();
    return damaged;
  }

  // Gives the pages of free blocks back to the system. The stream must be idle.
  void trim() {
    const int64_t page = memory_.page();
    for (const FreeKey& key : free_) {
      Block* block = key.block;
      const int64_t begin = round_up(block->base - base_, page);
      const int64_t bytes = (block->base - base_ + block->size) / page * page - begin;
      if (bytes <= block->returned) continue;
      memory_.unfence(block->base, block->base + block->size);
      memory_.give_back(base_ + begin, base_ + begin + bytes);
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
  static int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }
  static int64_t round_up(int64_t n, int64_t to) { return (n + to - 1) / to * to; }

  bool intact(const Block* block) const {
#if defined(__SANITIZE_ADDRESS__)
    if (block->used && live_.count(block->base + kGuard) > 0) return true;  // fenced: the sanitizer would have said
#endif
    const int64_t behind = kGuard + block->bytes;
    return memory_.marked(block->base, kMark, kGuard) &&
           memory_.marked(block->base + behind, kMark, block->size - behind);
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
    if (end_ + bytes > capacity_ || !memory_.back(end, end + bytes)) return nullptr;
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
      base_ = memory_.reserve(capacity_);
      if (base_ != nullptr) return true;
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
  Memory memory_;
  int64_t in_use_ = 0;
  int64_t peak_ = 0;
  int64_t end_ = 0;       // of what was taken from the system, counted from base_
  int64_t returned_ = 0;  // of that, given back by trim()
  std::set<FreeKey> free_;
  std::unordered_map<void*, Block*> live_;
  std::vector<Block*> quarantine_;
  char* base_ = nullptr;
  int64_t capacity_ = 0;
  bool refused_ = false;
  Block* first_ = nullptr;
  Block* last_ = nullptr;
};

}  // namespace posttrain
