// The execution stream of one device: one executor thread takes tasks first in, first out. An error sticks: later ops are
// skipped and every wait rejects with it, until recover(). Of a device that runs behind (pt_backend.late) it is known when the device is next
// waited for. The queue is bounded: a caller that runs kCapacity tasks ahead waits in enqueue() (loops avoid that by awaiting ready()).
#pragma once
#include <atomic>
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

// Why something failed: the code of the exception (src/errors.ts) and its text, which is empty where nothing did.
struct Failure {
  const char* code = "kernel_stream";
  std::string text;
};

// What the executor does next: an op, or something of the glue (a copy in or out, a wait, letting go of memory).
struct Task {
  const Op* op = nullptr;
  std::unique_ptr<Argument[]> args;
  // Of the glue: `work` runs unless an error sticks, and fails as an op does, by ctx->fail and a number that is not 0.
  const char* name = "";
  std::function<int(const pt_context* ctx)> work;
  bool settles = false;  // work is a wait or a copy out: what was called before is done then
  // Runs after it in any case, with the error that sticks or an empty one, also when the stream ends before its turn.
  std::function<void(const Failure& error)> done;
};

class Stream {
 public:
  static constexpr size_t kCapacity = 4096;

  Stream(const pt_backend* backend, void* state, int threads, bool dry)
      : backend_(backend), dry_(dry), compute_(dry ? 1 : threads) {
    context_.owner = this;
    context_.backend = backend;
    context_.state = state;
    context_.threads = threads;
    context_.dry = dry;
    context_.parallel = [](const pt_context* ctx, int64_t count, void (*body)(void*, int64_t, int32_t), void* arg) {
      static_cast<Stream*>(ctx->owner)->compute_.run(count, body, arg);
    };
    context_.scratch = [](const pt_context* ctx, int64_t bytes) {
      return static_cast<Stream*>(ctx->owner)->scratch(bytes);
    };
    context_.fail = fail;
    context_.fail_late = fail_late;
    context_.fail_machine = fail_machine;
    context_.took = [](const pt_context* ctx, int32_t op, int64_t nanoseconds) {
      Time& total = static_cast<Stream*>(ctx->owner)->times_[static_cast<size_t>(op)];
      total.calls.fetch_add(1, std::memory_order_relaxed);
      total.nanoseconds.fetch_add(nanoseconds, std::memory_order_relaxed);
    };
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
      if (task.done) task.done({"kernel_stream", "the device was closed before its turn came"});
    backend_->wait(&context_);
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

  // A task that is done when everything before it is.
  static Task wait() {
    Task task;
    task.name = "drain";
    task.work = [](const pt_context* ctx) { return ctx->backend->wait(ctx); };
    task.settles = true;
    return task;
  }

  // Blocks the caller until everything enqueued so far is done.
  void wait_idle() {
    std::mutex mutex;
    std::condition_variable changed;
    bool done = false;
    Task task = wait();
    task.done = [&](const Failure&) {
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
    error_ = {};
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

  // A call that returned, on a device that runs behind, and is not known to be done.
  struct Call {
    int64_t number;
    const Op* op;
    std::unique_ptr<Argument[]> args;
  };
  static constexpr size_t kUnsettled = 1024;

  static void fail(const pt_context* ctx, const char* format, ...) {
    va_list list;
    va_start(list, format);
    static_cast<Stream*>(ctx->owner)->note(std::string(), "kernel_stream", format, list);
    va_end(list);
  }
  static void fail_machine(const pt_context* ctx, pt_cause cause, const char* format, ...) {
    va_list list;
    va_start(list, format);
    const char* code = cause == PT_NO_MEMORY ? "kernel_memory" : "kernel_device";
    static_cast<Stream*>(ctx->owner)->note(std::string(), code, format, list);
    va_end(list);
  }
  static void fail_late(const pt_context* ctx, int64_t call, const char* format, ...) {
    Stream* stream = static_cast<Stream*>(ctx->owner);
    va_list list;
    va_start(list, format);
    stream->note(stream->describe_call(call), "kernel_stream", format, list);
    va_end(list);
  }

  // The first of a task's failures; `where`: of another call than that at work.
  void note(const std::string& where, const char* code, const char* format, va_list list) {
    char text[1024];
    vsnprintf(text, sizeof text, format, list);
    const std::lock_guard<std::mutex> lock(failure_mutex_);
    if (!failure_.text.empty()) return;
    failure_ = {code, text};
    failed_call_ = where;
  }
  std::string describe_call(int64_t number) const {
    for (const Call& call : unsettled_)
      if (call.number == number) return describe(*call.op, call.args.get());
    return "an op";
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
      Failure error = sticking();
      if (error.text.empty()) {
        error =
            attempt([&] { return task.op     ? call(*task.op, task.args.get())
                                 : task.work ? task.work(&context_)
                                             : 0; },
                    [&] { return task.op ? describe(*task.op, task.args.get()) : std::string(task.name); });
        if (task.settles) unsettled_.clear();
        if (task.op && backend_->late) keep(task);
      }
      if (task.done) task.done(error);
      task = Task();
    }
  }

  // What body() failed with, or nothing. It sticks.
  template <class Body, class Where>
  Failure attempt(const Body& body, const Where& where) {
    failure_ = {};
    failed_call_.clear();
    if (body() == 0 && failure_.text.empty()) return {};
    const Failure error = {failure_.code, (failed_call_.empty() ? where() : failed_call_) + ": " +
                                              (failure_.text.empty() ? "failed" : failure_.text)};
    const std::lock_guard<std::mutex> lock(mutex_);
    error_ = error;
    return error;
  }

  Failure sticking() {
    const std::lock_guard<std::mutex> lock(mutex_);
    return error_;
  }

  int call(const Op& op, const Argument* args) {
    context_.op = static_cast<int32_t>(&op - op_table().data());
    context_.call++;
    backend_->begin_op(&context_);
    const int status = op.run(backend_, &context_, args);
    backend_->end_op(&context_);
    release_scratch();
    return status;
  }

  // Until the device is waited for. Where nobody waits for long, this does.
  void keep(Task& task) {
    unsettled_.push_back(Call{context_.call, task.op, std::move(task.args)});
    if (unsettled_.size() < kUnsettled) return;
    attempt([&] { return backend_->wait(&context_); }, [] { return std::string("drain"); });
    unsettled_.clear();
  }

  void* scratch(int64_t bytes) {
    bytes = (bytes + 63) / 64 * 64;
    if (bytes < 64) bytes = 64;
    if (chunks_.empty() || chunk_used_ + bytes > chunks_.back().bytes) {
      const int64_t size = bytes > kChunk ? bytes : kChunk;
      void* data = backend_->take_scratch(&context_, size);
      if (data == nullptr) {
        failure_ = {"kernel_memory", "no memory for " + std::to_string(bytes) + " bytes of scratch"};
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
    void* data = backend_->take_scratch(&context_, used);
    if (data != nullptr) chunks_.push_back(Chunk{static_cast<char*>(data), used});
  }

  void free_chunks() {
    for (const Chunk& chunk : chunks_) backend_->give_scratch(&context_, chunk.data, chunk.bytes);
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
  Failure error_;
  std::mutex failure_mutex_;
  Failure failure_;
  std::string failed_call_;
  std::vector<Call> unsettled_;
  std::vector<Chunk> chunks_;
  int64_t chunk_used_ = 0;
  int64_t scratch_used_ = 0;
};

}  // namespace posttrain
