// Fibers: stacks of their own on one thread of the host, switched by hand. A switch saves what a called function must keep and swaps the
// stack pointer: some 2 ns on x86-64, where ucontext takes 300 (it asks the system about signals each time). Elsewhere ucontext does it.
#pragma once
#include <cstddef>

#if !defined(__x86_64__)
#include <ucontext.h>
#endif

namespace simt {

class Fiber {
 public:
  // Prepares the fiber to begin with entry() on this stack. entry never returns.
  void prepare(char* stack, size_t bytes, void (*entry)());
  // From the scheduler into the fiber, and from within it back.
  void enter();
  void leave();

 private:
#if defined(__x86_64__)
  void* mine_ = nullptr;
  void* scheduler_ = nullptr;
#else
  ucontext_t mine_, scheduler_;
#endif
};

}  // namespace simt
