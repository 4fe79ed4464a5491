// The op table, made from ops.def.
#include "op_table.h"

#include <utility>

namespace posttrain {
namespace {

std::vector<Axis> parse_shape(const char* s) {
  std::vector<Axis> axes;
  if (*s == '*') s++;
  while (*s != '\0') {
    Axis axis;
    if (*s >= '0' && *s <= '9') {
      axis.factor = *s++ - '0';
      if (*s == '*') s++;
    }
    if (*s >= 'A' && *s <= 'Z') axis.symbol = *s++;
    if (*s == '+') {
      axis.plus = s[1] - '0';
      s += 2;
    }
    while (*s == ' ') s++;
    axes.push_back(axis);
  }
  return axes;
}

template <class T>
T get(const Argument& a);
template <>
pt_tensor get<pt_tensor>(const Argument& a) {
  return a.tensor;
}
template <>
double get<double>(const Argument& a) {
  return a.real;
}
template <>
int64_t get<int64_t>(const Argument& a) {
  return a.integer;
}

template <class... A, size_t... I>
int call_with(int (*fn)(const pt_context*, A...), const pt_context* ctx, const Argument* args,
              std::index_sequence<I...>) {
  return fn(ctx, get<A>(args[I])...);
}
template <class... A>
int call(int (*fn)(const pt_context*, A...), const pt_context* ctx, const Argument* args) {
  return call_with(fn, ctx, args, std::index_sequence_for<A...>{});
}

}  // namespace

Param::Param(Kind kind, const char* name, int dtype, const char* shape)
    : kind(kind), name(name), dtype(dtype), axes(parse_shape(shape)), flat(shape[0] == '*') {}

const std::vector<Op>& op_table() {
#define F32 PT_F32
#define F64 PT_F64
#define BF16 PT_BF16
#define I32 PT_I32
#define FLOAT kFloatDtype
#define ANY kAnyDtype
#define OUT(name, dtype, shape) Param{Kind::kOut, #name, dtype, shape}
#define OVER(name, dtype, shape) Param{Kind::kOver, #name, dtype, shape}
#define OPT_OUT(name, dtype, shape) Param{Kind::kOptOut, #name, dtype, shape}
#define IN(name, dtype, shape) Param{Kind::kIn, #name, dtype, shape}
#define OPT_IN(name, dtype, shape) Param{Kind::kOptIn, #name, dtype, shape}
#define ACC(name, dtype, shape) Param{Kind::kAcc, #name, dtype, shape}
#define OPT_ACC(name, dtype, shape) Param{Kind::kOptAcc, #name, dtype, shape}
#define REAL(name) Param{Kind::kReal, #name, 0, ""}
#define INT(name) Param{Kind::kInt, #name, 0, ""}
#define OP(name, ...)                                        \
  Op{#name,                                                  \
     {__VA_ARGS__},                                          \
     [](const pt_backend* b) { return b->name != nullptr; }, \
     [](const pt_backend* b, const pt_context* ctx, const Argument* args) { return call(b->name, ctx, args); }},
  // Never destroyed: at exit() the executor may still be at work.
  static const std::vector<Op>& table = *new std::vector<Op>{
#include "../abi/ops.def"
  };
#undef OP
#undef OUT
#undef OVER
#undef OPT_OUT
#undef IN
#undef OPT_IN
#undef ACC
#undef OPT_ACC
#undef REAL
#undef INT
#undef F32
#undef F64
#undef BF16
#undef I32
#undef FLOAT
#undef ANY
  return table;
}

}  // namespace posttrain
