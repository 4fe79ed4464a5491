// The caching arena of one device: best fit with splitting and coalescing inside large segments that are kept.
//
// All calls come from the JavaScript thread, in the order in which ops are enqueued. A block that is released may be handed
// out again at once: whoever writes it next stands behind the last reader in the same first-in-first-out stream. So memory
// returns at its place in the stream without any waiting, and the high-water mark does not depend on timing.
//
// With guards on (tests), each block carries 64 marked bytes or more on both sides, right up to the tensor's own, and is not
// reused until check_guards() has seen that they are untouched. The address sanitizer also sees reads beyond a guarded block.
#pragma once
#include <sys/mman.h>
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

namespace posttrain {

class Arena {
 public:
  Arena(int64_t limit, bool guards) : limit_(limit), guards_(guards) {}
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;
  ~Arena() { clear(); }

  // Gives everything back to the system, live blocks too: nobody may touch or release them afterwards.
  void clear() {
    for (const Segment& s : segments_) {
      unfence(s.base, s.base + s.bytes);
      munmap(s.base, static_cast<size_t>(s.bytes));
      for (Block* block = s.first; block != nullptr;) {
        Block* next = block->next;
        delete block;
        block = next;
      }
    }
    segments_.clear();
    free_.clear();
    live_.clear();
    quarantine_.clear();
    in_use_ = reserved_ = 0;
  }

  // 64-byte aligned, not cleared; null when the limit or the system says no (trim() may help).
  void* allocate(int64_t bytes) {
    const int64_t margin = guards_ ? kGuard : 0;
    const int64_t size = round_up(bytes < 1 ? 1 : bytes, kAlign) + 2 * margin;
    auto it = free_.lower_bound(FreeKey{size, nullptr});
    Block* block = nullptr;
    if (it != free_.end()) {
      block = it->block;
      free_.erase(it);
    } else {
      block = new_segment(size);
      if (block == nullptr) return nullptr;
    }
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

  // Returns segments without a used block to the system. The stream must be idle.
  void trim() {
    for (size_t i = 0; i < segments_.size();) {
      Block* first = segments_[i].first;
      if (!first->used && first->next == nullptr) {
        free_.erase(FreeKey{first->size, first});
        unfence(segments_[i].base, segments_[i].base + segments_[i].bytes);
        munmap(segments_[i].base, static_cast<size_t>(segments_[i].bytes));
        reserved_ -= segments_[i].bytes;
        delete first;
        segments_[i] = segments_.back();
        segments_.pop_back();
      } else {
        i++;
      }
    }
  }

  int64_t in_use() const { return in_use_; }
  int64_t peak() const { return peak_; }
  int64_t reserved() const { return reserved_; }
  int64_t limit() const { return limit_; }
  void reset_peak() { peak_ = in_use_; }

 private:
  static constexpr int64_t kAlign = 64;
  static constexpr int64_t kGuard = 64;
  static constexpr int kMark = 0xA5;
  static constexpr int64_t kSmallSegment = 8 << 20;
  static constexpr int64_t kPage = 2 << 20;

  struct Block {
    char* base;
    int64_t size;
    int64_t asked;  // what in_use counts: the size of a block depends on what was freed before
    int64_t bytes;  // of the tensor, with guards on: the marks begin right behind them
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
  struct Segment {
    char* base;
    int64_t bytes;
    Block* first;
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

  Block* new_segment(int64_t size) {
    int64_t bytes = size <= kSmallSegment ? kSmallSegment : round_up(size, kPage);
    if (reserved_ + bytes > limit_) bytes = size;  // a small limit, or the last of a large one
    if (reserved_ + bytes > limit_) return nullptr;
    void* base = mmap(nullptr, static_cast<size_t>(bytes), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (base == MAP_FAILED) return nullptr;
#ifdef MADV_HUGEPAGE
    madvise(base, static_cast<size_t>(bytes), MADV_HUGEPAGE);
#endif
    reserved_ += bytes;
    Block* block = new Block{static_cast<char*>(base), bytes, 0, 0, false, nullptr, nullptr};
    segments_.push_back(Segment{block->base, bytes, block});
    return block;
  }

  void split(Block* block, int64_t size) {
    Block* rest = new Block{block->base + size, block->size - size, 0, 0, false, block, block->next};
    if (rest->next != nullptr) rest->next->previous = rest;
    block->next = rest;
    block->size = size;
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
    block->next = next->next;
    if (next->next != nullptr) next->next->previous = block;
    delete next;
  }

  const int64_t limit_;
  const bool guards_;
  int64_t in_use_ = 0;
  int64_t peak_ = 0;
  int64_t reserved_ = 0;
  std::set<FreeKey> free_;
  std::unordered_map<void*, Block*> live_;
  std::vector<Block*> quarantine_;
  std::vector<Segment> segments_;
};

}  // namespace posttrain
