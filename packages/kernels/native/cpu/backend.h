// The cpu's table with what its ops look up there and nobody else does.
#pragma once
#include "cpu.h"

namespace PT_NAMESPACE {

// Tiles that products of bf16 matrices are made with (amx.h): none, the processor's, or the same in C++ (tests).
enum class TileSource { none, processor, software };

struct Backend {
  pt_backend table;  // first: ctx->backend points to it
  TileSource tiles;
};
PT_INLINE TileSource tile_source(const pt_context* ctx) {
  return reinterpret_cast<const Backend*>(ctx->backend)->tiles;
}

}  // namespace PT_NAMESPACE
