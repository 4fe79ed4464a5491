// `npm run test:mutations`: puts faults into a copy of native/, one after the other, builds each, and runs the tests that should see
// it. A fault that no test sees survives, and the run fails. Arguments pick faults by a part of their name; --no-control leaves out that the
// tests pass without a fault.
//
// The tests named with a fault are those meant to catch it; "caught by" is what did. Not part of npm test: it takes many minutes.
import { spawnSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../../../", import.meta.url));
const kernels = join(root, "packages/kernels");
const work = join(kernels, "build/mutation"); // native/ and build/ side by side, as the Makefile expects
const variant = "mutation/build/release";

const ops = (name) => ["packages/kernels/test/ops.test.ts", "-t", name];
const order = ["packages/kernels/test/order.test.ts"];
const orderAttentionBf16 = ["packages/kernels/test/order-attention-bf16.test.ts"];
const unseen = ["packages/kernels/test/unseen.test.ts"];
const accumulation = ["packages/kernels/test/accumulation.test.ts"];
const sameBits = ["tests/same-bits.test.ts"];
const sampler = ["tests/sampler-is-trainer.test.ts"];
const lifetime = ["packages/kernels/test/lifetime.test.ts"];
const stream = ["packages/kernels/test/stream.test.ts"];
const orderBf16 = ["packages/kernels/test/order-bf16.test.ts"];
const merging = ["packages/kernels/test/online-merging.test.ts"];
const goldenMerging = ["tests/golden-merging.test.ts"];
const minusInfinity = ["packages/kernels/test/minus-infinity.test.ts"];
const emulated = (name) => ["packages/kernels/test/cuda-emulated.test.ts", "-t", name];
const tensorCores = ["packages/kernels/test/order-tensor-cores.test.ts"];
const attentionTensorCores = ["packages/kernels/test/attention-tensor-cores.test.ts"];

/** name: what is wrong; file under native/; from (must occur once) and to; tests: vitest arguments, tried in order. */
const faults = [
  {
    name: "attention: blocks of 32 keys instead of 64",
    file: "cpu/attention.h",
    from: "constexpr int64_t KEY_BLOCK = 64;",
    to: "constexpr int64_t KEY_BLOCK = 32;",
    tests: [order],
  },
  {
    name: "attention: key blocks begin elsewhere in a batch (at the first sequence's phase)",
    file: "cpu/attention.cpp",
    // The first block of a sequence ends where a block of the whole batch would.
    from: "for (int64_t start = 0, b = 0; start < all_keys; start += KEY_BLOCK, b++) {\n    const int64_t keys = smaller(KEY_BLOCK, all_keys - start);\n    const KeyBlock<T> at = block(b);",
    to: "const int64_t phase = lse_stride > 1 ? KEY_BLOCK - 24 : KEY_BLOCK;\n  for (int64_t start = 0, b = 0; start < all_keys; start += (b++ == 0 ? phase : KEY_BLOCK)) {\n    const int64_t keys = smaller(b == 0 ? phase : KEY_BLOCK, all_keys - start);\n    KeyBlock<T> at = block(start / KEY_BLOCK);\n    at.keys += start % KEY_BLOCK * at.stride, at.values += start % KEY_BLOCK * at.stride;",
    tests: [order, sampler],
  },
  {
    name: "attention: blocks counted back from the last key",
    file: "cpu/attention.cpp",
    from: "for (int64_t start = 0, b = 0; start < all_keys; start += KEY_BLOCK, b++) {\n    const int64_t keys = smaller(KEY_BLOCK, all_keys - start);\n    const KeyBlock<T> at = block(b);",
    to: "const int64_t lead = (all_keys - 1) % KEY_BLOCK + 1;\n  for (int64_t start = 0, b = 0; start < all_keys; start += (b++ == 0 ? lead : KEY_BLOCK)) {\n    const int64_t keys = b == 0 ? lead : KEY_BLOCK;\n    KeyBlock<T> at = block(start / KEY_BLOCK);\n    at.keys += start % KEY_BLOCK * at.stride, at.values += start % KEY_BLOCK * at.stride;",
    tests: [["packages/kernels/test/attention.test.ts"], sameBits],
  },
  {
    name: "attention: lazy rescale (a maximum that grows by less than 8 is kept)",
    file: "cpu/attention.cpp",
    from: "const f32x16 old = load(m + r), here = load(block_max), both = max(old, here);",
    to: "const f32x16 old = load(m + r), here = load(block_max);\n      alignas(64) float grown[LANES];\n      store(grown, max(old, here));\n      for (int64_t i = 0; i < n; i++) if (grown[i] < m[r + i] + 8.0f) grown[i] = m[r + i];\n      const f32x16 both = load(grown);",
    tests: [order],
  },
  {
    name: "attention: sums of the running output restarted at each block",
    file: "cpu/attention.h",
    from: "store(to, fma(x, splat(enter[r]), mul(load(to), splat(keep[r]))));",
    to: "store(to, mul(x, splat(enter[r])));",
    tests: [ops("attention")],
  },
  {
    name: "attention: lane sums kept over blocks (a missing reset)",
    file: "cpu/attention.cpp",
    from: "memset(o, 0, rows * padded * sizeof(float));",
    to: "",
    tests: [ops("attention")],
  },
  {
    name: "attention: one key too many is seen",
    file: "cpu/attention.cpp",
    from: "visible[0] = smaller(keys, w.first + r / w.heads + 1 - start);",
    to: "visible[0] = smaller(keys, w.first + r / w.heads + 2 - start);",
    tests: [ops("attention")],
  },
  {
    name: "attention backward: dk not multiplied by the scale",
    file: "cpu/attention_backward.cpp",
    from: "put_rows(h.dk + at, h.k_stride, buffers[i].dk, padded, keys_of(i), size, h.last ? h.scale : 1.0f);",
    to: "put_rows(h.dk + at, h.k_stride, buffers[i].dk, padded, keys_of(i), size, 1.0f);",
    tests: [ops("attention")],
  },
  {
    name: "attention backward: query heads in descending order",
    file: "cpu/attention_backward.cpp",
    from: "head = g * heads + turn.head;",
    to: "head = g * heads + heads - 1 - turn.head;",
    tests: [order],
  },
  {
    name: "attention backward: dk and dv begin anew at each head of a group",
    file: "cpu/attention_backward.cpp",
    from: "turn.head == 0,",
    to: "true,",
    tests: [ops("attention")],
  },
  {
    name: "bf16 attention: p as exp gave it, not rounded",
    file: "cpu/attention.cpp",
    from: "IS_BF16<T> ? to_bf16_and_back(p) : p);",
    to: "p);",
    tests: [orderAttentionBf16],
  },
  {
    name: "bf16 attention: l summed from p as rounded",
    file: "cpu/attention.cpp",
    from: "sum = add(sum, p);",
    to: "sum = add(sum, IS_BF16<T> ? to_bf16_and_back(p) : p);",
    tests: [orderAttentionBf16],
  },
  {
    name: "bf16 attention: ds not rounded",
    file: "cpu/attention_backward.cpp",
    from: "slope = to_bf16_and_back(slope);\n        if",
    to: "slope = slope;\n        if",
    tests: [orderAttentionBf16],
  },
  {
    name: "bf16 attention: dq restarted at each key block",
    file: "cpu/attention_backward.cpp",
    from: "{k.keys, padded}, KEY_BLOCK, m.dq, padded, false);",
    to: "{k.keys, padded}, KEY_BLOCK, m.dq, padded, true);",
    tests: [orderAttentionBf16],
  },
  {
    name: "bf16 attention: even and odd products in one chain",
    file: "cpu/attention.h",
    from: "step(odd, a, column);",
    to: "step(even, a, column);",
    tests: [orderAttentionBf16],
  },
  {
    // In scores they would not show: exp and a difference follow.
    name: "bf16 attention: subnormals kept in gradients",
    file: "cpu/attention_backward.cpp",
    from: "const FlushSubnormals flush;\n        const int64_t columns",
    to: "const int64_t columns",
    tests: [orderAttentionBf16],
  },
  {
    name: "bf16 attention: subnormals kept in outputs",
    file: "cpu/attention.cpp",
    from: "const FlushSubnormals flush;\n          // Further keys",
    to: "// Further keys",
    tests: [orderAttentionBf16],
  },
  {
    name: "bf16 attention: a value that is not seen times zero",
    file: "cpu/attention.cpp",
    from: "if (loud && visible[0] < keys) {",
    to: "if (loud && visible[0] < 0) {",
    tests: [unseen],
  },
  {
    name: "bf16 attention: in gradients, what is not seen times zero",
    file: "cpu/attention_backward.cpp",
    from: "IS_BF16<T> && diagonal &&",
    to: "IS_BF16<T> && diagonal && keys < 0 &&",
    tests: [unseen],
  },
  {
    name: "bf16 attention: a tile added to another one",
    file: "cpu/attention_tiles.h",
    from: "tiles.template dot<3, 4, 6>();",
    to: "tiles.template dot<2, 4, 6>();",
    tests: [orderAttentionBf16, ops("attention bf16")],
  },
  {
    name: "attention backward: keys of another sequence held",
    file: "cpu/attention_backward.cpp",
    from: "before.sequence == s && ",
    to: "before.sequence >= 0 && ",
    tests: [["packages/kernels/test/attention.test.ts"], ops("attention")],
  },
  {
    name: "attention backward: on the diagonal a key sees the queries before it",
    file: "cpu/attention.h",
    from: "for (; staggered && k < R - 1; k++",
    to: "for (; staggered && k < 0; k++",
    tests: [ops("attention")],
  },
  {
    name: "products: blocks of 512 along K",
    file: "cpu/gemm/gemm.h",
    from: "constexpr int64_t SUM_BLOCK = 256;",
    to: "constexpr int64_t SUM_BLOCK = 512;",
    make: { from: "FLAT_DEPTH_BLOCK = 8192 / WIDTH", to: "FLAT_DEPTH_BLOCK = 16384 / WIDTH" },
    tests: [order],
  },
  {
    name: "products: few rows in shorter blocks than many",
    file: "cpu/gemm/gemm.cpp",
    from: "const int64_t chain = SUM_BLOCK;",
    to: "const int64_t chain = p.rows <= 4 && !tile.from_c ? SUM_BLOCK / 2 : SUM_BLOCK;",
    tests: [ops("linear"), sampler],
  },
  {
    name: "products of one to four rows: a later block of the sum replaces the ones before",
    file: "cpu/gemm/gemv.cpp",
    from: "p.c_row, columns, k > 0, bias);",
    to: "p.c_row, columns, k > SUM_BLOCK, bias);",
    tests: [ops("linear")],
  },
  {
    name: "products of one to four rows: the last columns are read a block too early",
    file: "cpu/gemm/gemv.cpp",
    from: "copy_columns(copy, b + k, b_row, columns, depth);",
    to: "copy_columns(copy, b, b_row, columns, depth);",
    tests: [order, ops("linear")],
  },
  {
    name: "bf16 products of one to four rows: odd elements go on from the even ones' sum",
    file: "cpu/gemm/gemm_bf16_vectors.h",
    from: "store_wide(t, add(load_wide(t), add(even.last, odd.last)));",
    to: "store_wide(t, add(add(load_wide(t), even.last), odd.last));",
    tests: [orderBf16],
  },
  {
    name: "bf16 products of one to four rows: what is left of the inner dimension is left out",
    file: "cpu/gemm/gemm_bf16_vectors.h",
    from: "const int64_t depth = smaller(32, block.depth - k);",
    to: "const int64_t depth = block.depth - k < 32 ? 0 : 32;",
    tests: [orderBf16],
  },
  {
    name: "products: of few rows, restarted at each block of the inner dimension",
    file: "cpu/gemm/gemm_few_rows.cpp",
    from: "t.add_c = k > 0;",
    to: "t.add_c = k > block;",
    tests: [ops("linear")],
  },
  {
    name: "products: two accumulators along K, added at the end",
    file: "cpu/gemm/gemm.cpp",
    from: "const int64_t chain = SUM_BLOCK;",
    to: "const int64_t chain = SUM_BLOCK / 2;",
    tests: [order],
  },
  {
    name: "products: a gradient in two chains (a tree over tokens)",
    file: "cpu/gemm/gemm.cpp",
    from: "tile.from_c = p.sum == Sum::chain;",
    to: "tile.from_c = false;",
    tests: [accumulation, sameBits],
  },
  {
    name: "products: the inner dimension split over threads by rows of tokens",
    file: "cpu/linear.cpp",
    from: "for (int64_t row = 0; row < rows; row++)\n      each_group(begin, end,\n                 [&](int64_t c, int64_t n) { put(sums + c, add(get(sums + c, n), get(x + row * columns + c, n)), n); });",
    to: "for (int64_t c = begin; c < end; c++) {\n      float part[2] = {0, 0};\n      for (int64_t row = 0; row < rows; row++) part[row >= rows / ctx->threads] += get_one(x + row * columns + c);\n      sums[c] += part[0] + part[1];\n    }",
    tests: [ops("linear"), accumulation],
  },
  {
    name: "products: the last column of a panel dropped",
    file: "cpu/gemm/gemm.cpp",
    from: "tile.columns = smaller(WIDTH, block.columns - j);",
    to: "tile.columns = smaller(WIDTH, block.columns - j - (block.columns - j < WIDTH ? 1 : 0));",
    tests: [ops("linear")],
  },
  {
    name: "products: the bias added to every block",
    file: "cpu/gemm/gemm.cpp",
    from: "tile.bias = p.bias && last ? p.bias + column : nullptr;",
    to: "tile.bias = p.bias ? p.bias + column : nullptr;",
    tests: [ops("linear")],
  },
  {
    name: "fma: product and sum rounded apart on AVX2",
    file: "cpu/simd.h",
    from: "return {_mm256_fmadd_ps(x.a, y.a, z.a), _mm256_fmadd_ps(x.b, y.b, z.b)};",
    to: "return {_mm256_add_ps(_mm256_mul_ps(x.a, y.a), z.a), _mm256_add_ps(_mm256_mul_ps(x.b, y.b), z.b)};",
    tests: [ops("rms_norm")],
  },
  {
    name: "fma: emulation without rounding to odd on plain",
    file: "cpu/simd.h",
    from: "const long_lanes odd = bits + (step & inexact & even);",
    to: "const long_lanes odd = bits + (step & inexact & even & 0);",
    tests: [order],
  },
  {
    name: "the tree of simd.h as a chain",
    file: "cpu/simd.h",
    from: "PT_INLINE float reduce_add(f32x16 a) {\n  float x[LANES];\n  store(x, a);\n  for (int width = 8; width > 0; width /= 2)\n    for (int i = 0; i < width; i++) x[i] = x[i] + x[i + width];\n  return x[0];",
    to: "PT_INLINE float reduce_add(f32x16 a) {\n  float x[LANES];\n  store(x, a);\n  for (int i = 1; i < LANES; i++) x[0] = x[0] + x[i];\n  return x[0];",
    tests: [order],
  },
  {
    name: "rms_norm backward: dweight over tokens in reverse",
    file: "cpu/rms_norm.cpp",
    from: "for (int m = 0; m < COUNT; m++)",
    to: "for (int m = COUNT - 1; m >= 0; m--)",
    tests: [order, sameBits],
  },
  {
    name: "rms_norm backward: a piece of tokens that comes early is left out of dweight",
    file: "cpu/rms_norm.cpp",
    from: "for (; p < count && __atomic_load_n(&ready[p], __ATOMIC_SEQ_CST); p++) add(p);",
    to: "p = piece, add(p), p++;",
    tests: [ops("rms_norm"), sameBits],
    // A race, like those of the threads below.
    repeat: 5,
  },
  {
    name: "rms_norm backward: the sign of the mean's term",
    file: "cpu/rms_norm.cpp",
    from: "fma(negate(normal), t, g)",
    to: "fma(normal, t, g)",
    tests: [ops("rms_norm")],
  },
  {
    name: "swiglu backward: dgate and dup exchanged",
    file: "cpu/swiglu.cpp",
    from: "mul(d, mul(g, s))};",
    to: "mul(d, mul(u, s))};",
    tests: [ops("swiglu")],
  },
  {
    name: "bf16: ties rounded up on AVX-512",
    file: "cpu/simd.h",
    from: "_mm512_add_epi32(_mm512_add_epi32(u, _mm512_set1_epi32(0x7fff)), odd)",
    to: "_mm512_or_epi32(_mm512_add_epi32(u, _mm512_set1_epi32(0x8000)), _mm512_setzero_si512() & odd)",
    tests: [["packages/kernels/test/convert.test.ts"]],
  },
  {
    name: "bf16: a NaN rounded like a number on AVX2",
    file: "cpu/simd.h",
    from: "_mm256_castps_si256(_mm256_cmp_ps(x, x, _CMP_UNORD_Q))",
    to: "_mm256_castps_si256(_mm256_cmp_ps(x, x, _CMP_LT_OQ))",
    tests: [["packages/kernels/test/convert.test.ts"]],
  },
  {
    name: "stores past the caches: the second half of a group on AVX2",
    file: "cpu/simd.h",
    from: "_mm256_stream_ps(p + 8, x.b);",
    to: "_mm256_stream_ps(p + 8, x.a);",
    tests: [["packages/kernels/test/cold.test.ts"]],
  },
  {
    name: "rope in bf16: a product rounded before it is used",
    file: "cpu/rope.cpp",
    from: "const f32x16 bs = mul(b, sine), as = mul(a, sine);",
    to: "bf16 half[LANES];\n              store_bf16(half, mul(b, sine));\n              const f32x16 bs = sizeof *to == 2 ? load_bf16(half) : mul(b, sine), as = mul(a, sine);",
    tests: [["packages/kernels/test/bf16.test.ts"]],
  },
  {
    name: "rope backward: turned the wrong way",
    file: "cpu/rope.cpp",
    from: "fma(a, cosine, BACK ? bs : negate(bs))",
    to: "fma(a, cosine, BACK ? negate(bs) : negate(bs))",
    tests: [ops("rope")],
  },
  {
    name: "embedding backward: the last column of a range forgotten",
    file: "cpu/rows.h",
    from: "put(to + c, add(get(to + c, n), get(from + c, n)), n);",
    to: "put(to + c, add(get(to + c, n), get(from + c, n)), n - (c + n == end && end < columns ? 1 : 0));",
    tests: [ops("embedding")],
  },
  {
    name: "gather_rows backward: dx not cleared",
    file: "cpu/gather_rows.cpp",
    from: "f32x16 sum = splat(0.0f);",
    to: "f32x16 sum = get(to + m * columns + c, n);",
    tests: [ops("gather_rows")],
  },
  {
    name: "token_log_probs: vocabulary blocks that depend on the number of rows",
    file: "cpu/token_log_probs.cpp",
    from: "const int64_t first = block * VOCABULARY_BLOCK, columns = smaller(VOCABULARY_BLOCK, V - first);\n      float* logits",
    to: "const int64_t cut = M > 1 ? 0 : LANES, first = block * VOCABULARY_BLOCK - (block > 0 ? cut : 0);\n      const int64_t columns = smaller(VOCABULARY_BLOCK * (block + 1) - cut, V) - first;\n      float* logits",
    tests: [ops("token_log_probs"), sampler],
  },
  {
    name: "token_log_probs: blocks of 1,024 words",
    file: "cpu/token_log_probs.h",
    from: "constexpr int64_t VOCABULARY_BLOCK = 2048;",
    to: "constexpr int64_t VOCABULARY_BLOCK = 1024;",
    tests: [order],
  },
  {
    name: "token_log_probs: dx restarted at each chunk of the vocabulary",
    file: "cpu/token_log_probs.cpp",
    from: "first > 0 ? Sum::more_blocks : Sum::blocks, nullptr},",
    to: "Sum::blocks, nullptr},",
    tests: [ops("token_log_probs")],
  },
  {
    name: "token_log_probs: a block of minus infinity relative to its own maximum",
    file: "cpu/token_log_probs.h",
    from: "const f32x16 shift = splat(maximum > LOWEST ? maximum : LOWEST);",
    to: "const f32x16 shift = splat(maximum);",
    tests: [minusInfinity],
  },
  {
    name: "token_log_probs: zero times minus infinity in the entropy",
    file: "cpu/token_log_probs.h",
    from: "const f32x16 distance = max(splat(FAR), sub(z, shift));",
    to: "const f32x16 distance = sub(z, shift);",
    tests: [minusInfinity],
  },
  {
    name: "token_log_probs: merging a block by its distance of minus infinity",
    file: "cpu/token_log_probs.h",
    from: "return distance < FAR ? FAR : distance;",
    to: "return distance;",
    tests: [minusInfinity],
  },
  {
    name: "attention: scores of minus infinity relative to their own maximum",
    file: "cpu/attention.cpp",
    from: "finite(splat(block_max[i])))",
    to: "splat(block_max[i]))",
    tests: [minusInfinity],
  },
  {
    name: "attention: a block of minus infinity merged into nothing",
    file: "cpu/attention.cpp",
    from: "exp(sub(old, finite(both))), enter = exp(sub(here, finite(both)))",
    to: "exp(sub(old, both)), enter = exp(sub(here, both))",
    tests: [minusInfinity],
  },
  {
    name: "sample: another temperature's rounding than token_log_probs",
    file: "cpu/sample.cpp",
    from: "mul(n == LANES ? load(logits + i) : load_first(logits + i, n), factor);",
    to: "div(n == LANES ? load(logits + i) : load_first(logits + i, n), factor);",
    tests: [ops("sample")],
  },
  {
    name: "adamw: decay after the step",
    file: "cpu/adamw.cpp",
    from: "const f32x16 next = sub(mul(get(to, n), splat(keep)), step);",
    to: "const f32x16 next = mul(sub(get(to, n), step), splat(keep));",
    tests: [ops("adamw")],
  },
  {
    name: "online merging: what rounding loses of the drift forgotten",
    file: "cpu/online_merging.cpp",
    from: "const float all = c[l] + b[l],",
    to: "const float all = b[l],",
    tests: [merging],
  },
  {
    name: "online merging: the drift taken counted without the delta's sign",
    file: "cpu/online_merging.cpp",
    from: "taken[l] = t[l] < 0.0f ? p[l] - next : next - p[l];",
    to: "taken[l] = next - p[l];",
    tests: [merging],
  },
  {
    name: "online merging: draws by the place in the tensor",
    file: "cpu/survivors.h",
    from: "draw(keeps, group + i / CHUNK,",
    to: "draw(keeps, i / CHUNK,",
    tests: [merging],
  },
  {
    name: "online merging: one draw for update and delta",
    file: "cpu/online_merging.cpp",
    from: "of_tau.purpose = OF_TASK_VECTOR;",
    to: "",
    tests: [ops("online_merging")],
  },
  {
    name: "online merging: updates ranked as float rounds them",
    file: "cpu/online_merging.cpp",
    from: "d[l] = static_cast<float>(static_cast<double>(before[l]) - top / (below / root + eps));",
    to: "(void)top, (void)below;",
    tests: [merging],
  },
  {
    name: "online merging: equals counted anew in each block",
    file: "cpu/survivors.h",
    from: "block.equals = largest.before[i / MERGE_BLOCK];",
    to: "block.equals = 0;",
    tests: [merging],
  },
  {
    name: "online merging: TIES keeps the smaller of two that disagree",
    file: "cpu/online_merging.cpp",
    from: "magnitude(a[l]) >= magnitude(b[l]);",
    to: "magnitude(a[l]) < magnitude(b[l]);",
    tests: [ops("online_merging")],
  },
  {
    name: "online merging: moves since the last merge not taken back",
    file: "cpu/online_merging.cpp",
    from: "p[l] = merges ? p[l] - since[l] : p[l];",
    to: "",
    tests: [ops("online_merging")],
  },
  {
    name: "online merging: decay before and after",
    file: "cpu/online_merging.cpp",
    from: "if (decay_after == 0) times(p, decay);",
    to: "times(p, decay);",
    tests: [ops("online_merging"), goldenMerging],
  },
  {
    name: "online merging: eps after the correction in the published scaling",
    file: "cpu/online_merging.cpp",
    from: "gradient_scale, repo != 0);",
    to: "gradient_scale, false);",
    tests: [goldenMerging],
  },
  {
    name: "task vector: survivors not scaled back to the sum of all",
    file: "cpu/task_vector.cpp",
    from: "static_cast<float>(before.first / after.first)",
    to: "static_cast<float>(after.first / before.first)",
    tests: [ops("task_vector")],
  },
  {
    name: "linears: data gradients added from the first map on",
    file: "cpu/linears.cpp",
    from: "const auto& map = maps[i];",
    to: "const auto& map = maps[count - 1 - i];",
    tests: [["packages/kernels/test/linears.test.ts"]],
  },
  {
    name: "sum_squares: blocks that depend on the threads",
    file: "cpu/sum_squares.cpp",
    from: "const int64_t n = elements(x), blocks = ceil_div(n, SUM_BLOCK), quarter = n / SUM_BLOCK / 4;",
    to: "const int64_t SUM_BLOCK = 2048 * (1 + ctx->threads), n = elements(x), blocks = ceil_div(n, SUM_BLOCK), quarter = 0;",
    tests: [ops("sum_squares"), order],
  },
  {
    name: "arena: memory goes back while queued ops use it",
    file: "node/tensors.cpp",
    from: "device.stream->wait_idle();\n    device.backend->trim(device.state);",
    to: "device.backend->trim(device.state);",
    tests: [["packages/kernels/test/errors.test.ts", "-t", "memory"]],
  },
  {
    name: "arena: freed memory does not join what is free behind it",
    file: "host/arena.h",
    from: "if (block->next != nullptr && !block->next->used) absorb_next(block);",
    to: "",
    tests: [lifetime],
  },
  {
    name: "arena: the block of a view freed with the tensor it came from",
    file: "node/tensors.cpp",
    from: "if (--storage->views > 0) return;",
    to: "if (--storage->views > 1) return;",
    tests: [lifetime],
  },
  {
    name: "stream: an error forgotten by the next op",
    file: "node/stream.h",
    from: "if (error.empty()) {",
    to: "if (error.empty() || task.op) {",
    tests: [["packages/kernels/test/errors.test.ts", "-t", "sticks|first error"]],
  },
  {
    name: "stream: last in, first out",
    file: "node/stream.h",
    from: "task = std::move(tasks_.front());\n    tasks_.pop_front();",
    to: "task = std::move(tasks_.back());\n    tasks_.pop_back();",
    tests: [stream],
  },
  {
    name: "threads: the executor does not wait for those that joined",
    file: "node/threads.h",
    from: "acq_rel)) > 0) wait_for_joined();",
    to: "acq_rel)) > 1000) wait_for_joined();",
    tests: [["packages/kernels/test/accumulation.test.ts"], ops("linear"), sameBits],
    // A race, like the next.
    repeat: 5,
  },
  {
    name: "threads: an index taken twice",
    file: "node/threads.h",
    from: "const int64_t i = next_.fetch_add(1, std::memory_order_relaxed);",
    to: "const int64_t i = next_.load(std::memory_order_relaxed);\n      next_.store(i + 1, std::memory_order_relaxed);",
    tests: [["packages/kernels/test/accumulation.test.ts"], ops("linear"), sameBits],
    // A race: the tests of sums see it when it happens.
    repeat: 5,
  },
  {
    name: "bf16 products: even and odd elements in one chain",
    file: "cpu/gemm/gemm_bf16_lanes.h",
    from: "    park<R>(rows, even);\n    run_chain<R>(rows, p, a_row, b);",
    to: "    memset(even, 0, sizeof even);\n    for (int i = 0; i < 16; i++) {\n      step_rows(rows, p, a_row, load_wide(b));\n      p.next();\n      b += WIDTH;\n    }",
    tests: [orderBf16],
  },
  {
    name: "bf16 products: blocks of 64, two sums joined before the total",
    file: "cpu/gemm/gemm_bf16_lanes.h",
    from: "    add_block<R>(total, even, rows);\n  }",
    to: "    static thread_local float pair[R * WIDTH];\n    add_block<R>(pair, even, rows);\n    if (k % 64 == 0 && k + 32 < depth) continue;\n    for (int i = 0; i < R * WIDTH; i++) total[i] += pair[i], pair[i] = 0.0f;\n  }",
    tests: [orderBf16],
  },
  {
    name: "bf16 products: each chain added to the total by itself",
    file: "cpu/gemm/gemm_bf16_lanes.h",
    from: "store_wide(t, add(load_wide(t), add(load_wide(even + (R - 1) * WIDTH), odd.last)));",
    to: "store_wide(t, add(add(load_wide(t), load_wide(even + (R - 1) * WIDTH)), odd.last));",
    tests: [orderBf16],
  },
  {
    name: "bf16 products: subnormals not flushed",
    file: "cpu/bf16.h",
    from: "static constexpr State FLUSH = 0x8040;",
    to: "static constexpr State FLUSH = 0;",
    tests: [orderBf16],
  },
  {
    name: "bf16 products: subnormal results flushed, subnormal inputs not",
    file: "cpu/bf16.h",
    from: "static constexpr State FLUSH = 0x8040;",
    to: "static constexpr State FLUSH = 0x8000;",
    tests: [orderBf16],
  },
  {
    name: "bf16 products: subnormals flushed for ever after",
    file: "cpu/bf16.h",
    from: "~FlushSubnormals() { write(before_); }",
    to: "~FlushSubnormals() {}",
    tests: [orderBf16],
  },
  {
    name: "bf16 products: totals begin again where the inner dimension is cut",
    file: "cpu/gemm/gemm_bf16.cpp",
    from: "block.from_c = p.from_c || k + first > 0;",
    to: "block.from_c = p.from_c;",
    tests: [orderBf16],
  },
  {
    name: "bf16 products: the bias added to every block",
    file: "cpu/gemm/gemm_bf16.cpp",
    from: "block.bias = p.bias && k + first + block.depth == p.depth ? p.bias + j : nullptr;",
    to: "block.bias = p.bias ? p.bias + j : nullptr;",
    tests: [orderBf16],
  },
  {
    name: "bf16 products: a gradient summed from zero and then added",
    file: "cpu/linear_bf16.cpp",
    from: "factor<bf16>(dy).transposed(), factor<bf16>(x), N, K, M, true, nullptr}",
    to: "factor<bf16>(dy).transposed(), factor<bf16>(x), N, K, M, false, nullptr}",
    tests: [orderBf16],
  },
  {
    name: "bf16 products: f32 inputs cut off instead of rounded",
    file: "cpu/gemm/gemm_bf16.cpp",
    from: "for (; i + LANES <= end; i += LANES) store_bf16(to + i, load(from + i));",
    to: "for (; i + LANES <= end; i++) {\n      uint32_t bits;\n      memcpy(&bits, from + i, 4);\n      to[i] = static_cast<bf16>(bits >> 16);\n    }",
    tests: [orderBf16],
  },
  {
    name: "bf16 products on tiles: a second tile of C from the first tile of B",
    file: "cpu/gemm/gemm_bf16_tiles.h",
    from: "tiles.template dot<3, 5, 7>();",
    to: "tiles.template dot<3, 5, 6>();",
    tests: [orderBf16],
  },
  {
    name: "bf16 products on tiles: streamed pieces not alternated",
    file: "cpu/gemm/gemm_bf16_tiles.h",
    from: "pack_b(piece[k / STREAM_DEPTH % 2],",
    to: "pack_b(piece[0],",
    tests: [orderBf16],
  },
  {
    name: "token_log_probs in bf16: dz not rounded to nearest at the target",
    file: "cpu/token_log_probs.cpp",
    from: "half[target] = round_bf16(at_target);",
    to: "half[target] = static_cast<bf16>(round_bf16(at_target) + 1);",
    tests: [orderBf16],
  },
  {
    name: "cuda kv_cache: of two tokens of a slot both are written",
    file: "cuda/kv_cache.cu",
    from: "found |= slots[later] == slot;",
    to: "found |= slots[later] < 0;",
    tests: [emulated("the last token written")],
  },
  {
    name: "cuda kv_cache: copies of pages in descending order",
    file: "cuda/kv_cache.cu",
    from: "const int64_t from = sources[r] * words + i, to = targets[r] * words + i;",
    to: "const int64_t q = copies - 1 - r, from = sources[q] * words + i, to = targets[q] * words + i;",
    tests: [emulated("the last token written")],
  },
  {
    name: "cuda attention_cached: no barrier before values are summed",
    file: "cuda/attention_cached.cu",
    from: "wait_async<1>();\n    __syncthreads();\n    float block_out",
    to: "wait_async<1>();\n    float block_out",
    tests: [emulated("attention_cached")],
  },
  {
    name: "cuda attention_cached: pages joined from the last to the first",
    file: "cuda/attention_cached.cu",
    from: "for (int64_t at = first; at < first + ceil_div(seen, BLOCK); at++) {",
    to: "for (int64_t at = first + ceil_div(seen, BLOCK) - 1; at >= first; at--) {",
    tests: [emulated("attention_cached")],
  },
  {
    name: "cuda attention_cached: a page that a row does not see is joined",
    file: "cuda/attention_cached.cu",
    from: "ceil_div(seen, BLOCK); at++",
    to: "ceil_div(seen, BLOCK) + 1; at++",
    tests: [emulated("attention_cached")],
  },
  {
    name: "cuda sample: no barrier before weights are summed",
    file: "cuda/sample.cu",
    from: "__syncthreads();\n    for (int i = 0; threadIdx.x == 0 && i < count; i++) add_weight(",
    to: "for (int i = 0; threadIdx.x == 0 && i < count; i++) add_weight(",
    tests: [emulated("sample has")],
  },
  {
    name: "sample: weights summed as one chain",
    file: "cpu/block_sum.h",
    from: "if (id >= sum.end)",
    to: "if (id < 0)",
    tests: [order],
  },
  {
    name: "cuda sample: the blocks' sums are marked before the blocks behind them are there",
    file: "cuda/sample.cu",
    from: "for (int64_t s = threadIdx.x; s < spans; s += THREADS)\n      marks",
    to: "for (int64_t s = threadIdx.x; s + 1 < spans; s += THREADS)\n      marks",
    tests: [emulated("sample has"), emulated("tokens are drawn")],
  },
  {
    name: "cuda sample: top-p looks at too few words",
    file: "cuda/sample.cu",
    from: "target * (1.0 + 1e-6)",
    to: "target * 0.8",
    tests: [emulated("sample has")],
  },
  {
    name: "cuda sample: of equal logits top-p keeps all",
    file: "cuda/sample.cu",
    from: "room.cut = {prefix, room.ids[i]};",
    to: "room.cut = {prefix, words.count};",
    tests: [emulated("sample has"), emulated("tokens are drawn")],
  },
  {
    name: "cuda survivors: equals of the blocks before are not counted",
    file: "cuda/survivors.h",
    from: "*equals = s.ranked.before[block];",
    to: "*equals = 0;",
    tests: [emulated("of equal magnitudes")],
  },
  {
    name: "cuda survivors: one element beyond the tensor is counted",
    file: "cuda/survivors.cu",
    from: "threadIdx.x; i < count;",
    to: "threadIdx.x; i <= count;",
    tests: [emulated("task_vector ties")],
  },
  {
    name: "cuda survivors: no barrier before the warps' digits are summed",
    file: "cuda/survivors.cu",
    from: "of_warps[threadIdx.x / 32][d] = mine[d];\n  }\n  __syncthreads();",
    to: "of_warps[threadIdx.x / 32][d] = mine[d];\n  }",
    tests: [emulated("task_vector ties")],
  },
  {
    name: "cuda task_vector: lanes draw each other's words",
    file: "cuda/survivors.h",
    from: "* 16 + threadIdx.x % 16;\n    uint32_t c[4]",
    to: "* 16 + 15 - threadIdx.x % 16;\n    uint32_t c[4]",
    tests: [emulated("task_vector dare")],
  },
  {
    // Another order of these sums would not show: in float64 they are exact but for very different sizes.
    name: "cuda online_merging: no barrier before block sums are added",
    file: "cuda/survivors.cu",
    from: "__syncthreads();\n    if (threadIdx.x < 2)",
    to: "if (threadIdx.x < 2)",
    tests: [emulated("online_merging")],
  },
  {
    name: "cuda gemm_bf16: no barrier before a stage is filled again",
    file: "cuda/gemm_bf16.cu",
    from: "wait_async<STAGES - 2>();\n    __syncthreads();",
    to: "wait_async<STAGES - 2>();",
    tests: [tensorCores],
  },
  {
    name: "cuda gemm_bf16: a piece is read that is on its way",
    file: "cuda/gemm_bf16.cu",
    from: "wait_async<STAGES - 2>();",
    to: "wait_async<STAGES - 1>();",
    tests: [tensorCores],
  },
  {
    name: "cuda gemm_bf16: sums of 128 in place of 256",
    file: "cuda/gemm_bf16.cu",
    from: "(piece + 1) * DEPTH % SUM_BLOCK != 0",
    to: "(piece + 1) * DEPTH % (SUM_BLOCK / 2) != 0",
    tests: [tensorCores],
  },
  {
    name: "cuda gemm_bf16: one row too many is read",
    file: "cuda/gemm_bf16.cu",
    from: "rows_left = rows - first - row,",
    to: "rows_left = rows + 1 - first - row,",
    tests: [tensorCores],
  },
  {
    name: "cuda attention_bf16: no barrier before the next keys come",
    file: "cuda/attention_bf16.cu",
    from: "key_stride, depth);\n    __syncthreads();",
    to: "key_stride, depth);",
    tests: [attentionTensorCores],
  },
  {
    name: "cuda attention_bf16: one key too many is seen",
    file: "cuda/attention_bf16.cu",
    from: "position + row / heads + 1 - begin : 0;",
    to: "position + row / heads + 2 - begin : 0;",
    tests: [attentionTensorCores],
  },
  {
    name: "cuda attention_bf16: what is not seen shows where it is no number",
    file: "cuda/attention_bf16.h",
    from: "if (!is_large) {",
    to: "if (!is_large || stride > 0) {",
    tests: [attentionTensorCores],
  },
  {
    name: "cuda attention backward bf16: no barrier before the next block comes",
    file: "cuda/attention_backward_bf16.cu",
    from: "is_large(queries), from, until);\n      __syncthreads();",
    to: "is_large(queries), from, until);",
    tests: [attentionTensorCores],
  },
];

function run(command, args, env = {}) {
  const { status, stdout, stderr } = spawnSync(command, args, {
    cwd: root,
    encoding: "utf8",
    env: { ...process.env, ...env },
    timeout: 300_000,
    maxBuffer: 1 << 28,
  });
  return { ok: status === 0, output: `${stdout}${stderr}` };
}

/** A copy of native/ and its release build; dependency files point into the copy, so that make builds what a fault touches. */
function prepare() {
  const built = run("make", ["-C", join(kernels, "native"), "-j2"]);
  if (!built.ok) throw new Error(built.output);
  rmSync(work, { recursive: true, force: true });
  mkdirSync(join(work, "build"), { recursive: true });
  cpSync(join(kernels, "native"), join(work, "native"), { recursive: true, preserveTimestamps: true });
  cpSync(join(kernels, "build/release"), join(work, "build/release"), {
    recursive: true,
    preserveTimestamps: true,
  });
  for (const path of readdirSync(join(work, "build/release"), { recursive: true, encoding: "utf8" })) {
    if (!path.endsWith(".d")) continue;
    const file = join(work, "build/release", path);
    const text = readFileSync(file, "utf8");
    writeFileSync(file, text.replaceAll(`${kernels}/native`, `${work}/native`));
  }
}

const build = () =>
  run("make", [
    "-C",
    join(work, "native"),
    "-j2",
    `HEADERS=${join(root, "node_modules/node-api-headers/include")}`,
    "WARNINGS=-w",
  ]);

/** The name of the first failed test, or undefined when all passed. A runner that died counts. */
function failure(tests, repeat = 1) {
  for (let i = 0; i < repeat; i++) {
    for (const args of tests) {
      const { ok, output } = run(
        process.execPath,
        [
          "node_modules/vitest/vitest.mjs",
          "run",
          "--bail",
          "1",
          "--no-color",
          "--reporter",
          "default",
          ...args,
        ],
        { POSTTRAIN_NATIVE_VARIANT: variant, NO_COLOR: "1" },
      );
      if (ok) continue;
      return /^ FAIL {2}(.*)$/m.exec(output)?.[1]?.trim() ?? `${args.join(" ")}: the runner died`;
    }
  }
  return undefined;
}

function change(file, from, to) {
  const text = readFileSync(file, "utf8");
  const parts = text.split(from);
  if (parts.length !== 2) throw new Error(`${relative(work, file)}: ${parts.length - 1} places for\n${from}`);
  writeFileSync(file, parts.join(to));
  return () => writeFileSync(file, text);
}

prepare();
const wanted = process.argv.slice(2).filter((part) => part !== "--no-control");
const chosen = faults.filter(({ name }) => wanted.length === 0 || wanted.some((part) => name.includes(part)));
const results = [];
const clean = [...new Set(chosen.flatMap(({ tests }) => tests.map((args) => JSON.stringify(args))))];
if (!process.argv.includes("--no-control")) {
  const broken = clean.map((args) => failure([JSON.parse(args)])).find((name) => name !== undefined);
  if (broken !== undefined) throw new Error(`without any fault: ${broken}`);
  console.log(`all tests pass without a fault (${clean.length} runs)`);
}
for (const { name, file, from, to, make, tests, repeat } of chosen) {
  const path = join(work, "native", file);
  const undo = [change(path, from, to)];
  if (make !== undefined) undo.push(change(join(work, "native/cpu/gemm/gemm.cpp"), make.from, make.to));
  const built = build();
  const caught = built.ok ? failure(tests, repeat) : `the compiler:\n${built.output.slice(-1500)}`;
  results.push({ name, caught });
  console.log(
    `${caught === undefined ? "SURVIVED" : "caught  "}  ${name}${caught === undefined ? "" : `\n            ${caught}`}`,
  );
  for (const restore of undo.reverse()) restore();
  if (!existsSync(path)) throw new Error(path);
}
rmSync(work, { recursive: true, force: true });
const survived = results.filter(({ caught }) => caught === undefined).length;
console.log(`\n${results.length - survived} caught, ${survived} survived`);
process.exitCode = survived === 0 ? 0 : 1;
