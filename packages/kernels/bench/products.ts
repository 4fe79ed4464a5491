// Matrix products: the linear maps of Qwen2.5-0.5B and of the 135 M model, forward, data gradient and weight gradient apart, at many
// rows and at few; beside OpenBLAS and oneDNN where they are installed.
import type { Device, FloatDtype, Scope } from "@posttrain/kernels";
import { linearBackward, linearForward } from "@posttrain/kernels/binding";
import { measure, probe } from "./measure.js";
import { type Direction, peersOf } from "./peers.js";
import { report, rowOf } from "./results.js";
import { filled } from "./tensors.js";

/** Outputs x inputs of the maps, and which model has them. */
const maps = [
  { name: "attention, 0.5B", n: 896, k: 896 },
  { name: "gate and up, 0.5B", n: 4864, k: 896 },
  { name: "down, 0.5B", n: 896, k: 4864 },
  { name: "head, 0.5B", n: 151_936, k: 896 },
  { name: "attention, 135M", n: 576, k: 576 },
  { name: "keys and values, 135M", n: 192, k: 576 },
  { name: "gate and up, 135M", n: 1536, k: 576 },
  { name: "down, 135M", n: 576, k: 1536 },
  { name: "head, 135M", n: 49_152, k: 576 },
];
const many = [512, 2048];
const few = [1, 2, 4, 8, 16, 32, 64, 128];
const isHead = (n: number): boolean => n > 40_000;

/** The least share of the peak that is wanted of a product. */
function target(dtype: FloatDtype, direction: Direction, operations: number, n: number): number {
  const forth = direction !== "weight gradient";
  if (dtype === "bf16") return isHead(n) ? 0.3 : forth ? 0.42 : 0.35;
  if (operations < 1e9) return 0.65;
  return forth ? (isHead(n) ? 0.85 : 0.9) : isHead(n) ? 0.72 : 0.8;
}

export async function products(device: Device, dtypes: readonly FloatDtype[]): Promise<void> {
  for (const { name, n, k } of maps) {
    for (const m of many) for (const dtype of dtypes) await product(device, dtype, name, m, n, k);
  }
}

async function product(
  device: Device,
  dtype: FloatDtype,
  what: string,
  m: number,
  n: number,
  k: number,
): Promise<void> {
  const shape = `${m} x ${n} x ${k}`;
  const operations = 2 * m * n * k;
  const limit = dtype === "bf16" && device.path === "amx" ? "AMX peak" : "fp32 peak";
  await device.run(async (scope) => {
    const x = filled(scope, [m, k], dtype);
    const weight = filled(scope, [n, k], dtype);
    const y = scope.empty([m, n], dtype);
    const dy = filled(scope, [m, n], dtype);
    const dx = scope.empty([m, k]);
    const dweight = filled(scope, [n, k]);
    const runs: readonly (readonly [Direction, () => void])[] = [
      ["forward", () => linearForward(y, x, weight, null)],
      ["data gradient", () => linearBackward(dx, null, null, dy, x, weight)],
      ["weight gradient", () => linearBackward(null, dweight, null, dy, x, weight)],
    ];
    for (const [direction, run] of runs) {
      const own = await measure(device, { run, cost: operations, limit });
      const peers = await peersOf(dtype, direction, m, n, k, device.threads);
      // By both measures: on a busy machine either alone may lie.
      const better = peers.filter(
        ({ share, cpuShare }) => limit === "fp32 peak" && share > own.share && cpuShare > own.cpuShare,
      );
      const names = { group: "products", what, direction, dtype, shape };
      report({
        ...rowOf(device, own, names, limit),
        // Without AMX nobody promises a share of the peak; bf16 is held against fp32 (of the same run) by its reader.
        target:
          dtype === "bf16" && limit === "fp32 peak" ? undefined : target(dtype, direction, operations, n),
        ...(better.length === 0 ? {} : { remark: `below ${better.map((peer) => peer.library).join(", ")}` }),
      });
      for (const peer of peers) {
        const { seconds, peak: roof, share, cpuShare } = peer;
        const measured = { seconds, rate: operations / seconds, roof, share, cpuShare };
        report({ ...rowOf(device, measured, names), library: peer.library, path: "" });
      }
    }
  });
}

/** Bytes of weights that are walked, so that none is found in a cache, as in a model. */
const walked = 2 ** 28;

export async function fewRows(device: Device, dtypes: readonly FloatDtype[]): Promise<void> {
  for (const dtype of dtypes) {
    for (const { name, n, k } of maps.filter(({ n: outputs }) => outputs >= 896)) {
      await device.run((scope) => rowsOf(device, scope, dtype, name, n, k));
    }
  }
}

async function rowsOf(
  device: Device,
  scope: Scope,
  dtype: FloatDtype,
  what: string,
  n: number,
  k: number,
): Promise<void> {
  const width = dtype === "bf16" ? 2 : 4;
  const copies = Math.max(1, Math.ceil(walked / (width * n * k)));
  const weights = Array.from({ length: copies }, () => filled(scope, [n, k], dtype));
  const walk = (m: number): (() => void) => {
    const x = filled(scope, [m, k], dtype);
    const y = scope.empty([m, n], dtype);
    return () => {
      for (const weight of weights) linearForward(y, x, weight, null);
    };
  };
  const bytes = (m: number): number => copies * width * (n * k + m * (n + k));
  const operations = (m: number): number => copies * 2 * m * n * k;
  const full = await measure(device, { run: walk(512), cost: operations(512), limit: "fp32 peak" });
  for (const m of few) {
    const names = { group: "rows", what, direction: "forward", dtype, shape: `${m} x ${n} x ${k}` };
    const read = await measure(device, { run: walk(m), cost: bytes(m), limit: "read" });
    const seconds = read.seconds / copies;
    if (m <= 8) {
      report({
        ...rowOf(device, { ...read, seconds }, names, "read"),
        target: m === 8 ? 0.75 : dtype === "bf16" ? 0.78 : 0.85,
      });
      continue;
    }
    // The lower of the two roofs: what is read at the bandwidth, what is computed at the rate of 512 rows.
    const peak = await probe(device, "fp32 peak");
    const intensity = operations(m) / bytes(m);
    const roof = Math.min(read.roof * intensity, full.share * peak.wall);
    const rate = read.rate * intensity;
    const cpuRoof = Math.min((read.rate / read.cpuShare) * intensity, full.cpuShare * peak.cpu);
    const found = { seconds, rate, roof, share: rate / roof, cpuShare: rate / cpuRoof };
    report({
      ...rowOf(device, found, names),
      roof: roof === read.roof * intensity ? "read" : "512 rows",
      target: m <= 32 ? 0.65 : dtype === "bf16" ? 0.5 : 0.75,
    });
  }
}
