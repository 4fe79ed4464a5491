// The compute threads of one device. The executor calls run(); the others join an open job, take indices from a shared
// counter and leave. The executor closes the job when the counter is used up and waits only for those that joined, so a
// thread that the system put aside delays nobody. Idle threads spin for some microseconds, then sleep.
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
    state_.store(kOpen, std::memory_order_seq_cst);
    if (sleepers_.load(std::memory_order_seq_cst) > 0) {
      const std::lock_guard<std::mutex> lock(mutex_);
      wake_.notify_all();
    }
    take_indices(0);
    state_.fetch_and(~kOpen, std::memory_order_acq_rel);
    for (int spins = 0; state_.load(std::memory_order_acquire) != 0; spins++) {
      pause_briefly();
      if (spins > kSpins) std::this_thread::yield();
    }
  }

 private:
  static constexpr uint32_t kOpen = 1u << 31;
  static constexpr int kSpins = 2000;

  void take_indices(int32_t thread) {
    for (;;) {
      const int64_t i = next_.fetch_add(1, std::memory_order_relaxed);
      if (i >= count_ || cancelled_.load(std::memory_order_relaxed)) return;
      body_(arg_, i, thread);
    }
  }

  void stop() {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      stopping_ = true;
    }
    wake_.notify_all();
    for (std::thread& t : workers_) t.join();
  }

  bool join() {
    uint32_t state = state_.load(std::memory_order_acquire);
    while ((state & kOpen) != 0)
      if (state_.compare_exchange_weak(state, state + 1, std::memory_order_acq_rel)) return true;
    return false;
  }

  void work(int32_t thread) {
    for (;;) {
      int spins = 0;
      while (!join()) {
        if (++spins < kSpins) {
          pause_briefly();
          continue;
        }
        std::unique_lock<std::mutex> lock(mutex_);
        sleepers_.fetch_add(1, std::memory_order_seq_cst);
        wake_.wait(lock, [this] { return stopping_ || (state_.load(std::memory_order_seq_cst) & kOpen) != 0; });
        sleepers_.fetch_sub(1, std::memory_order_seq_cst);
        if (stopping_) return;
        spins = 0;
      }
      take_indices(thread);
      // No index is left, but the executor may still work on its own: stay until it closes the job, so that what a job is
      // made of is never written while somebody may read it.
      for (spins = 0; (state_.load(std::memory_order_acquire) & kOpen) != 0; spins++) {
        pause_briefly();
        if (spins > kSpins) std::this_thread::yield();
      }
      state_.fetch_sub(1, std::memory_order_acq_rel);
    }
  }

  std::vector<std::thread> workers_;
  std::mutex mutex_;
  std::condition_variable wake_;
  bool stopping_ = false;
  alignas(64) std::atomic<uint32_t> state_{0};
  alignas(64) std::atomic<int64_t> next_{0};
  alignas(64) std::atomic<int> sleepers_{0};
  std::atomic<bool> cancelled_{false};
  void (*body_)(void*, int64_t, int32_t) = nullptr;
  void* arg_ = nullptr;
  int64_t count_ = 0;
};

}  // namespace posttrain
