// Page-locked memory between the host's and a GPU's: a ring of which each copy takes the next piece. So a copy in returns as soon as its bytes are
// here, and nobody waits but for the ring to have room again. One thread, the executor.
#pragma once
#include <cstdint>
#include <cstring>
#include <deque>
#include <vector>

#include "driver.h"

namespace pt_cuda {

class Staging {
 public:
  static constexpr int64_t PIECE = 4 << 20;  // of a large copy: one goes while the next is filled

  // Call open() before anything else; what it took is given back by close().
  Result open(const Driver* driver, Stream stream) {
    driver_ = driver;
    stream_ = stream;
    void* data = nullptr;
    const Result error = driver_->cuMemHostAlloc(&data, static_cast<size_t>(BYTES), 0);
    data_ = static_cast<char*>(data);
    return error;
  }
  // The stream is idle, or lost.
  void close() {
    for (const Copy& copy : under_way_) free_events_.push_back(copy.done);
    under_way_.clear();
    for (Event event : free_events_) driver_->cuEventDestroy_v2(event);
    free_events_.clear();
    if (data_ != nullptr) driver_->cuMemFreeHost(data_);
    data_ = nullptr;
  }

  Result copy_in(Address to, const char* from, int64_t bytes) {
    for (int64_t at = 0; at < bytes; at += PIECE) {
      const int64_t n = bytes - at < PIECE ? bytes - at : PIECE;
      char* piece = nullptr;
      Result error = take(n, &piece);
      if (is_ok(error)) {
        memcpy(piece, from + at, static_cast<size_t>(n));
        error = driver_->cuMemcpyHtoDAsync_v2(to + static_cast<Address>(at), piece, static_cast<size_t>(n), stream_);
      }
      if (is_ok(error)) error = send(piece, n);
      if (!is_ok(error)) return error;
    }
    return CUDA_OK;
  }

  // All of it is in `to` when it returns.
  Result copy_out(char* to, Address from, int64_t bytes) {
    struct Arriving {
      char* piece;
      int64_t at, bytes;
      Event done;
    };
    std::deque<Arriving> arriving;
    const auto finish = [&]() {
      const Arriving next = arriving.front();
      arriving.pop_front();
      const Result error = driver_->cuEventSynchronize(next.done);
      if (is_ok(error)) memcpy(to + next.at, next.piece, static_cast<size_t>(next.bytes));
      return error;
    };
    Result error = CUDA_OK;
    for (int64_t at = 0; at < bytes && is_ok(error); at += PIECE) {
      if (arriving.size() == 2) error = finish();
      const int64_t n = bytes - at < PIECE ? bytes - at : PIECE;
      char* piece = nullptr;
      if (is_ok(error)) error = take(n, &piece);
      if (is_ok(error))
        error = driver_->cuMemcpyDtoHAsync_v2(piece, from + static_cast<Address>(at), static_cast<size_t>(n), stream_);
      if (is_ok(error)) error = send(piece, n);
      if (is_ok(error)) arriving.push_back({piece, at, n, under_way_.back().done});
    }
    while (!arriving.empty() && is_ok(error)) error = finish();
    return error;
  }

 private:
  static constexpr int64_t BYTES = 4 * PIECE;
  static constexpr int64_t ALIGN = 64;
  static constexpr size_t MOST_UNDER_WAY = 64;

  struct Copy {
    int64_t begin, end;  // of the ring
    Event done;
  };
  static bool is_ok(Result error) { return error == CUDA_OK; }

  // The next `bytes` of the ring, when the copies that used them are done.
  Result take(int64_t bytes, char** piece) {
    bytes = (bytes + ALIGN - 1) / ALIGN * ALIGN;
    if (next_ + bytes > BYTES) next_ = 0;
    while (under_way_.size() == MOST_UNDER_WAY || overlaps(bytes)) {
      const Copy oldest = under_way_.front();
      const Result error = driver_->cuEventSynchronize(oldest.done);
      if (!is_ok(error)) return error;
      under_way_.pop_front();
      free_events_.push_back(oldest.done);
    }
    *piece = data_ + next_;
    next_ += bytes;
    return CUDA_OK;
  }
  bool overlaps(int64_t bytes) const {
    for (const Copy& copy : under_way_)
      if (copy.begin < next_ + bytes && next_ < copy.end) return true;
    return false;
  }

  // Notes that a copy of the piece was enqueued.
  Result send(const char* piece, int64_t bytes) {
    Event done{};
    Result error = CUDA_OK;
    if (free_events_.empty()) {
      error = driver_->cuEventCreate(&done, EVENT_WITHOUT_TIME);
    } else {
      done = free_events_.back();
      free_events_.pop_back();
    }
    if (is_ok(error)) error = driver_->cuEventRecord(done, stream_);
    if (is_ok(error))
      under_way_.push_back({piece - data_, piece - data_ + (bytes + ALIGN - 1) / ALIGN * ALIGN, done});
    else if (done != Event{})
      free_events_.push_back(done);
    return error;
  }

  const Driver* driver_ = nullptr;
  Stream stream_{};
  char* data_ = nullptr;
  int64_t next_ = 0;
  std::deque<Copy> under_way_;  // the oldest first
  std::vector<Event> free_events_;
};

}  // namespace pt_cuda
