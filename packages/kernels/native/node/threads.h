// The compute threads of one device. The executor calls run(); the others join an open job, take indices from a shared counter
// and leave when none is left. The executor closes the job then and waits only for those that joined, so a thread that the
// system put aside before it took anything delays nobody.
//
// Whoever waits spins for some microseconds, which is what a partner that runs needs, then sleeps. A partner that does not run
// got no core, and the waiter's is the one it can have: a waiter that went on spinning, or yielding, would keep it from there for
// whole time slices, and use up its own share meanwhile (LOG.md, 2026-11-25).
#pragma once
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <thread>
#include <vector>

namespace posttrain {

inline void pause_briefly() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ __volatile__("yield");
#endif
}

class Threads {
 public:
  explicit Threads(int count) {
    try {
      for (int i = 1; i < count; i++) workers_.emplace_back([this, i] { work(i); });
    } catch (...) {  // the system gives no more threads
      stop();
      throw;
    }
  }
  Threads(const Threads&) = delete;
  Threads& operator=(const Threads&) = delete;
  ~Threads() { stop(); }

  // From any thread: what is left of the job at work, and of later ones, is not done. For a stream that ends.
  void cancel() { cancelled_.store(true, std::memory_order_relaxed); }

  int count() const { return static_cast<int>(workers_.size()) + 1; }

  // Called by the executor alone.
  void run(int64_t count, void (*body)(void*, int64_t, int32_t), void* arg) {
    if (count <= 1 || workers_.empty()) {
      for (int64_t i = 0; i < count && !cancelled_.load(std::memory_order_relaxed); i++) body(arg, i, 0);
      return;
    }
    body_ = body;
    arg_ = arg;
    count_ = count;
    next_.store(0, std::memory_order_relaxed);
    epoch_++;
    state_.store((static_cast<uint64_t>(epoch_) << 32) | kOpen, std::memory_order_seq_cst);
    if (sleepers_.load(std::memory_order_seq_cst) > 0) {
      const std::lock_guard<std::mutex> lock(mutex_);
      wake_.notify_all();
    }
    take_indices(0);
    if (joined(state_.fetch_and(~kOpen, std::memory_order_acq_rel)) > 0) wait_for_joined();
  }

 private:
  // state_: the job's number in the upper half, whether it is open, how many joined and have not left.
  static constexpr uint64_t kOpen = 1u << 31;
  static constexpr int kSpins = 2000;

  static uint32_t joined(uint64_t state) { return static_cast<uint32_t>(state & (kOpen - 1)); }
  static uint32_t number(uint64_t state) { return static_cast<uint32_t>(state >> 32); }
  static bool is_new(uint64_t state, uint32_t last) { return (state & kOpen) != 0 && number(state) != last; }

  void take_indices(int32_t thread) {
    for (;;) {
      const int64_t i = next_.fetch_add(1, std::memory_order_relaxed);
      if (i >= count_ || cancelled_.load(std::memory_order_relaxed)) return;
      body_(arg_, i, thread);
    }
  }

  void wait_for_joined() {
    for (int spins = 0; spins < kSpins; spins++) {
      if (joined(state_.load(std::memory_order_acquire)) == 0) return;
      pause_briefly();
    }
    std::unique_lock<std::mutex> lock(mutex_);
    executor_sleeps_.store(true, std::memory_order_seq_cst);
    left_.wait(lock, [this] { return joined(state_.load(std::memory_order_seq_cst)) == 0; });
    executor_sleeps_.store(false, std::memory_order_relaxed);
  }

  void stop() {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      stopping_ = true;
    }
    wake_.notify_all();
    for (std::thread& t : workers_) t.join();
  }

  // Joins the open job unless it is the one that this thread left last; `last` becomes its number.
  bool join(uint32_t& last) {
    uint64_t state = state_.load(std::memory_order_acquire);
    while (is_new(state, last))
      if (state_.compare_exchange_weak(state, state + 1, std::memory_order_acq_rel)) {
        last = number(state);
        return true;
      }
    return false;
  }

  // The last one to leave a closed job wakes the executor if it sleeps; both sides write first and read then.
  void leave() {
    const uint64_t before = state_.fetch_sub(1, std::memory_order_seq_cst);
    if ((before & kOpen) != 0 || joined(before) > 1 || !executor_sleeps_.load(std::memory_order_seq_cst)) return;
    const std::lock_guard<std::mutex> lock(mutex_);
    left_.notify_one();
  }

  void work(int32_t thread) {
    uint32_t last = 0;
    for (;;) {
      int spins = 0;
      while (!join(last)) {
        if (++spins < kSpins) {
          pause_briefly();
          continue;
        }
        std::unique_lock<std::mutex> lock(mutex_);
        sleepers_.fetch_add(1, std::memory_order_seq_cst);
        wake_.wait(lock, [&] { return stopping_ || is_new(state_.load(std::memory_order_seq_cst), last); });
        sleepers_.fetch_sub(1, std::memory_order_seq_cst);
        if (stopping_) return;
        spins = 0;
      }
      take_indices(thread);
      leave();
    }
  }

  std::vector<std::thread> workers_;
  std::mutex mutex_;
  std::condition_variable wake_;  // of the workers: a new job
  std::condition_variable left_;  // of the executor: the last worker left
  bool stopping_ = false;
  alignas(64) std::atomic<uint64_t> state_{0};
  alignas(64) std::atomic<int64_t> next_{0};
  alignas(64) std::atomic<int> sleepers_{0};
  std::atomic<bool> executor_sleeps_{false};
  std::atomic<bool> cancelled_{false};
  uint32_t epoch_ = 0;  // the executor's alone
  void (*body_)(void*, int64_t, int32_t) = nullptr;
  void* arg_ = nullptr;
  int64_t count_ = 0;
};

}  // namespace posttrain
