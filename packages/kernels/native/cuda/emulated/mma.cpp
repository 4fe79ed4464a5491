// mma.sync m16n8k16 of bf16 with fp32 accumulators, bit for bit as the chips do it, and ldmatrix. The arithmetic is that of two models that were
// checked against hardware: MMA-Sim (Xie et al., arXiv 2511.10909) and Khattak and Mikaitis (arXiv 2512.07004). Fragments: PTX ISA.
//
// An element of D: products are exact; of them and C the largest exponent is found (that of zero and of subnormal numbers counts as -126), each is cut
// toward zero F binary places below it, the cut terms are added exactly, and the sum is cut toward zero to fp32. sm_80 to sm_89: F = 24, K in two halves, the
// first one's result being the second one's C; sm_90 and later: F = 25, all 16 at once. Any NaN, and infinities that meet, give 0x7fffffff.
#include <cfenv>

#include "block.h"

namespace simt {
namespace {

thread_local int capability = 90;

constexpr uint32_t NOT_A_NUMBER = 0x7fffffff, INFINITE = 0x7f800000;
constexpr int LEAST_EXPONENT = -126;

// (-1)^negative significand 2^(exponent - its fraction bits)
struct Term {
  bool negative;
  int exponent;
  int64_t significand;
};

int64_t cut(int64_t significand, int by) {  // significand 2^by toward zero
  if (by >= 0) return significand << by;
  return by > -63 ? significand >> -by : 0;
}

// sum 2^(largest - places), cut toward zero to fp32.
uint32_t to_float(int64_t sum, int largest, int places) {
  if (sum == 0) return 0;
  const uint32_t sign = sum < 0 ? 0x80000000u : 0u;
  const int64_t size = sum < 0 ? -sum : sum;
  const int top = 63 - __builtin_clzll(static_cast<unsigned long long>(size));
  const int exponent = top + largest - places;
  if (exponent > 127) return sign | INFINITE;
  // To units of the last place: 2^(exponent - 23), of subnormal numbers 2^-149.
  const int last = (exponent < LEAST_EXPONENT ? LEAST_EXPONENT : exponent) - 23;
  const auto significand = static_cast<uint32_t>(cut(size, largest - places - last));
  if (exponent < LEAST_EXPONENT) return sign | significand;
  return sign | static_cast<uint32_t>(exponent + 127) << 23 | (significand & 0x7fffff);
}

// The bits of c + the sum of count products.
uint32_t add_products(const uint16_t* a, const uint16_t* b, int count, uint32_t c, int places) {
  bool positive_infinity = false, negative_infinity = false;
  const auto meet_infinity = [&](bool negative) { (negative ? negative_infinity : positive_infinity) = true; };
  Term terms[17];
  int largest = INT32_MIN;
  for (int i = 0; i < count; i++) {
    const int ea = a[i] >> 7 & 0xff, eb = b[i] >> 7 & 0xff, fa = a[i] & 0x7f, fb = b[i] & 0x7f;
    const bool negative = ((a[i] ^ b[i]) >> 15) != 0, zero_a = (a[i] & 0x7fff) == 0, zero_b = (b[i] & 0x7fff) == 0;
    if (ea == 0xff || eb == 0xff) {
      if ((ea == 0xff && (fa != 0 || zero_b)) || (eb == 0xff && (fb != 0 || zero_a))) return NOT_A_NUMBER;
      meet_infinity(negative);
    }
    Term& term = terms[i];
    term.negative = negative;
    term.exponent = (ea == 0 ? LEAST_EXPONENT : ea - 127) + (eb == 0 ? LEAST_EXPONENT : eb - 127);
    term.significand = static_cast<int64_t>(ea == 0 ? fa : fa | 0x80) * (eb == 0 ? fb : fb | 0x80);  // 14 fraction bits
    if (term.exponent > largest) largest = term.exponent;
  }
  const int ec = static_cast<int>(c >> 23 & 0xff);
  const auto fc = static_cast<int64_t>(c & 0x7fffff);
  if (ec == 0xff) {
    if (fc != 0) return NOT_A_NUMBER;
    meet_infinity(c >> 31 != 0);
  }
  if (positive_infinity && negative_infinity) return NOT_A_NUMBER;
  if (positive_infinity || negative_infinity) return INFINITE | (negative_infinity ? 0x80000000u : 0u);
  const int c_exponent = ec == 0 ? LEAST_EXPONENT : ec - 127;
  if (c_exponent > largest) largest = c_exponent;

  const int64_t c_units = cut(ec == 0 ? fc : fc | 0x800000, c_exponent - largest + places - 23);
  int64_t sum = c >> 31 ? -c_units : c_units;  // in units of 2^(largest - places)
  for (int i = 0; i < count; i++) {
    const int64_t units = cut(terms[i].significand, terms[i].exponent - largest + places - 14);
    sum += terms[i].negative ? -units : units;
  }
  return to_float(sum, largest, places);
}

// What products need of N numbers; whether they are finite.
template <int N>
struct Numbers {
  int exponent[N], significand[N];  // with its sign; 7 fraction bits
  bool finite;
  explicit Numbers(const uint16_t (&x)[N]) {
    int largest = 0;
    for (int i = 0; i < N; i++) {
      const int e = x[i] >> 7 & 0xff, f = x[i] & 0x7f, size = e == 0 ? f : f | 0x80;
      exponent[i] = e == 0 ? LEAST_EXPONENT : e - 127;
      significand[i] = x[i] >> 15 ? -size : size;
      largest = e > largest ? e : largest;
    }
    finite = largest != 0xff;
  }
};
constexpr int COLUMNS = 8, STEPS = 16;

// d[j] = d[j] + the products of a row with column j, where everything is finite and rounding is toward zero. All columns at once: the compiler makes
// vectors of the loops over j. A product has 16 bits and is moved 11 up at most, so that 16 of them are a sum of 32 bits; with d it is exact in double.
template <int PLACES, int COUNT>
void add_finite(const Numbers<STEPS>& a, const Numbers<STEPS * COLUMNS>& b, int first, uint32_t (&d)[COLUMNS]) {
  int own[COLUMNS], largest[COLUMNS], sum[COLUMNS] = {};
  for (int j = 0; j < COLUMNS; j++) {
    const int e = static_cast<int>(d[j] >> 23 & 0xff);
    largest[j] = own[j] = e == 0 ? LEAST_EXPONENT : e - 127;
  }
  for (int k = first; k < first + COUNT; k++)
    for (int j = 0; j < COLUMNS; j++) {
      const int exponent = a.exponent[k] + b.exponent[k * COLUMNS + j];
      largest[j] = exponent > largest[j] ? exponent : largest[j];
    }
  const auto units_of = [](int size, int below) { return size >> (below < 31 ? below : 31); };  // cut toward zero
  for (int k = first; k < first + COUNT; k++)
    for (int j = 0; j < COLUMNS; j++) {
      const int product = a.significand[k] * b.significand[k * COLUMNS + j], size = product < 0 ? -product : product;
      const int units = units_of(size << (PLACES - 14), largest[j] - a.exponent[k] - b.exponent[k * COLUMNS + j]);
      sum[j] += product < 0 ? -units : units;
    }
  double all[COLUMNS], scale[COLUMNS];
  float result[COLUMNS];
  for (int j = 0; j < COLUMNS; j++) {
    const int fraction = static_cast<int>(d[j] & 0x7fffff),
              size = (d[j] & 0x7f800000) == 0 ? fraction : fraction | 0x800000;
    const int units = units_of(size << (PLACES - 23), largest[j] - own[j]);
    all[j] = static_cast<double>(sum[j]) + static_cast<double>(d[j] >> 31 ? -units : units);
  }
  for (int j = 0; j < COLUMNS; j++) {
    const auto power = static_cast<uint64_t>(largest[j] - PLACES + 1023) << 52;
    memcpy(scale + j, &power, sizeof power);
  }
  for (int j = 0; j < COLUMNS; j++) {
    const double x = all[j] * scale[j];
    const auto cut = static_cast<float>(x);  // which is the largest number where x is beyond it
    result[j] = x >= 0x1p128 ? INFINITY : x <= -0x1p128 ? -INFINITY : cut;
  }
  memcpy(d, result, sizeof result);
}

// A row of D on a chip whose step is COUNT products at once. b: steps of COLUMNS numbers.
template <int PLACES, int COUNT>
void multiply_row(const uint16_t (&a)[STEPS], const uint16_t (&b)[STEPS * COLUMNS],
                  const Numbers<STEPS * COLUMNS>& columns, uint32_t (&d)[COLUMNS]) {
  const Numbers<STEPS> row(a);
  for (int first = 0; first < STEPS; first += COUNT) {
    bool finite = row.finite && columns.finite;
    for (int j = 0; j < COLUMNS; j++) finite = finite && (d[j] & INFINITE) != INFINITE;
    if (finite) {
      add_finite<PLACES, COUNT>(row, columns, first, d);
      continue;
    }
    for (int j = 0; j < COLUMNS; j++) {
      uint16_t column[COUNT];
      for (int k = 0; k < COUNT; k++) column[k] = b[(first + k) * COLUMNS + j];
      d[j] = add_products(a + first, column, COUNT, d[j], PLACES);
    }
  }
}

struct Fragments {
  float* d;
  const uint32_t *a, *b;
  const float* c;
};

uint16_t half_of(uint32_t word, int upper) { return static_cast<uint16_t>(upper ? word >> 16 : word); }

void multiply_tiles(void* const* lanes) {
  const auto of = [&](int lane) { return static_cast<const Fragments*>(lanes[lane]); };
  uint16_t a[16][STEPS], b[STEPS * COLUMNS];
  uint32_t c[16][COLUMNS];
  for (int lane = 0; lane < 32; lane++) {
    const int g = lane / 4, at = lane % 4 * 2;
    for (int i = 0; i < 2; i++) {
      for (int r = 0; r < 4; r++) a[g + r % 2 * 8][at + i + r / 2 * 8] = half_of(of(lane)->a[r], i);
      for (int r = 0; r < 2; r++) b[(at + i + r * 8) * COLUMNS + g] = half_of(of(lane)->b[r], i);
      for (int r = 0; r < 2; r++) memcpy(&c[g + r * 8][at + i], of(lane)->c + 2 * r + i, sizeof(uint32_t));
    }
  }
  const Numbers<STEPS * COLUMNS> columns(b);
  fesetround(FE_TOWARDZERO);
  for (int row = 0; row < 16; row++)
    capability < 90 ? multiply_row<24, 8>(a[row], b, columns, c[row])
                    : multiply_row<25, 16>(a[row], b, columns, c[row]);
  fesetround(FE_TONEAREST);
  for (int lane = 0; lane < 32; lane++)
    for (int i = 0; i < 4; i++) memcpy(of(lane)->d + i, &c[lane / 4 + i / 2 * 8][lane % 4 * 2 + i % 2], sizeof(float));
}

struct Rows {
  const void* row;
  uint32_t* words;
};
void load_tiles(void* const* lanes) {
  for (int lane = 0; lane < 32; lane++)
    for (int tile = 0; tile < 4; tile++) {
      const char* row = static_cast<const char*>(static_cast<const Rows*>(lanes[tile * 8 + lane / 4])->row);
      memcpy(static_cast<Rows*>(lanes[lane])->words + tile, row + lane % 4 * 4, sizeof(uint32_t));
    }
}
void load_tiles_turned(void* const* lanes) {
  for (int lane = 0; lane < 32; lane++)
    for (int tile = 0; tile < 4; tile++) {
      uint32_t word = 0;
      for (int i = 0; i < 2; i++) {
        const void* row = static_cast<const Rows*>(lanes[tile * 8 + lane % 4 * 2 + i])->row;
        word |= static_cast<uint32_t>(static_cast<const uint16_t*>(row)[lane / 4]) << 16 * i;
      }
      static_cast<Rows*>(lanes[lane])->words[tile] = word;
    }
}

}  // namespace

void set_capability(int next) { capability = next; }

void mma_m16n8k16(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2], const float (&c)[4], const char* file,
                  int line) {
  Fragments mine = {d, a, b, c};
  together({"mma.sync", multiply_tiles}, &mine, 0xffffffffu, file, line);
}
void ldmatrix_x4(uint32_t (&words)[4], const void* row, const char* file, int line) {
  aligned(row, 16);
  watch_read(row, 16);
  Rows mine = {row, words};
  together({"ldmatrix", load_tiles}, &mine, 0xffffffffu, file, line);
}
void ldmatrix_x4_turned(uint32_t (&words)[4], const void* row, const char* file, int line) {
  aligned(row, 16);
  watch_read(row, 16);
  Rows mine = {row, words};
  together({"ldmatrix.trans", load_tiles_turned}, &mine, 0xffffffffu, file, line);
}

}  // namespace simt
