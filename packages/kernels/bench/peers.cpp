// One product by a library, timed as bench/measure.ts times ours: the fp32 multiply-add peak before every repetition, medians.
//
//     peer-LIBRARY f32|bf16 f|d|w ROWS OUTPUTS INPUTS THREADS    prints: seconds, peak in operations a second, share, share by CPU time
//
// f: y (M, N) = x (M, K) w (N, K)^T; d: dx (M, K) = dy w; w: dw (N, K) += dy^T x.
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string>
#include <thread>
#include <vector>
#if defined(PEER_OPENBLAS)
#include <cblas.h>
#else
#include <oneapi/dnnl/dnnl.hpp>
#endif

namespace {

#if defined(__AVX512F__)
constexpr int kLanes = 16;
#else
constexpr int kLanes = 8;
#endif
typedef float Lanes __attribute__((vector_size(4 * kLanes)));

// 12 chains hide the latency of two multiply-adds a cycle. Named, not in an array, which gcc keeps in memory.
#define CHAINS(X) X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11)
void multiply_adds(int64_t rounds, float* out) {
  Lanes start = {}, scale, shift;
  for (int j = 0; j < kLanes; j++) start[j] = 0.01f * j, scale[j] = 0.999f, shift[j] = 0.001f;
#define DECLARE(i) Lanes c##i = start + 0.1f * i;
  CHAINS(DECLARE)
  for (int64_t r = 0; r < rounds; r++) {
#define STEP(i) c##i = c##i * scale + shift;
    CHAINS(STEP)
    CHAINS(STEP)
  }
  Lanes sum = {};
#define SUM(i) sum += c##i;
  CHAINS(SUM)
  *out = sum[0] + sum[kLanes - 1];
}

struct Span {
  double wall, cpu;
};

double cpu_seconds() {
  rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_utime.tv_sec + usage.ru_stime.tv_sec + 1e-6 * (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

Span timed(const std::function<void()>& body) {
  const double cpu = cpu_seconds();
  const auto start = std::chrono::steady_clock::now();
  body();
  return {std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count(), cpu_seconds() - cpu};
}

// Operations a second by the clock and by CPU time.
Span peak(int threads) {
  static int64_t rounds = 1000;
  for (;;) {
    const Span span = timed([&] {
      std::vector<std::thread> workers;
      std::vector<float> out(64 * threads);
      for (int t = 1; t < threads; t++) workers.emplace_back([&, t] { multiply_adds(rounds, &out[64 * t]); });
      multiply_adds(rounds, &out[0]);
      for (std::thread& worker : workers) worker.join();
    });
    const double operations = 2.0 * 24 * kLanes * rounds * threads;
    if (span.wall > 0.02) return {operations / span.wall, operations / span.cpu};
    rounds *= span.wall < 0.002 ? 8 : 2;
  }
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 7) return 1;
  const std::string dtype = argv[1];
  const char direction = argv[2][0];
  const int64_t m = atoll(argv[3]), n = atoll(argv[4]), k = atoll(argv[5]);
  const int threads = atoi(argv[6]);
  const auto fill = [](std::vector<float>& values) {
    uint32_t state = 12345;
    for (float& value : values) state = state * 1664525u + 1013904223u, value = (int32_t)state * 1e-10f;
  };
  // Left (rows, inner), right (inner, columns), result (rows, columns), each perhaps stored transposed.
  const int64_t rows = direction == 'w' ? n : m, columns = direction == 'f' ? n : k,
                inner = direction == 'f' ? k : direction == 'd' ? n : m;
  const bool left_transposed = direction == 'w', right_transposed = direction == 'f';
  const float beta = direction == 'w' ? 1.0f : 0.0f;
  std::vector<float> left(rows * inner), right(inner * columns), result(rows * columns);
  fill(left);
  fill(right);
  std::function<void()> run;
#if defined(PEER_OPENBLAS)
  run = [&] {
    cblas_sgemm(CblasRowMajor, left_transposed ? CblasTrans : CblasNoTrans, right_transposed ? CblasTrans : CblasNoTrans, rows,
                columns, inner, 1.0f, left.data(), left_transposed ? rows : inner, right.data(),
                right_transposed ? inner : columns, beta, result.data(), columns);
  };
#else
  using namespace dnnl;
  engine cpu(engine::kind::cpu, 0);
  stream queue(cpu);
  const auto type = dtype == "bf16" ? memory::data_type::bf16 : memory::data_type::f32;
  const auto tag = [](bool transposed) { return transposed ? memory::format_tag::ba : memory::format_tag::ab; };
  const memory::desc left_shape({rows, inner}, type, tag(left_transposed));
  const memory::desc right_shape({inner, columns}, type, tag(right_transposed));
  const memory::desc result_shape({rows, columns}, memory::data_type::f32, memory::format_tag::ab);
  primitive_attr attributes;
  if (beta != 0) {
    post_ops sum;
    sum.append_sum(1.0f);
    attributes.set_post_ops(sum);
  }
  // A vector of floats is more than room enough for bf16; which numbers its halves are does not matter, small ones they are.
  memory left_memory(left_shape, cpu, left.data()), right_memory(right_shape, cpu, right.data()),
      result_memory(result_shape, cpu, result.data());
  const matmul product(matmul::primitive_desc(matmul::desc(left_shape, right_shape, result_shape), attributes, cpu));
  run = [&] {
    product.execute(queue, {{DNNL_ARG_SRC, left_memory}, {DNNL_ARG_WEIGHTS, right_memory}, {DNNL_ARG_DST, result_memory}});
    queue.wait();
  };
#endif
  const double operations = 2.0 * m * n * k;
  run();
  const double once = timed(run).wall;
  const int times = std::max(1, (int)(0.02 / once));
  const int rounds = std::min(9, std::max(3, (int)(3 / (times * once + 0.02))));
  std::vector<double> seconds, peaks, shares, cpu_shares;
  for (int i = 0; i < rounds; i++) {
    // The library's threads go on spinning for a while after a product, and would share the cores with the probe.
    std::this_thread::sleep_for(std::chrono::milliseconds(60));
    peak(threads);  // wakes the cores up
    const Span limit = peak(threads);
    const Span span = timed([&] {
      for (int t = 0; t < times; t++) run();
    });
    seconds.push_back(span.wall / times);
    peaks.push_back(limit.wall);
    shares.push_back(operations * times / span.wall / limit.wall);
    cpu_shares.push_back(operations * times / span.cpu / limit.cpu);
  }
  printf("%g %g %g %g\n", median(seconds), median(peaks), median(shares), median(cpu_shares));
}
