// Messages between the ranks of one program: bytes from host memory to host memory, point to point, by an MPI library that is opened at run
// time. Nothing links to it and no header of it is needed: what is declared here are its names and the few constants of Open MPI's ABI.
//
// One thread makes every call to MPI, from the first to the last, and sleeps between looks at what is under way: a rank that waits leaves
// its core to those that compute. Two ranks' messages in one direction arrive in the order in which they were sent, so nothing is tagged.
// Memory of a device would go here too: NCCL's ncclSend and ncclRecv take the place of MPI_Isend and MPI_Irecv on its stream.
#include <dlfcn.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>
#include <vector>

#include "handles.h"

namespace posttrain {
namespace {

using Handle = void*;
constexpr int kThreadFunneled = 1;  // MPI_THREAD_FUNNELED: the thread that began makes all calls

struct Mpi {
  int (*begin)(int*, char***, int, int*);
  int (*end)();
  int (*rank)(Handle, int*);
  int (*size)(Handle, int*);
  int (*send)(const void*, int, Handle, int, int, Handle, Handle*);
  int (*receive)(void*, int, Handle, int, int, Handle, Handle*);
  int (*test)(Handle*, int*, void*);
  Handle world, byte;
};

struct Message {
  bool sends = false;
  int peer = 0;
  void* data = nullptr;
  int bytes = 0;
  Handle request = nullptr;
  napi_deferred deferred = nullptr;
  napi_ref array = nullptr;
};

// MPI can be begun once in a process.
struct Messages {
  Mpi mpi{};
  napi_threadsafe_function wake = nullptr;
  std::thread thread;
  std::mutex mutex;
  std::condition_variable changed;
  std::deque<Message*> posted;
  bool ending = false;
  bool begun = false;
  int rank = 0, size = 1;
  int64_t waits = 0;  // of the JavaScript thread
  napi_deferred closed = nullptr;
};
Messages* open_messages_state = nullptr;

template <class F>
bool find(void* library, const char* name, F* out, std::string* why) {
  void* symbol = dlsym(library, name);
  if (symbol == nullptr) *why = std::string("it has no ") + name + ": only Open MPI is known here";
  *out = reinterpret_cast<F>(symbol);
  return symbol != nullptr;
}

bool load(const std::string& file, Mpi* mpi, std::string* why) {
  // Open MPI's own plugins look its symbols up globally.
  void* library = dlopen(file.c_str(), RTLD_NOW | RTLD_GLOBAL);
  if (library == nullptr) {
    *why = dlerror();
    return false;
  }
  return find(library, "MPI_Init_thread", &mpi->begin, why) && find(library, "MPI_Finalize", &mpi->end, why) &&
         find(library, "MPI_Comm_rank", &mpi->rank, why) && find(library, "MPI_Comm_size", &mpi->size, why) &&
         find(library, "MPI_Isend", &mpi->send, why) && find(library, "MPI_Irecv", &mpi->receive, why) &&
         find(library, "MPI_Test", &mpi->test, why) && find(library, "ompi_mpi_comm_world", &mpi->world, why) &&
         find(library, "ompi_mpi_byte", &mpi->byte, why);
}

void start(const Mpi& mpi, Message* m) {
  if (m->sends)
    mpi.send(m->data, m->bytes, mpi.byte, m->peer, 0, mpi.world, &m->request);
  else
    mpi.receive(m->data, m->bytes, mpi.byte, m->peer, 0, mpi.world, &m->request);
}

// The thread of all calls. An error of MPI ends the process with MPI's own words, which is what its standard error handler does.
void run(Messages* state) {
  const Mpi& mpi = state->mpi;
  int provided = 0;
  mpi.begin(nullptr, nullptr, kThreadFunneled, &provided);
  mpi.rank(mpi.world, &state->rank);
  mpi.size(mpi.world, &state->size);
  {
    std::lock_guard<std::mutex> lock(state->mutex);
    state->begun = true;
  }
  state->changed.notify_all();
  std::vector<Message*> active;
  auto pause = std::chrono::microseconds(0);
  for (;;) {
    {
      std::unique_lock<std::mutex> lock(state->mutex);
      const auto has_news = [state] { return state->ending || !state->posted.empty(); };
      if (active.empty())
        state->changed.wait(lock, has_news);
      else if (pause.count() > 0)
        state->changed.wait_for(lock, pause, has_news);
      if (state->ending && state->posted.empty() && active.empty()) break;
      for (Message* m : state->posted) {
        start(mpi, m);
        active.push_back(m);
      }
      state->posted.clear();
    }
    bool moved = false;
    for (Message*& m : active) {
      int done = 0;
      mpi.test(&m->request, &done, nullptr);
      if (done == 0) continue;
      moved = true;
      napi_call_threadsafe_function(state->wake, m, napi_tsfn_blocking);
      m = nullptr;
    }
    active.erase(std::remove(active.begin(), active.end(), nullptr), active.end());
    pause = moved ? std::chrono::microseconds(0)
                  : std::min(pause + std::chrono::microseconds(20), std::chrono::microseconds(1000));
  }
  mpi.end();
  napi_call_threadsafe_function(state->wake, nullptr, napi_tsfn_blocking);
}

void settle(napi_env env, napi_value, void*, void* data) {
  Messages* state = open_messages_state;
  Message* m = static_cast<Message*>(data);
  if (env == nullptr) {
    delete m;
    return;
  }
  if (m == nullptr) {
    state->thread.join();
    napi_resolve_deferred(env, state->closed, undefined(env));
    napi_release_threadsafe_function(state->wake, napi_tsfn_release);
    return;
  }
  if (--state->waits == 0) napi_unref_threadsafe_function(env, state->wake);
  napi_delete_reference(env, m->array);
  napi_resolve_deferred(env, m->deferred, undefined(env));
  delete m;
}

// openMessages(library): begins MPI and returns {rank, size}. Once in a process.
napi_value open_messages(napi_env env, napi_callback_info info) {
  const Call call(env, info);
  std::string file;
  if (!text(env, call.at(0), &file))
    return fail(env, "kernel_argument",
                std::string("openMessages: library is ") + type_name(env, call.at(0)) + ", expected a string");
  if (open_messages_state != nullptr)
    return fail(env, "kernel_argument", "openMessages: MPI was begun before, and can be begun once in a process");
  auto state = std::make_unique<Messages>();
  std::string why;
  if (!load(file, &state->mpi, &why)) return fail(env, "kernel_device", "openMessages: " + file + ": " + why);
  napi_create_threadsafe_function(env, nullptr, nullptr, string(env, "messages"), 0, 1, nullptr, nullptr, nullptr,
                                  settle, &state->wake);
  napi_unref_threadsafe_function(env, state->wake);
  open_messages_state = state.release();
  Messages* opened = open_messages_state;
  opened->thread = std::thread(run, opened);
  {
    std::unique_lock<std::mutex> lock(opened->mutex);
    opened->changed.wait(lock, [opened] { return opened->begun; });
  }
  napi_value result;
  napi_create_object(env, &result);
  napi_set_named_property(env, result, "rank", number(env, opened->rank));
  napi_set_named_property(env, result, "size", number(env, opened->size));
  return result;
}

// send(rank, bytes) and receive(rank, bytes): promises. The array's memory is in use until then.
napi_value post(napi_env env, napi_callback_info info, const char* what, bool sends) {
  const Call call(env, info);
  Messages* state = open_messages_state;
  if (state == nullptr || state->ending)
    return fail(env, "kernel_argument", std::string(what) + ": no messages are open");
  int64_t peer = 0;
  if (!whole_number(env, call.at(0), &peer) || peer < 0 || peer >= state->size || peer == state->rank)
    return fail(env, "kernel_argument",
                std::string(what) + ": rank is " + value_text(env, call.at(0)) + ", expected another one of " +
                    std::to_string(state->size) + " ranks");
  bool is_typed = false;
  napi_typedarray_type type;
  size_t length = 0;
  void* data = nullptr;
  napi_is_typedarray(env, call.at(1), &is_typed);
  if (!is_typed || napi_get_typedarray_info(env, call.at(1), &type, &length, &data, nullptr, nullptr) != napi_ok ||
      type != napi_uint8_array || length > (1u << 30))
    return fail(env, "kernel_argument",
                std::string(what) + ": bytes is " + type_name(env, call.at(1)) +
                    ", expected a Uint8Array of at most 2^30 bytes");
  Message* m = new Message();
  m->sends = sends;
  m->peer = static_cast<int>(peer);
  m->data = data;
  m->bytes = static_cast<int>(length);
  napi_value promise;
  napi_create_promise(env, &m->deferred, &promise);
  napi_create_reference(env, call.at(1), 1, &m->array);
  if (state->waits++ == 0) napi_ref_threadsafe_function(env, state->wake);
  {
    std::lock_guard<std::mutex> lock(state->mutex);
    state->posted.push_back(m);
  }
  state->changed.notify_all();
  return promise;
}

napi_value send(napi_env env, napi_callback_info info) { return post(env, info, "sendMessage", true); }
napi_value receive(napi_env env, napi_callback_info info) { return post(env, info, "receiveMessage", false); }

// closeMessages(): a promise; every rank must come here for it to settle.
napi_value close_messages(napi_env env, napi_callback_info) {
  Messages* state = open_messages_state;
  if (state == nullptr || state->ending) return fail(env, "kernel_argument", "closeMessages: no messages are open");
  napi_value promise;
  napi_create_promise(env, &state->closed, &promise);
  napi_ref_threadsafe_function(env, state->wake);
  {
    std::lock_guard<std::mutex> lock(state->mutex);
    state->ending = true;
  }
  state->changed.notify_all();
  return promise;
}

}  // namespace

void add_message_exports(napi_env env, napi_value exports) {
  add_export(env, exports, "openMessages", open_messages);
  add_export(env, exports, "sendMessage", send);
  add_export(env, exports, "receiveMessage", receive);
  add_export(env, exports, "closeMessages", close_messages);
}

}  // namespace posttrain
