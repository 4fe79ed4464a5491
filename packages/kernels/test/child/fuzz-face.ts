// Calls every function and method of the public face with arbitrary values: fuzz-face.ts <seed> <calls> <log>. Exits with 0 when
// nothing but exceptions happened.
import { ftruncateSync, openSync, writeFileSync, writeSync } from "node:fs";
import { fileURLToPath } from "node:url";
import * as face from "../../src/index.js";
import { anything, Dice } from "./fuzz-values.js";

const [seed = 1, calls = 1000] = process.argv.slice(2, 4).map(Number);
const log = openSync(process.argv[4] as string, "w");
const dice = new Dice(seed);
process.on("unhandledRejection", () => undefined); // a promise that the fuzzer itself dropped

const device = face.openDevice({ threads: 2, memoryLimit: 64 << 20, guards: true });
const other = face.openDevice({ threads: 1, memoryLimit: 16 << 20, path: "plain" });
const closed = face.openDevice({ threads: 1, path: "plain" });
await closed.close();
let scope = device.scope(new face.Tape());
let foreign = other.scope();
const ended = device.scope();
ended.end();
let tensors: face.Tensor[] = [];
let foreignTensor: face.Tensor;
const file = new face.MappedFile(fileURLToPath(import.meta.url));

let succeeded = 0;
let refused = 0;
const kernelErrors = new Set<string>();
const note = (error: unknown): void => {
  refused++;
  if (error instanceof face.KernelError) kernelErrors.add(error.code);
};

const dtypes = ["f32", "f32", "f32", "i32", "f64", "bf16", "f16"] as const;
const sizes = [0, 1, 2, 2, 3, 3, 4, 8, 64];
const restart = (): void => {
  for (const end of [() => scope.tape?.clear(), () => scope.end(), () => foreign.end()]) {
    try {
      end();
    } catch (error) {
      note(error); // a tensor that the fuzzer forged
    }
  }
  scope = device.scope(new face.Tape());
  foreign = other.scope();
  tensors = [];
  foreignTensor = foreign.empty([2, 3]);
  for (let i = 0; i < 24; i++) {
    let shape = Array.from({ length: 1 + dice.below(4) }, () => dice.pick(sizes));
    if (shape.reduce((n, axis) => n * axis, 1) > 20_000) shape = [64, 2];
    const dtype = dice.pick(dtypes);
    const tensor = scope.empty(shape, dtype);
    if (dtype === "i32")
      tensor.write(Int32Array.from({ length: tensor.size }, () => dice.pick([0, 1, 2, 3, -1, 2 ** 31 - 1])));
    else if (dtype === "f32") face.fill(tensor, dice.pick([0, 1, Number.NaN]));
    tensors.push(tensor);
  }
  scope.release(tensors[0] as face.Tensor);
};
restart();

const value = (): unknown => {
  const kind = dice.below(20);
  if (kind < 9) return dice.pick(tensors);
  if (kind === 9) return dice.chance(50) ? foreignTensor : foreign;
  if (kind === 10) return dice.pick([scope, ended, device, closed, scope.tape, file]);
  if (kind === 11)
    return { keys: dice.pick(tensors), values: dice.pick(tensors), gradient: dice.pick(tensors) };
  if (kind === 12) return [dice.pick(tensors), dice.pick(tensors)];
  return anything(dice, () => scope.release(dice.pick(tensors)));
};
const scopeLike = (): unknown => (dice.chance(90) ? scope : value());
const options = (names: readonly string[]) => (): unknown =>
  dice.chance(85)
    ? Object.fromEntries(names.map((name) => [name, dice.chance(60) ? dice.pick([0, 1, 0.5, 2]) : value()]))
    : value();
const body = (): unknown =>
  dice.pick([() => value(), async () => value(), (inner: unknown) => inner, value()]);
const settings = options(["temperature", "topK", "topP", "minP", "repetitionPenalty", "seen", "uniform"]);
const step = options([
  "learningRate",
  "beta1",
  "beta2",
  "eps",
  "weightDecay",
  "step",
  "gradientScale",
  "rounded",
  "clearGradient",
]);
const merge = (): Readonly<Record<string, unknown>> => ({
  method: dice.pick(["dare", "ties", value()]),
  scaling: dice.pick(["paper", "repo", value()]),
  reserve: dice.pick([0.5, 1, 1e-9, value()]),
  rescale: dice.pick([true, false, value()]),
  seed: dice.pick([0, 2 ** 32 - 1, value()]),
  first: dice.pick([0, 64, 2 ** 52, value()]),
});
const mergeStep = (): unknown => ({
  ...{ learningRate: 1e-3, beta1: 0.9, beta2: 0.9, eps: 1e-8, weightDecay: 0.1, gradientScale: 1 },
  ...merge(),
  step: dice.pick([1, 2 ** 32 - 1, value()]),
  alpha: dice.pick([0, 0.5, value()]),
  merges: dice.pick([true, false, value()]),
  ...Object.fromEntries(
    ["tau", "carry", "interim"].map((name) => [name, dice.pick([undefined, floats(5), value()])]),
  ),
  drift: dice.pick([undefined, scope.empty([2], "f64"), value()]),
  masks: dice.pick([undefined, { update: floats(5) }, value()]),
});
const dtype = (): unknown =>
  dice.chance(70) ? { dtype: dice.pick(["f32", "bf16", undefined, "i32"]) } : dice.pick([undefined, value()]);

