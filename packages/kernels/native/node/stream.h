// The execution stream of one device: one executor thread takes tasks first in, first out. An error sticks: later ops are
// skipped and every wait rejects with it, until recover(). The queue is bounded: a caller that runs kCapacity tasks ahead waits
// in enqueue() (loops avoid that by awaiting ready()).
#pragma once
#include <sys/mman.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdarg>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "../abi/kernels.h"
#include "op_table.h"
#include "threads.h"

namespace posttrain {

// What the executor does next: an op (op != nullptr), or an action of the glue (a copy in, a copy out, a wait).
struct Task {
  const Op* op = nullptr;
  std::unique_ptr<Argument[]> args;
  std::function<void(const std::string& error)> action;
  bool is_wait =
      false;  // somebody waits for the action: it also runs, with an error, when the stream ends before its turn
};

class Stream {
 public:
  static constexpr size_t kCapacity = 4096;

  // dry: tasks run as ever, but the parallel parts of ops, which are their arithmetic, are left out. What remains asks for the
  // memory that it would use.
  Stream(const pt_backend* backend, int threads, bool dry) : backend_(backend), dry_(dry), compute_(dry ? 1 : threads) {
    context_.owner = this;
    context_.tiles = backend->tiles;
    context_.threads = threads;
    context_.parallel = [](const pt_context* ctx, int64_t count, void (*body)(void*, int64_t, int32_t), void* arg) {
      static_cast<Stream*>(ctx->owner)->compute_.run(count, body, arg);
    };
    if (dry) context_.parallel = [](const pt_context*, int64_t, void (*)(void*, int64_t, int32_t), void*) {};
    context_.scratch = [](const pt_context* ctx, int64_t bytes) {
      return static_cast<Stream*>(ctx->owner)->scratch(bytes);
    };
    context_.fail = record_failure;
    executor_ = std::thread([this] { run(); });
  }
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  // Ends the threads: the op at work is cut short, what is still queued is dropped (drain first to have it done).
  ~Stream() {
    std::deque<Task> dropped;
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      stopping_ = true;
      dropped.swap(tasks_);
      length_.store(0, std::memory_order_release);
    }
    compute_.cancel();
    not_empty_.notify_one();
    executor_.join();
    for (const Task& task : dropped)
      if (task.is_wait) task.action("the device was closed before its turn came");
    free_chunks();
  }

  void enqueue(Task task) {
    {
      std::unique_lock<std::mutex> lock(mutex_);
      not_full_.wait(lock, [this] { return tasks_.size() < kCapacity; });
      tasks_.push_back(std::move(task));
      length_.store(tasks_.size(), std::memory_order_release);
      if (!asleep_) return;
    }
    not_empty_.notify_one();
  }

  // Blocks the caller until everything enqueued so far is done.
  void wait_idle() {
    std::mutex mutex;
    std::condition_variable changed;
    bool done = false;
    Task task;
    task.action = [&](const std::string&) {
      const std::lock_guard<std::mutex> lock(mutex);
      done = true;
      changed.notify_one();
    };
    enqueue(std::move(task));
    std::unique_lock<std::mutex> lock(mutex);
    changed.wait(lock, [&] { return done; });
  }

  size_t length() const { return length_.load(std::memory_order_acquire); }
  int threads() const { return context_.threads; }
  const pt_backend* backend() const { return backend_; }
  int64_t scratch_peak() const { return scratch_peak_.load(std::memory_order_relaxed); }
  // How often op number `op` ran and for how long.
  int64_t calls(size_t op) const { return times_[op].calls.load(std::memory_order_relaxed); }
  int64_t nanoseconds(size_t op) const { return times_[op].nanoseconds.load(std::memory_order_relaxed); }

  // Forgets the error; what failed ops should have written stays undefined. Call with the stream drained.
  void recover() {
    const std::lock_guard<std::mutex> lock(mutex_);
    error_.clear();
  }

 private:
  struct Chunk {
    char* data;
    int64_t bytes;
  };
  struct Time {
    std::atomic<int64_t> calls{0};
    std::atomic<int64_t> nanoseconds{0};
  };
  static constexpr int kSpins = 2000;

  static void record_failure(const pt_context* ctx, const char* format, ...) {
    char text[512];
    va_list list;
    va_start(list, format);
    vsnprintf(text, sizeof text, format, list);
    va_end(list);
    Stream* stream = static_cast<Stream*>(ctx->owner);
    const std::lock_guard<std::mutex> lock(stream->failure_mutex_);
    if (stream->failure_.empty()) stream->failure_ = text;
  }

