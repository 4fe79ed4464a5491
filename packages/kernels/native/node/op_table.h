// The op table as data: name, parameters and their shapes from ops.def, the typed call, and the check of a call against them.
// This is the one place where shapes and dtypes are checked; no call that passes it hands an op a tensor of another size.
#pragma once
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

#include "../abi/kernels.h"

namespace posttrain {

enum class Kind { kOut, kOver, kOptOut, kIn, kOptIn, kAcc, kOptAcc, kReal, kInt };
constexpr int kAnyDtype = -1;
constexpr int kFloatDtype = -2;  // f32 or bf16

// One axis of a shape in ops.def: factor * symbol + plus; without a symbol the number `factor`.
struct Axis {
  int64_t factor = 1;
  char symbol = '\0';
  int64_t plus = 0;
};

struct Param {
  Kind kind;
  const char* name;
  int dtype;
  std::vector<Axis> axes;  // read once: calls are many
  bool flat;               // "*N": any shape with N elements
  Param(Kind kind, const char* name, int dtype, const char* shape);
  bool is_tensor() const { return kind != Kind::kReal && kind != Kind::kInt; }
  bool optional() const { return kind == Kind::kOptOut || kind == Kind::kOptIn || kind == Kind::kOptAcc; }
  bool is_input() const { return kind == Kind::kIn || kind == Kind::kOptIn; }
};

union Argument {
  pt_tensor tensor;
  double real;
  int64_t integer;
};

struct Op {
  const char* name;
  std::vector<Param> params;
  bool (*supported)(const pt_backend*);
  int (*run)(const pt_backend*, const pt_context*, const Argument*);
};

const std::vector<Op>& op_table();

inline const char* dtype_name(int dtype) {
  static const char* const names[] = {"f32", "f64", "bf16", "f16", "i32"};
  return dtype >= 0 && dtype < PT_DTYPE_COUNT ? names[dtype] : "?";
}
// What a parameter of ops.def takes, and how an error says it.
inline bool takes_dtype(int wanted, int dtype) {
  if (wanted == kFloatDtype) return dtype == PT_F32 || dtype == PT_BF16;
  return wanted == kAnyDtype || wanted == dtype;
}
inline const char* wanted_dtype(int wanted) { return wanted == kFloatDtype ? "f32 or bf16" : dtype_name(wanted); }
inline int64_t dtype_bytes(int dtype) {
  static const int64_t bytes[] = {4, 8, 2, 2, 4};
  return bytes[dtype];
}
inline int64_t element_count(const pt_tensor& t) {
  int64_t n = 1;
  for (int i = 0; i < t.rank; i++) n *= t.dims[i];
  return n;
}
inline std::string shape_text(const pt_tensor& t) {
  std::string s = std::string(dtype_name(t.dtype)) + " [";
  for (int i = 0; i < t.rank; i++) s += (i > 0 ? ", " : "") + std::to_string(t.dims[i]);
  return s + "]";
}

// The name that a caller typed: rms_norm -> rmsNorm; an op "rms_norm_backward" -> "rmsNorm backward", its forward "rmsNorm".
inline std::string caller_name(const char* name) {
  std::string s;
  for (const char* p = name; *p != '\0'; p++) {
    if (strcmp(p, "_forward") == 0) break;
    if (strcmp(p, "_backward") == 0) return s + " backward";
    if (*p == '_' && p[1] >= 'a' && p[1] <= 'z')
      s += static_cast<char>(*++p - 'a' + 'A');
    else
      s += *p;
  }
  return s;
}

// "embedding(y f32 [7, 64], table f32 [320, 64], ids i32 [7])"
inline std::string describe(const Op& op, const Argument* args) {
  std::string s = caller_name(op.name) + "(";
  for (size_t i = 0; i < op.params.size(); i++) {
    const Param& p = op.params[i];
    s += (i > 0 ? ", " : "") + caller_name(p.name) + " ";
    char number[32];
    if (p.kind == Kind::kReal) {
      snprintf(number, sizeof number, "%g", args[i].real);
      s += number;
    } else if (p.kind == Kind::kInt) {
      s += std::to_string(args[i].integer);
    } else {
      s += args[i].tensor.data == nullptr ? "none" : shape_text(args[i].tensor);
    }
  }
  return s + ")";
}

// Binds the shape symbols of a call. Returns an empty string, or what is wrong and where the expectation comes from.
// Inputs are bound before outputs, so that a wrong output is the one named.
inline std::string check_shapes(const Op& op, const Argument* args) {
  struct Binding {
    int64_t value = 0;
    const char* from = nullptr;
  };
  Binding bound[26];
  const auto binding = [&](const Axis& axis) -> Binding& { return bound[axis.symbol - 'A']; };
  // "f32 [7, 64]" as far as the symbols are known, "2*A" and the like where they are not.
  // The dtype is the argument's own: it was accepted before any shape is looked at.
  const auto expected_shape = [&](const Param& p, const pt_tensor& t, const std::vector<Axis>& axes) {
    std::string s = (p.dtype == kAnyDtype ? std::string() : std::string(dtype_name(t.dtype)) + " ") + "[";
    for (size_t i = 0; i < axes.size(); i++) {
      const Axis& a = axes[i];
      s += i > 0 ? ", " : "";
      if (a.symbol == '\0')
        s += std::to_string(a.factor);
      else if (binding(a).from != nullptr)
        s += std::to_string(binding(a).value * a.factor + a.plus);
      else
        s += (a.factor > 1 ? std::to_string(a.factor) + "*" : "") + a.symbol +
             (a.plus > 0 ? "+" + std::to_string(a.plus) : "");
    }
    return s + "]";
  };
  for (int pass = 0; pass < 2; pass++) {
    for (size_t i = 0; i < op.params.size(); i++) {
      const Param& p = op.params[i];
      if (!p.is_tensor() || p.is_input() != (pass == 0)) continue;
      const pt_tensor& t = args[i].tensor;
      if (t.data == nullptr) continue;
      const bool flat = p.flat;
      const std::vector<Axis>& axes = p.axes;
      const auto wrong = [&](const std::string& expected) {
        return caller_name(op.name) + ": " + caller_name(p.name) + " is " + shape_text(t) + ", expected " + expected;
      };
      if (!takes_dtype(p.dtype, t.dtype)) return wrong(std::string("dtype ") + wanted_dtype(p.dtype));
      if (!flat && static_cast<int>(axes.size()) != t.rank)
        return wrong(std::to_string(axes.size()) + (axes.size() == 1 ? " axis: " : " axes: ") +
                     expected_shape(p, t, axes));
      for (size_t n = 0; n < axes.size(); n++) {
        const Axis& axis = axes[n];
        const int64_t actual = flat ? element_count(t) : t.dims[n];
        if (axis.symbol == '\0') {
          if (actual != axis.factor) return wrong(expected_shape(p, t, axes));
          continue;
        }
        Binding& known = binding(axis);
        if (known.from == nullptr) {
          const int64_t rest = actual - axis.plus;
          if (rest < 0 || rest % axis.factor != 0)
            return wrong(
                expected_shape(p, t, axes) + ": axis " + std::to_string(n) + " must be " +
                (rest < 0 ? "at least " + std::to_string(axis.plus) : "a multiple of " + std::to_string(axis.factor)));
          known = Binding{rest / axis.factor, p.name};
        } else if (actual != known.value * axis.factor + axis.plus) {
          const std::string why = std::string(" (") + axis.symbol + " is " + std::to_string(known.value) + " in " +
                                  caller_name(known.from) + ")";
          return wrong((flat ? std::to_string(known.value) + " elements" : expected_shape(p, t, axes)) + why);
        }
      }
    }
  }
  return std::string();
}

// An output that shares memory with another argument would be read half written, differently with each number of threads; shared
// with an index it would move the index after it was checked. Returns an empty string, or what overlaps.
inline std::string check_overlaps(const Op& op, const Argument* args) {
  const auto begin = [&](size_t i) { return static_cast<const char*>(args[i].tensor.data); };
  const auto end = [&](size_t i) {
    return begin(i) + element_count(args[i].tensor) * dtype_bytes(args[i].tensor.dtype);
  };
  for (size_t i = 0; i < op.params.size(); i++) {
    if (!op.params[i].is_tensor() || op.params[i].is_input() || begin(i) == nullptr || begin(i) == end(i)) continue;
    for (size_t j = 0; j < op.params.size(); j++) {
      if (j == i || !op.params[j].is_tensor() || begin(j) == nullptr || begin(j) == end(j)) continue;
      if (begin(i) >= end(j) || begin(j) >= end(i)) continue;
      const bool over = op.params[i].kind == Kind::kOver && op.params[j].is_input();
      if (over && begin(i) == begin(j) && end(i) == end(j)) continue;
      return caller_name(op.name) + ": " + caller_name(op.params[i].name) + " " + shape_text(args[i].tensor) +
             " is written and shares memory with " + caller_name(op.params[j].name) + " " + shape_text(args[j].tensor) +
             ", expected memory of its own";
    }
  }
  return std::string();
}

}  // namespace posttrain
