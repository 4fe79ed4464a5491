#include "fiber.h"

#include <cstdint>

#if defined(__x86_64__)

// simt_switch(where to keep this stack pointer, the one to go on with): the registers that a callee keeps (System V ABI) are on the stack.
__asm__(
    ".text\n"
    ".globl simt_switch\n"
    ".hidden simt_switch\n"
    ".type simt_switch, @function\n"
    "simt_switch:\n"
    "  pushq %rbp\n"
    "  pushq %rbx\n"
    "  pushq %r12\n"
    "  pushq %r13\n"
    "  pushq %r14\n"
    "  pushq %r15\n"
    "  movq %rsp, (%rdi)\n"
    "  movq %rsi, %rsp\n"
    "  popq %r15\n"
    "  popq %r14\n"
    "  popq %r13\n"
    "  popq %r12\n"
    "  popq %rbx\n"
    "  popq %rbp\n"
    "  ret\n"
    ".size simt_switch, .-simt_switch\n");
extern "C" __attribute__((visibility("hidden"))) void simt_switch(void** keep, void* next);

namespace simt {

void Fiber::prepare(char* stack, size_t bytes, void (*entry)()) {
  auto top = reinterpret_cast<uintptr_t>(stack + bytes) / 16 * 16;
  auto* at = reinterpret_cast<void**>(top);
  *--at = nullptr;  // where entry would return to; it keeps the stack as after a call
  *--at = reinterpret_cast<void*>(entry);
  for (int i = 0; i < 6; i++) *--at = nullptr;
  mine_ = at;
}
void Fiber::enter() { simt_switch(&scheduler_, mine_); }
void Fiber::leave() { simt_switch(&mine_, scheduler_); }

}  // namespace simt

#else

namespace simt {

void Fiber::prepare(char* stack, size_t bytes, void (*entry)()) {
  getcontext(&mine_);
  mine_.uc_stack.ss_sp = stack;
  mine_.uc_stack.ss_size = bytes;
  mine_.uc_link = nullptr;
  makecontext(&mine_, entry, 0);
}
void Fiber::enter() { swapcontext(&scheduler_, &mine_); }
void Fiber::leave() { swapcontext(&mine_, &scheduler_); }

}  // namespace simt

#endif
