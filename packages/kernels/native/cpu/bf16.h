// The state of the arithmetic unit that products of bf16 matrices are computed in: subnormal numbers, read or made, count as zero of
// the same sign. AMX works like that whatever it is told; the other paths must be told, thread by thread, and only for as long as a
// product lasts: everything else keeps its subnormals.
#pragma once
#include "cpu.h"

namespace PT_NAMESPACE {

class FlushSubnormals {
 public:
  FlushSubnormals() : before_(read()) { write(before_ | FLUSH); }
  ~FlushSubnormals() { write(before_); }
  FlushSubnormals(const FlushSubnormals&) = delete;
  FlushSubnormals& operator=(const FlushSubnormals&) = delete;

 private:
  // Arithmetic on what is loaded and stored inside the scope stays there: the compiler moves no access to memory over these.
#if defined(__x86_64__)
  typedef uint32_t State;
  static constexpr State FLUSH = 0x8040;  // flush to zero, denormals are zero
  static State read() { return __builtin_ia32_stmxcsr(); }
  static void write(State state) {
    __asm__ volatile("" ::: "memory");
    __builtin_ia32_ldmxcsr(state);
    __asm__ volatile("" ::: "memory");
  }
#elif defined(__aarch64__)
  typedef uint64_t State;
  static constexpr State FLUSH = 1u << 24;
  static State read() {
    State state;
    __asm__ volatile("mrs %0, fpcr" : "=r"(state));
    return state;
  }
  static void write(State state) { __asm__ volatile("msr fpcr, %0" ::"r"(state) : "memory"); }
#else
#error "how are subnormals flushed to zero here?"
#endif
  const State before_;
};

}  // namespace PT_NAMESPACE
