// Natural logarithm, sine and cosine in double precision, in plain IEEE operations: no library, no fused multiply-add, hence the
// same bits on every machine. Errors: log64 below one unit in the last place; sincos64 below 2e-16 absolute for |x| <= 1e7 (beyond
// that the precision of the reduction fades).
//
// After fdlibm (e_log.c, k_sin.c, k_cos.c): Copyright (C) 1993 by Sun Microsystems, Inc. All rights reserved. Developed at SunPro,
// a Sun Microsystems, Inc. business. Permission to use, copy, modify, and distribute this software is freely granted, provided
// that this notice is preserved.
//
// A kernel of a GPU has them too: who includes this from there says before what a function of one number is there (PT_SCALAR).
#pragma once
#ifndef PT_SCALAR
#include "simd.h"
#define PT_SCALAR static inline
#endif

namespace PT_NAMESPACE {

PT_SCALAR uint64_t bits_of(double x) {
  uint64_t bits;
  memcpy(&bits, &x, sizeof bits);
  return bits;
}
PT_SCALAR double double_of(uint64_t bits) {
  double x;
  memcpy(&x, &bits, sizeof x);
  return x;
}

// log(0) = -inf, log(x < 0) = NaN. x = 2^k m with m in [sqrt(1/2), sqrt(2)); log m = f - (f^2/2 - s (f^2/2 + R)), f = m - 1,
// s = f / (2 + f).
PT_SCALAR double log64(double x) {
  uint64_t bits = bits_of(x);
  int64_t k = 0;
  if ((bits << 1) == 0) return double_of(0xfff0000000000000u);
  if (bits >> 63) return double_of(0x7ff8000000000000u);
  if (bits >= 0x7ff0000000000000u) return x;
  if (bits < 0x0010000000000000u) {  // subnormal
    bits = bits_of(x * 0x1p54);
    k = -54;
  }
  const uint64_t above_sqrt_half = bits + (0x3ff0000000000000u - 0x3fe6a09e667f3bcdu);
  k += static_cast<int64_t>(above_sqrt_half >> 52) - 1023;
  const double f = double_of((above_sqrt_half & 0x000fffffffffffffu) + 0x3fe6a09e667f3bcdu) - 1.0;
  const double s = f / (2.0 + f);
  const double z = s * s;
  const double w = z * z;
  const double even = w * (3.999999999940941908e-01 + w * (2.222219843214978396e-01 + w * 1.531383769920937332e-01));
  const double odd =
      z * (6.666666666666735130e-01 +
           w * (2.857142874366239149e-01 + w * (1.818357216161805012e-01 + w * 1.479819860510658591e-01)));
  const double half = 0.5 * f * f;
  const double n = static_cast<double>(k);
  const double ln2_high = 6.93147180369123816490e-01, ln2_low = 1.90821492927058770002e-10;
  return n * ln2_high - ((half - (s * (half + (odd + even)) + n * ln2_low)) - f);
}

// Sine and cosine of x radians; NaN for infinities and NaN. pi/2 is taken off in three pieces of 30, 30 and 53 bits (Cody and
// Waite): products with the first two are exact while the multiple stays below 2^23.
PT_SCALAR void sincos64(double x, double* sine, double* cosine) {
  const double magic = 0x1.8p52;  // adding it rounds to the nearest whole number, held in the low bits
  const double shifted = x * 0x1.45f306dc9c883p-1 + magic;
  const double n = shifted - magic;
  const uint64_t quadrant = bits_of(shifted) & 3;
  const double a = x - n * 0x1.921fb54p+0;
  const double product = n * 0x1.10b46118p-30;
  const double b = a - product;
  const double back = a - b;  // b's rounding error: (a - back) - b is its part of a, back - product that of the product
  const double error = (a - (b + back)) + (back - product);
  const double tail = error - n * 0x1.313198a2e037p-61;
  const double r = b + tail;
  const double t = (b - r) + tail;

  const double z = r * r;
  const double sp =
      8.33333333332248946124e-03 +
      z * (-1.98412698298579493134e-04 +
           z * (2.75573137070700676789e-06 + z * (-2.50507602534068634195e-08 + z * 1.58969099521155010221e-10)));
  const double v = z * r;
  const double s = r - ((z * (0.5 * t - v * sp) - t) - v * -1.66666666666666324348e-01);
  const double w = z * z;
  const double cp =
      z * (4.16666666666666019037e-02 + z * (-1.38888888888741095749e-03 + z * 2.48015872894767294178e-05)) +
      (w * w) * (-2.75573143513906633035e-07 + z * (2.08757232129817482790e-09 + z * -1.13596475577881948265e-11));
  const double half = 0.5 * z;
  const double top = 1.0 - half;
  const double c = top + (((1.0 - top) - half) + (z * cp - r * t));

  const double first = quadrant & 1 ? c : s, second = quadrant & 1 ? s : c;
  *sine = quadrant & 2 ? -first : first;
  *cosine = (quadrant + 1) & 2 ? -second : second;
}

}  // namespace PT_NAMESPACE