  bool take(Task& task) {
    for (int spins = 0; spins < kSpins && length_.load(std::memory_order_acquire) == 0; spins++) pause_briefly();
    std::unique_lock<std::mutex> lock(mutex_);
    if (tasks_.empty()) {
      asleep_ = true;
      not_empty_.wait(lock, [this] { return stopping_ || !tasks_.empty(); });
      asleep_ = false;
    }
    if (tasks_.empty()) return false;
    task = std::move(tasks_.front());
    tasks_.pop_front();
    length_.store(tasks_.size(), std::memory_order_release);
    if (tasks_.size() == kCapacity - 1) not_full_.notify_one();
    return true;
  }

  void run() {
    Task task;
    while (take(task)) {
      std::string error;
      {
        const std::lock_guard<std::mutex> lock(mutex_);
        error = error_;
      }
      if (task.op == nullptr) {
        task.action(error);
      } else if (error.empty()) {
        failure_.clear();
        const auto begun = std::chrono::steady_clock::now();
        const int status = task.op->run(backend_, &context_, task.args.get());
        count(*task.op, std::chrono::steady_clock::now() - begun);
        if (status != 0 || !failure_.empty()) {
          const std::lock_guard<std::mutex> lock(mutex_);
          error_ = describe(*task.op, task.args.get()) + ": " + (failure_.empty() ? "failed" : failure_);
        }
        release_scratch();
      }
      task = Task();
    }
  }

  void count(const Op& op, std::chrono::nanoseconds time) {
    Time& total = times_[static_cast<size_t>(&op - op_table().data())];
    total.calls.fetch_add(1, std::memory_order_relaxed);
    total.nanoseconds.fetch_add(time.count(), std::memory_order_relaxed);
  }

  void* scratch(int64_t bytes) {
    bytes = (bytes + 63) / 64 * 64;
    if (bytes < 64) bytes = 64;
    if (chunks_.empty() || chunk_used_ + bytes > chunks_.back().bytes) {
      const int64_t size = bytes > kChunk ? bytes : kChunk;
      void* data = pages(size);
      if (data == nullptr) {
        failure_ = "no memory for " + std::to_string(bytes) + " bytes of scratch";
        return nullptr;
      }
      chunks_.push_back(Chunk{static_cast<char*>(data), size});
      chunk_used_ = 0;
    }
    char* result = chunks_.back().data + chunk_used_;
    chunk_used_ += bytes;
    scratch_used_ += bytes;
    return result;
  }

  // What took several chunks this time is one chunk next time: as large as the hungriest op so far needed, no larger.
  void release_scratch() {
    const int64_t used = scratch_used_;
    chunk_used_ = 0;
    scratch_used_ = 0;
    if (used > scratch_peak_.load(std::memory_order_relaxed)) scratch_peak_.store(used, std::memory_order_relaxed);
    if (chunks_.size() < 2 && !dry_) return;
    free_chunks();
    if (dry_) return;  // the next op finds zeros, as nobody writes what it reads
    void* data = pages(used);
    if (data != nullptr) chunks_.push_back(Chunk{static_cast<char*>(data), used});
  }

  static void* pages(int64_t bytes) {
    void* data = mmap(nullptr, static_cast<size_t>(bytes), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return data == MAP_FAILED ? nullptr : data;
  }
  void free_chunks() {
    for (const Chunk& chunk : chunks_) munmap(chunk.data, static_cast<size_t>(chunk.bytes));
    chunks_.clear();
  }

  static constexpr int64_t kChunk = 1 << 20;

  const pt_backend* backend_;
  const bool dry_;
  Threads compute_;
  pt_context context_{};
  std::thread executor_;
  std::mutex mutex_;
  std::condition_variable not_empty_;
  std::condition_variable not_full_;
  std::deque<Task> tasks_;
  std::atomic<size_t> length_{0};
  std::atomic<int64_t> scratch_peak_{0};
  const std::unique_ptr<Time[]> times_{new Time[op_table().size()]};
  bool asleep_ = false;
  bool stopping_ = false;
  std::string error_;
  std::mutex failure_mutex_;
  std::string failure_;
  std::vector<Chunk> chunks_;
  int64_t chunk_used_ = 0;
  int64_t scratch_used_ = 0;
};

}  // namespace posttrain