const floats = (...dims: readonly number[]): face.Tensor => scope.empty(dims);
const indices = (count: number): face.Tensor =>
  scope.from(Int32Array.from({ length: count }, () => dice.pick([0, 1, 2, 3, -1, 2 ** 31 - 1])));
/** Calls whose shapes are right and whose indices are anything. */
const plausible: Readonly<Record<string, () => readonly unknown[]>> = {
  embedding: () => [scope, floats(4, 3), Int32Array.of(dice.below(6), -dice.below(2), 3)],
  gatherRows: () => [scope, floats(3, 5), indices(4)],
  attention: () => [scope, floats(3, 4, 8), floats(3, 2, 8), floats(3, 2, 8), indices(1 + dice.below(3)), 1],
  kvCacheWrite: () => [
    { keys: floats(2, 1, 4, 64), values: floats(2, 1, 64, 4) },
    floats(2, 1, 4),
    floats(2, 1, 4),
    indices(2),
  ],
  kvCacheCopy: () => [{ keys: floats(2, 1, 4, 64), values: floats(2, 1, 64, 4) }, indices(2), indices(2)],
  onlineMerging: () => [floats(5), floats(5), floats(5), floats(5), mergeStep()],
  taskVector: () => [scope, floats(5), floats(5), floats(5), merge()],
  tokenLogProbs: () => [scope, floats(2, 4), floats(5, 4), indices(2), { inverseTemperature: 1 }],
};

/** The arguments of each function; a missing one is found below. */
const functions: Readonly<Record<string, () => readonly unknown[]>> = {
  addonFile: () => [value()],
  backends: () => [value()],
  cpuPaths: () => [value()],
  openDevice: () => [
    {
      path: dice.chance(50) ? "plain" : value(),
      backend: dice.chance(90) ? undefined : dice.pick(["cpu", "cuda", "/", value()]),
      threads: dice.chance(60) ? 1 : value(),
      memoryLimit: value(),
      guards: value(),
    },
  ],
  KernelError: () => [value(), value()],
  MappedFile: () => [value()],
  adamw: () => [value(), value(), value(), value(), step()],
  accumulate: () => [value(), value()],
  add: () => [scopeLike(), value(), value()],
  attention: () => [scopeLike(), value(), value(), value(), value(), value()],
  attentionCached: () => [
    scopeLike(),
    value(),
    value(),
    dice.chance(80) ? { starts: value(), lengths: value(), pages: value() } : value(),
    value(),
  ],
  convert: () => [value(), value()],
  embedding: () => [
    scopeLike(),
    value(),
    dice.chance(60)
      ? Int32Array.from({ length: dice.below(5) }, () => dice.pick([0, 1, -1, 2 ** 31 - 1]))
      : value(),
    dice.chance(50) ? undefined : value(),
  ],
  RowGradient: () => [scopeLike(), value()],
  fill: () => [value(), value()],
  gatherIds: () => [value(), value(), value()],
  gatherRows: () => [scopeLike(), value(), value()],
  kvCacheCopy: () => [value(), value(), value()],
  kvCacheWrite: () => [value(), value(), value(), value()],
  kvPages: () => [scopeLike(), value(), value(), value(), dtype()],
  linear: () => [scopeLike(), value(), value(), dice.chance(50) ? undefined : value(), dtype()],
  linears: () => [
    scopeLike(),
    value(),
    dice.chance(80)
      ? Array.from({ length: dice.below(5) }, () => options(["weight", "bias", "dtype"])())
      : value(),
  ],
  // MPI itself is never begun here: a process can begin it once, and its errors end the process by design.
  openMessages: () => [dice.pick(["", "/none/libmpi.so", "libc.so.6", 7, scope])],
  onlineMerging: () => [value(), value(), value(), value(), dice.chance(85) ? mergeStep() : value()],
  taskVector: () => [scopeLike(), value(), value(), value(), dice.chance(85) ? merge() : value()],
  // Numbers that are allowed take their time: only those that are not.
  probeAmxPeak: () => [
    dice.chance(50) ? device : value(),
    dice.pick([Number.NaN, -1, 0, 1e9, Number.POSITIVE_INFINITY, "x"]),
  ],
  probeFmaPeak: () => [
    dice.chance(50) ? device : value(),
    dice.pick([Number.NaN, -1, 0, 1e9, Number.POSITIVE_INFINITY, "x"]),
  ],
  probeMemory: () => [
    dice.chance(50) ? device : value(),
    dice.pick([Number.NaN, -1, 0, 1.5, 1e12, Number.POSITIVE_INFINITY, "x"]),
  ],
  reshape: () => [scopeLike(), value(), value()],
  rmsNorm: () => [scopeLike(), value(), value(), options(["eps", "residual", "dtype"])()],
  rope: () => [scopeLike(), value(), options(["cosines", "sines"])(), dtype()],
  ropeTable: () => [scopeLike(), value(), value(), value()],
  sample: () => [scopeLike(), value(), value(), dice.chance(80) ? [settings()] : value(), value()],
  sumSquares: () => [scopeLike(), value()],
  swiglu: () => [scopeLike(), value(), value()],
  tokenLogProbs: () => [scopeLike(), value(), value(), value(), options(["inverseTemperature"])()],
  defaultMemoryLimit: () => [],
  machineMemory: () => [],
  backward: () => [
    scopeLike(),
    dice.chance(80) ? scope.tape : value(),
    dice.chance(80) ? [{ tensor: value(), gradient: value() }] : value(),
    dice.chance(70) ? [value()] : value(),
  ],
  checkpoint: () => [scopeLike(), dice.chance(70) ? [value()] : value(), body()],
  Tape: () => [value()],
  describe: () => [value()],
  Tensor: () => [value(), value(), value(), value()],
};
const constructors = new Set(["KernelError", "MappedFile", "RowGradient", "Tape", "Tensor"]);
const all = new Map<string, unknown>(Object.entries(face));
const missing = [...all].filter(([name, item]) => typeof item === "function" && !(name in functions));
if (missing.length > 0) throw new Error(`not fuzzed: ${missing.map(([name]) => name).join(", ")}`);

