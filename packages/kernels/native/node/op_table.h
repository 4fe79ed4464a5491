// The op table as data: name, parameters and their shapes from ops.def, the check of a call against them, and the typed call.
// This is the one place where shapes and dtypes are checked; no call that passes it hands an op a tensor of another size.
#pragma once
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "../abi/kernels.h"

namespace posttrain {

enum class Kind { kOut, kOptOut, kIn, kOptIn, kAcc, kOptAcc, kReal, kInt };
constexpr int kAnyDtype = -1;

struct Param {
  Kind kind;
  const char* name;
  int dtype;
  const char* shape;
  bool is_tensor() const { return kind != Kind::kReal && kind != Kind::kInt; }
  bool optional() const { return kind == Kind::kOptOut || kind == Kind::kOptIn || kind == Kind::kOptAcc; }
  bool is_input() const { return kind == Kind::kIn || kind == Kind::kOptIn; }
};

union Argument {
  pt_tensor tensor;
  double real;
  int64_t integer;
};

template <class T>
T get(const Argument& a);
template <>
inline pt_tensor get<pt_tensor>(const Argument& a) {
  return a.tensor;
}
template <>
inline double get<double>(const Argument& a) {
  return a.real;
}
template <>
inline int64_t get<int64_t>(const Argument& a) {
  return a.integer;
}

template <class... A, size_t... I>
int call_with(int (*fn)(const pt_context*, A...), const pt_context* ctx, const Argument* args, std::index_sequence<I...>) {
  return fn(ctx, get<A>(args[I])...);
}
template <class... A>
int call(int (*fn)(const pt_context*, A...), const pt_context* ctx, const Argument* args) {
  return call_with(fn, ctx, args, std::index_sequence_for<A...>{});
}

struct Op {
  const char* name;
  std::vector<Param> params;
  bool (*supported)(const pt_backend*);
  int (*run)(const pt_backend*, const pt_context*, const Argument*);
};

inline const std::vector<Op>& op_table() {
#define F32 PT_F32
#define F64 PT_F64
#define I32 PT_I32
#define ANY kAnyDtype
#define OUT(name, dtype, shape) \
  Param { Kind::kOut, #name, dtype, shape }
#define OPT_OUT(name, dtype, shape) \
  Param { Kind::kOptOut, #name, dtype, shape }
#define IN(name, dtype, shape) \
  Param { Kind::kIn, #name, dtype, shape }
#define OPT_IN(name, dtype, shape) \
  Param { Kind::kOptIn, #name, dtype, shape }
#define ACC(name, dtype, shape) \
  Param { Kind::kAcc, #name, dtype, shape }
#define OPT_ACC(name, dtype, shape) \
  Param { Kind::kOptAcc, #name, dtype, shape }
#define REAL(name) \
  Param { Kind::kReal, #name, 0, "" }
#define INT(name) \
  Param { Kind::kInt, #name, 0, "" }
#define OP(name, ...)                                                                                       \
  Op{#name, {__VA_ARGS__}, [](const pt_backend* b) { return b->name != nullptr; },                          \
     [](const pt_backend* b, const pt_context* ctx, const Argument* args) { return call(b->name, ctx, args); }},
  static const std::vector<Op> table = {
#include "../abi/ops.def"
  };
#undef OP
#undef OUT
#undef OPT_OUT
#undef IN
#undef OPT_IN
#undef ACC
#undef OPT_ACC
#undef REAL
#undef INT
#undef F32
#undef F64
#undef I32
#undef ANY
  return table;
}

inline const char* dtype_name(int dtype) {
  static const char* const names[] = {"f32", "f64", "bf16", "f16", "i32"};
  return dtype >= 0 && dtype < PT_DTYPE_COUNT ? names[dtype] : "?";
}
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

// "embedding_forward(y f32 [7, 64], table f32 [320, 64], ids i32 [7])"
inline std::string describe(const Op& op, const Argument* args) {
  std::string s = std::string(op.name) + "(";
  for (size_t i = 0; i < op.params.size(); i++) {
    const Param& p = op.params[i];
    s += (i > 0 ? ", " : "") + std::string(p.name) + " ";
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
// Optional tensors are bound after the required ones, and inputs before outputs, so that a wrong output is the one named.
inline std::string check_shapes(const Op& op, const Argument* args) {
  struct Binding {
    char symbol;
    int64_t value;
    const char* from;
  };
  Binding bound[32];
  int bound_count = 0;
  for (int pass = 0; pass < 2; pass++) {
    for (size_t i = 0; i < op.params.size(); i++) {
      const Param& p = op.params[i];
      if (!p.is_tensor() || p.is_input() != (pass == 0)) continue;
      const pt_tensor& t = args[i].tensor;
      if (t.data == nullptr) continue;
      if (p.dtype != kAnyDtype && t.dtype != p.dtype)
        return std::string(op.name) + ": " + p.name + " is " + shape_text(t) + ", expected dtype " + dtype_name(p.dtype);
      const bool flat = p.shape[0] == '*';
      int axis = 0;
      for (const char* s = p.shape + (flat ? 1 : 0); *s != '\0'; axis++) {
        int64_t factor = 1;
        if (*s >= '0' && *s <= '9') {
          factor = *s++ - '0';
          if (*s == '*') s++;
        }
        const char symbol = (*s >= 'A' && *s <= 'Z') ? *s++ : '\0';
        int64_t plus = 0;
        if (*s == '+') {
          plus = s[1] - '0';
          s += 2;
        }
        while (*s == ' ') s++;
        if (!flat && axis >= t.rank) {
          axis++;
          continue;
        }
        const int64_t actual = flat ? element_count(t) : t.dims[axis];
        const Binding* known = nullptr;
        for (int b = 0; b < bound_count; b++)
          if (bound[b].symbol == symbol) known = &bound[b];
        if (symbol != '\0' && known == nullptr) {
          const int64_t rest = actual - plus;
          if (rest < 0 || rest % factor != 0)
            return std::string(op.name) + ": " + p.name + " is " + shape_text(t) + ", expected shape [" + p.shape + "]: axis " +
                   std::to_string(axis) + " must be " + (factor > 1 ? "a multiple of " + std::to_string(factor) : "at least " + std::to_string(plus));
          bound[bound_count++] = Binding{symbol, rest / factor, p.name};
          continue;
        }
        const int64_t expected = symbol == '\0' ? factor : known->value * factor + plus;
        if (actual != expected) {
          std::string why = symbol == '\0' ? std::string() : std::string(" (") + symbol + " = " + std::to_string(known->value) + " from " + known->from + ")";
          return std::string(op.name) + ": " + p.name + " is " + shape_text(t) + ", expected [" + p.shape + "] with " +
                 (flat ? std::string("elements") : "axis " + std::to_string(axis)) + " = " + std::to_string(expected) + why;
        }
      }
      if (!flat && axis != t.rank)
        return std::string(op.name) + ": " + p.name + " is " + shape_text(t) + ", expected " + std::to_string(axis) + " axes [" + p.shape + "]";
    }
  }
  return std::string();
}

}  // namespace posttrain
