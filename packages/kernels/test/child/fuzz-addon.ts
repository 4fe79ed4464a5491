// Calls every function of the raw addon with arbitrary values: fuzz-addon.ts <seed> <calls> <log>. Most op calls have matching
// shapes with arbitrary contents, so that the ops themselves see garbage; the others are damaged in one place or several.
// Exits with 0 when nothing but exceptions happened and no memory around a tensor was touched.
import { ftruncateSync, openSync, readFileSync, writeFileSync, writeSync } from "node:fs";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";
import { anything, Dice, sentinel } from "./fuzz-values.js";

const [seed = 1, calls = 1000] = process.argv.slice(2, 4).map(Number);
const log = openSync(process.argv[4] as string, "w");
const dice = new Dice(seed);
const variant = process.env["POSTTRAIN_NATIVE_VARIANT"] ?? "release";
const root = new URL("../../", import.meta.url);
const addon = createRequire(import.meta.url)(fileURLToPath(new URL(`build/${variant}/kernels.node`, root)));

interface Parameter {
  readonly kind: string;
  readonly dtype: string;
  readonly shape: string;
}
const table = [
  ...readFileSync(new URL("native/abi/ops.def", root), "utf8").matchAll(/^OP\((\w+), (.*)\)$/gm),
].map(([, name, rest]) => ({
  name: name as string,
  parameters: [...(rest as string).matchAll(/(\w+)\(\w+(?:, (\w+), "([^"]*)")?\)/g)].map(
    ([, kind, dtype = "", shape = ""]): Parameter => ({ kind: kind as string, dtype, shape }),
  ),
}));
const dtypes = ["F32", "F64", "BF16", "F16", "I32"];
const arrays = [Float32Array, Float64Array, Uint16Array, Uint16Array, Int32Array];

interface Live {
  readonly handle: unknown;
  readonly device: unknown;
  readonly size: number;
  readonly dtype: number;
}
const devices: unknown[] = [];
const closed: unknown[] = [];
let tensors: Live[] = [];
let pending: Promise<unknown>[] = [];
const mappings: unknown[] = [addon.mapFile(fileURLToPath(import.meta.url))];

const open = (): unknown => {
  const paths: string[] = addon.cpuPaths();
  const device = addon.openDevice(dice.pick(paths), 1 + dice.below(3), 48 << 20, dice.chance(70));
  devices.push(device);
  return device;
};
const someDevice = (): unknown =>
  dice.chance(95) ? dice.pick(devices) : (dice.pick(closed) ?? dice.pick(devices));
open();
open();
closed.push(addon.openDevice("plain", 1, 1e6, false));
addon.closeDevice(closed[0]);

/** What a getter does while its call is at work. */
const sabotage = (): void => {
  const victim = tensors[dice.below(tensors.length + 1)];
  if (victim !== undefined) addon.freeTensor(victim.handle);
  if (dice.chance(3) && devices.length > 2) addon.closeDevice(closed[closed.push(devices.pop()) - 1]);
};
const garbage = (): unknown => {
  const kind = dice.below(10);
  if (kind === 0) return dice.pick(tensors)?.handle;
  if (kind === 1) return someDevice();
  if (kind === 2) return dice.pick(mappings);
  return anything(dice, sabotage);
};

/** Contents: mostly plausible, sometimes anything that the type holds. */
function contents(dtype: number, size: number): Float32Array | Float64Array | Uint16Array | Int32Array {
  const data = new (arrays[dtype] as Float32ArrayConstructor)(size);
  const wild = dice.chance(30);
  let sorted = 0;
  const style = dice.below(4);
  for (let i = 0; i < size; i++) {
    if (dtype === 4) {
      if (wild && dice.chance(30))
        data[i] = dice.pick([-1, 2 ** 31 - 1, -(2 ** 31), 64, 1000, dice.below(300)]);
      else if (style === 0) data[i] = sorted += dice.below(3);
      else if (style === 1) data[i] = i === 0 ? 0 : size;
      else data[i] = dice.below(style === 2 ? 2 : 5);
    } else {
      data[i] = wild
        ? dice.pick([
            Number.NaN,
            Number.POSITIVE_INFINITY,
            Number.NEGATIVE_INFINITY,
            0,
            -0,
            1e38,
            -1e38,
            1e-40,
          ])
        : dice.below(2000) / 1000 - 1;
    }
  }
  return data;
}

function make(device: unknown, dtype: number, shape: readonly number[]): Live {
  const size = shape.reduce((a, b) => a * b, 1);
  const live = { handle: addon.createTensor(device, dtype, shape), device, size, dtype };
  tensors.push(live);
  addon.write(live.handle, contents(dtype, size));
  return live;
}

const symbolSizes = [0, 1, 1, 2, 2, 3, 3, 4, 5, 16, 17, 33];
function opArguments(device: unknown, parameters: readonly Parameter[]): unknown[] {
  const bound = new Map<string, number>();
  const size = (symbol: string): number => {
    const known = bound.get(symbol);
    if (known !== undefined) return known;
    const chosen =
      symbol === "H" && bound.has("G")
        ? (bound.get("G") as number) * dice.below(4)
        : symbol === "B" && dice.chance(90)
          ? 64
          : dice.pick(symbolSizes);
    bound.set(symbol, chosen);
    return chosen;
  };
  size("G");
  const axis = (text: string): number => {
    const [, factor = "1", symbol = "", plus = "0"] = /^(?:(\d)\*?)?([A-Z]?)(?:\+(\d))?$/.exec(text) ?? [];
    return Number(factor) * (symbol === "" ? 1 : size(symbol)) + Number(plus);
  };
  return parameters.map(({ kind, dtype, shape }) => {
    if (kind === "INT") return dice.pick([0, 1, 2, 17, 1000, -1, 2 ** 40]);
    if (kind === "REAL")
      return dice.pick([0, 1, 0.5, -1, 1e-6, Number.NaN, 1e300, Number.NEGATIVE_INFINITY, 100]);
    if (kind.startsWith("OPT_") && dice.chance(30)) return dice.pick([null, undefined]);
    const code =
      dtype === "ANY" ? dice.below(5) : dtype === "FLOAT" ? dice.pick([0, 0, 2]) : dtypes.indexOf(dtype);
    const flat = shape.startsWith("*");
    const dims = shape
      .replace("*", flat ? "" : "*")
      .split(" ")
      .map(axis);
    const reused = tensors.filter((t) => t.dtype === code && t.size === dims.reduce((a, b) => a * b, 1));
    if (dice.chance(15) && reused.length > 0) {
      // Views of what exists: aliases of every kind.
      const base = dice.pick(reused);
      const handle = addon.viewTensor(base.handle, 0, dims);
      tensors.push({ ...base, handle });
      return handle;
    }
    if (dice.chance(5)) {
      const bytes = [4, 8, 2, 2, 4][code] as number;
      const handle = addon.mapTensor(device, mappings[0], dice.below(8) * bytes, code, dims);
      tensors.push({ handle, device, size: 0, dtype: -1 });
      return handle;
    }
    return make(device, code, dims).handle;
  });
}

const shapeLike = (): unknown =>
  dice.chance(60) ? Array.from({ length: dice.below(5) }, () => dice.pick(symbolSizes)) : garbage();
const someBytes = (): unknown => (dice.chance(60) ? new Uint8Array(dice.below(40)) : garbage());
const someTensor = (): unknown => (dice.chance(85) ? (dice.pick(tensors)?.handle ?? garbage()) : garbage());

const functions: Readonly<Record<string, () => readonly unknown[]>> = {
  cpuPaths: () => [garbage()],
  opNames: () => [],
  openDevice: () => [
    dice.chance(70) ? dice.pick(["plain", "avx2", "avx512", "amx_emulated"]) : garbage(),
    dice.chance(60) ? dice.below(4) : garbage(),
    dice.chance(60) ? 1 << 20 : garbage(),
    garbage(),
    garbage(),
    dice.chance(80) ? undefined : dice.pick(["/", fileURLToPath(import.meta.url), garbage()]),
    dice.chance(80) ? undefined : dice.chance(50) ? dice.below(3) : garbage(),
    garbage(),
  ],
  closeDevice: () => [dice.chance(50) ? closed[0] : anything(dice, sabotage)],
  createTensor: () => [
    dice.chance(90) ? someDevice() : garbage(),
    dice.chance(80) ? dice.below(5) : garbage(),
    shapeLike(),
    dice.chance(50) ? "op" : garbage(),
  ],
  viewTensor: () => [someTensor(), dice.chance(70) ? dice.below(20) : garbage(), shapeLike()],
  freeTensor: () => [someTensor()],
  write: () => [someTensor(), dice.chance(60) ? contents(dice.below(5), dice.below(40)) : garbage()],
  read: () => [someTensor()],
  describeDevice: () => [dice.chance(80) ? someDevice() : garbage()],
  drain: () => [dice.chance(80) ? someDevice() : garbage()],
  recover: () => [dice.chance(80) ? someDevice() : garbage()],
  enqueue: () => {
    if (dice.chance(5)) return Array.from({ length: dice.below(40) }, garbage);
    const op = dice.below(table.length);
    const args = opArguments(dice.pick(devices), (table[op] as (typeof table)[number]).parameters);
    if (dice.chance(25))
      for (let n = 1 + dice.below(3); n > 0; n--)
        args[dice.below(args.length)] = dice.chance(50) ? someTensor() : garbage();
    if (dice.chance(3)) args.length = dice.below(args.length);
    return [op, ...args];
  },
  forgetPages: () => [dice.chance(80) ? dice.pick(mappings) : garbage()],
  releaseCopy: () => [dice.chance(50) ? new ArrayBuffer(dice.below(100)) : garbage()],
  mapFile: () => [dice.chance(30) ? fileURLToPath(import.meta.url) : garbage()],
  mapTensor: () => [
    dice.chance(90) ? someDevice() : garbage(),
    dice.chance(80) ? dice.pick(mappings) : garbage(),
    dice.chance(70) ? dice.below(100) : garbage(),
    dice.chance(80) ? dice.below(5) : garbage(),
    shapeLike(),
  ],
  status: () => [dice.chance(80) ? someDevice() : garbage()],
  opTimes: () => [dice.chance(80) ? someDevice() : garbage()],
  resetPeak: () => [dice.chance(80) ? someDevice() : garbage()],
  checkGuards: () => [dice.chance(80) ? someDevice() : garbage()],
  // MPI itself is never begun here: a process can begin it once, and its errors end the process by design.
  openMessages: () => [dice.chance(60) ? dice.pick(["", "/none/libmpi.so", "libc.so.6"]) : garbage()],
  sendMessage: () => [dice.chance(60) ? dice.below(3) : garbage(), someBytes()],
  receiveMessage: () => [dice.chance(60) ? dice.below(3) : garbage(), someBytes()],
  closeMessages: () => [garbage()],
};
const missing = Object.keys(addon).filter((name) => !(name in functions));
if (missing.length > 0) throw new Error(`not fuzzed: ${missing.join(", ")}`);
const names = [...Object.keys(functions), ...new Array(40).fill("enqueue")];

function show(value: unknown): string {
  try {
    return typeof value === "object" && value !== null
      ? Array.isArray(value) || ArrayBuffer.isView(value)
        ? `${Object.prototype.toString.call(value)}(${String(value)})`
        : Object.prototype.toString.call(value)
      : String(value);
  } catch {
    return "?";
  }
}

let succeeded = 0;
let damaged = 0;
let enqueued = 0;
const codes = new Set(["kernel_argument", "kernel_memory", "kernel_device", "kernel_file", "kernel_stream"]);
const unexpected: unknown[] = [];
const note = (error: unknown): void => {
  if (error !== sentinel && !codes.has((error as { code: string }).code)) unexpected.push(error);
};
let promises = 0;
const settle = async (): Promise<void> => {
  for (const promise of pending) await promise.catch(note);
  pending = [];
  for (const { handle } of tensors) addon.freeTensor(handle);
  tensors = [];
  for (const device of devices) {
    await addon.drain(device).catch(note);
    addon.recover(device);
    damaged += addon.checkGuards(device);
  }
};

for (let i = 0; i < calls; i++) {
  const name = dice.pick(names);
  let args: readonly unknown[];
  try {
    args = (functions[name] as () => readonly unknown[])();
  } catch (error) {
    note(error); // a tensor that an argument needs could not be made
    continue;
  }
  ftruncateSync(log);
  writeSync(log, `${i} ${name} ${args.map(show).join(" | ")}\n`.slice(0, 4000), 0);
  try {
    const result = addon[name](...args);
    succeeded++;
    if (name === "enqueue") enqueued++;
    if (name === "openDevice") devices.push(result);
    if (name === "mapFile") mappings.push(result);
    if (["createTensor", "viewTensor", "mapTensor"].includes(name))
      tensors.push({ handle: result, device: undefined, size: -1, dtype: -1 });
    if (result instanceof Promise) {
      promises++;
      pending.push(result);
      result.catch(() => undefined);
    }
  } catch (error) {
    note(error);
  }
  if (devices.length > 4) addon.closeDevice(closed[closed.push(devices.pop()) - 1]);
  while (devices.length < 2) open();
  if (i % 40 === 39) await settle();
}
await settle();
writeFileSync(
  1,
  JSON.stringify({ succeeded, enqueued, promises, damaged, unexpected: unexpected.map(String) }),
);
// Left open on purpose: Node ends with tensors, devices and a queue alive.