const shape = (): unknown => (dice.chance(60) ? [dice.pick(sizes), dice.pick([...sizes, 1e8])] : value());
const methods: readonly (readonly [string, () => readonly [unknown, string, ...unknown[]]])[] = [
  ["scope", () => [scope, "empty", shape(), dice.pick([...dtypes, value()]), dice.pick(["x", value()])]],
  ["scope", () => [scope, "from", value(), shape(), value()]],
  ["scope", () => [scope, "view", value(), dice.chance(50) ? dice.below(9) : value(), shape()]],
  ["scope", () => [scope, dice.pick(["own", "keep", "release"]), value()]],
  ["scope", () => [scope, "child", body(), dice.pick([undefined, null, value()])]],
  [
    "device",
    () => [device, dice.pick(["drain", "ready", "recover", "status", "resetPeak", "checkGuards"]), value()],
  ],
  ["device", () => [device, "run", body(), value()]],
  ["device", () => [device, "scope", value()]],
  [
    "closed",
    () => [closed, dice.pick(["drain", "ready", "recover", "status", "close", "checkGuards"]), value()],
  ],
  ["tensor", () => [dice.pick(tensors), dice.pick(["hold", "drop", "read"]), value()]],
  ["tensor", () => [dice.pick(tensors), "write", value()]],
  ["tape", () => [scope.tape, dice.pick(["record", "unwind", "clear"]), value()]],
  [
    "file",
    () => [file, "tensor", scopeLike(), dice.chance(60) ? 4 * dice.below(9) : value(), value(), shape()],
  ],
];

let pending: Promise<unknown>[] = [];
const opened: face.Device[] = [];
const names = Object.keys(functions);
for (let i = 0; i < calls; i++) {
  const byMethod = dice.chance(30);
  ftruncateSync(log);
  try {
    let result: unknown;
    if (byMethod) {
      const [name, make] = dice.pick(methods);
      const [target, method, ...args] = make();
      writeSync(log, `${i} ${name}.${method}\n`, 0);
      result = (target as Record<string, (...args: unknown[]) => unknown>)[method]?.(...args);
    } else {
      const name = dice.pick(names);
      const args = ((dice.chance(50) ? plausible[name] : undefined) ?? functions[name])?.() ?? [];
      writeSync(log, `${i} ${name}\n`, 0);
      const item = all.get(name);
      if (constructors.has(name)) result = new (item as new (...args: unknown[]) => unknown)(...args);
      else result = (item as (...args: unknown[]) => unknown)(...args);
      if (name === "openDevice") opened.push(result as face.Device);
    }
    succeeded++;
    if (result instanceof Promise) pending.push(result);
    if (result instanceof face.Tensor && result.shape !== undefined)
      tensors[dice.below(tensors.length)] = result;
  } catch (error) {
    note(error);
  }
  if (i % 30 === 29) {
    await Promise.allSettled(pending);
    pending = [];
    for (const one of opened.splice(0)) await one.close();
    await device.drain().catch(note);
    await device.recover();
    await other.recover();
    if ((await device.checkGuards()) !== 0) throw new Error("memory around a tensor was overwritten");
    restart();
  }
}
writeFileSync(1, JSON.stringify({ succeeded, refused, codes: [...kernelErrors].sort() }));
