// mma.sync m16n8k16 of bf16 with fp32 accumulators, bit for bit as the chips do it, and ldmatrix. The arithmetic is that of two models that were
// checked against hardware: MMA-Sim (Xie et al., arXiv 2511.10909) and Khattak and Mikaitis (arXiv 2512.07004). Fragments: PTX ISA.
//
// An element of D: products are exact; of them and C the largest exponent is found (that of zero and of subnormal numbers counts as -126), each is cut
// toward zero F binary places below it, the cut terms are added exactly, and the sum is cut toward zero to fp32. sm_80 to sm_89: F = 24, K in two halves, the
// first one's result being the second one's C; sm_90 and later: F = 25, all 16 at once. Any NaN, and infinities that meet, give 0x7fffffff.
#include "block.h"

#include <vector>

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

// The numbers of a row of A, or of a column of B, as far as products need them; finite or not.
struct Line {
  int exponent[16], significand[16];  // with its sign; 7 fraction bits
  bool finite = true;
  explicit Line(const uint16_t* x) {
    for (int i = 0; i < 16; i++) {
      const int e = x[i] >> 7 & 0xff, f = x[i] & 0x7f, size = e == 0 ? f : f | 0x80;
      exponent[i] = e == 0 ? LEAST_EXPONENT : e - 127;
      significand[i] = x[i] >> 15 ? -size : size;
      finite = finite && e != 0xff;
    }
  }
};

// The same where everything is finite.
uint32_t add_finite(const Line& a, const Line& b, int first, int count, uint32_t c, int places) {
  const int ec = static_cast<int>(c >> 23 & 0xff), c_exponent = ec == 0 ? LEAST_EXPONENT : ec - 127;
  int largest = c_exponent;
  for (int i = first; i < first + count; i++) {
    const int exponent = a.exponent[i] + b.exponent[i];
    if (exponent > largest) largest = exponent;
  }
  const auto fc = static_cast<int64_t>(c & 0x7fffff);
  const int64_t c_units = cut(ec == 0 ? fc : fc | 0x800000, c_exponent - largest + places - 23);
  int64_t sum = c >> 31 ? -c_units : c_units;
  for (int i = first; i < first + count; i++) {
    const int product = a.significand[i] * b.significand[i];
    const int by = a.exponent[i] + b.exponent[i] - largest + places - 14;
    // Division by a power of two is toward zero.
    if (by >= 0)
      sum += static_cast<int64_t>(product) * (int64_t{1} << by);
    else if (by > -17)
      sum += product / (1 << -by);
  }
  return to_float(sum, largest, places);
}

struct Fragments {
  float* d;
  const uint32_t *a, *b;
  const float* c;
};

uint16_t half_of(uint32_t word, int upper) { return static_cast<uint16_t>(upper ? word >> 16 : word); }

void multiply_tiles(void* const* lanes) {
  const auto of = [&](int lane) { return static_cast<const Fragments*>(lanes[lane]); };
  uint16_t a[16][16], b[8][16];
  uint32_t c[16][8];
  for (int lane = 0; lane < 32; lane++) {
    const int g = lane / 4, at = lane % 4 * 2;
    for (int i = 0; i < 2; i++) {
      for (int r = 0; r < 4; r++) a[g + r % 2 * 8][at + i + r / 2 * 8] = half_of(of(lane)->a[r], i);
      for (int r = 0; r < 2; r++) b[g][at + i + r * 8] = half_of(of(lane)->b[r], i);
      for (int r = 0; r < 2; r++) memcpy(&c[g + r * 8][at + i], of(lane)->c + 2 * r + i, sizeof(uint32_t));
    }
  }
  std::vector<Line> rows(a, a + 16), columns(b, b + 8);
  const int steps = capability < 90 ? 8 : 16, places = capability < 90 ? 24 : 25;
  for (int lane = 0; lane < 32; lane++)
    for (int i = 0; i < 4; i++) {
      const int row = lane / 4 + i / 2 * 8, column = lane % 4 * 2 + i % 2;
      uint32_t d = c[row][column];
      for (int first = 0; first < 16; first += steps) {
        const bool finite = rows[row].finite && columns[column].finite && (d >> 23 & 0xff) != 0xff;
        d = finite ? add_finite(rows[row], columns[column], first, steps, d, places)
                   : add_products(a[row] + first, b[column] + first, steps, d, places);
      }
      memcpy(of(lane)->d + i, &d, sizeof d);
    }
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
