// Who may work on what in attention's backward. A piece of work is some key blocks of one query head of one sequence. Each sum
// has its order: dq goes along the key blocks, dk and dv along the heads of a group. So a piece waits for the same head's piece
// before it and for the same blocks of the head before it; whatever else is done meanwhile, by however many threads, changes no bit.
#pragma once
#include <pthread.h>

#include "cpu.h"

namespace PT_NAMESPACE {

struct Turn {
  int64_t chain;  // a head of a group of a sequence, heads last
  int64_t sequence, group, head, piece;
};

class Turns {
 public:
  static int64_t bytes(int64_t chains) { return chains * static_cast<int64_t>(sizeof(Chain) + sizeof(int32_t)); }

  // `tokens` a piece.
  Turns(void* memory, const int32_t* starts, int64_t sequences, int64_t groups, int64_t heads, int64_t tokens)
      : chains_(static_cast<Chain*>(memory)),
        ready_(reinterpret_cast<int32_t*>(chains_ + sequences * groups * heads)),
        groups_(groups),
        heads_(heads),
        size_(sequences * groups * heads) {
    pthread_mutex_init(&mutex_, nullptr);
    pthread_cond_init(&more_, nullptr);
    for (int64_t s = 0, c = 0; s < sequences; s++)
      for (int64_t i = 0; i < groups * heads; i++, c++)
        chains_[c] = {static_cast<int32_t>(ceil_div(starts[s + 1] - starts[s], tokens)), 0, false};
    for (int64_t c = size_ - heads; c >= 0; c -= heads) offer(c);
  }
  ~Turns() {
    pthread_cond_destroy(&more_);
    pthread_mutex_destroy(&mutex_);
  }
  Turns(const Turns&) = delete;
  Turns& operator=(const Turns&) = delete;

  // To be called as often as there are pieces. Waits while all that is left waits for others at work: each of them offers what
  // comes after it, so this ends.
  Turn take() {
    pthread_mutex_lock(&mutex_);
    while (waiting_ == 0) pthread_cond_wait(&more_, &mutex_);
    const int64_t c = ready_[--waiting_];
    const int64_t piece = chains_[c].done;
    pthread_mutex_unlock(&mutex_);
    return {c, c / (groups_ * heads_), c / heads_ % groups_, c % heads_, piece};
  }

  void done(const Turn& turn) {
    pthread_mutex_lock(&mutex_);
    chains_[turn.chain].done++;
    chains_[turn.chain].taken = false;
    const int64_t before = waiting_;
    offer(turn.chain);
    if (turn.head + 1 < heads_) offer(turn.chain + 1);
    if (waiting_ > before) pthread_cond_broadcast(&more_);
    pthread_mutex_unlock(&mutex_);
  }

 private:
  struct Chain {
    int32_t pieces, done;
    bool taken;  // its next piece is at work or offered
  };

  void offer(int64_t c) {
    Chain& chain = chains_[c];
    if (chain.taken || chain.done == chain.pieces) return;
    if (c % heads_ > 0 && chains_[c - 1].done <= chain.done) return;
    chain.taken = true;
    ready_[waiting_++] = static_cast<int32_t>(c);
  }

  pthread_mutex_t mutex_;
  pthread_cond_t more_;
  Chain* chains_;
  int32_t* ready_;  // last in, first out: the next head finds its keys in the cache
  int64_t groups_, heads_, size_, waiting_ = 0;
};

}  // namespace PT_NAMESPACE
