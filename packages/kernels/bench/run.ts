// Times the ops of the case files against what this machine shows in the same run: `npm run bench [-- stem ...]`.
//
// The fp32 multiply-add peak is measured before every repetition, because shared machines drift by 10 % within seconds; a row is the
// median of the ratios. Rows are appended to bench/results.csv with date, commit and processor.
import { execFileSync } from "node:child_process";
import { appendFileSync, existsSync, writeFileSync } from "node:fs";
import { cpus } from "node:os";
import { join } from "node:path";
import {
  backward,
  type Device,
  fill,
  openDevice,
  probeFmaPeak,
  type Scope,
  Tape,
  type Tensor,
} from "@posttrain/kernels";
import { type Dims, type OpCase, Random } from "../test/cases/case.js";
import { cases } from "../test/cases/index.js";

const repetitions = 9;
const results = join(process.cwd(), "packages/kernels/bench/results.csv");
const header =
  "date,commit,cpu,path,threads,op,direction,shape,milliseconds,gflops,gbytes_per_second,share_of_fp32_peak,peak_gflops\n";

interface Timing {
  readonly milliseconds: number;
  readonly peak: number;
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] as number;
}

async function time(device: Device, once: (scope: Scope) => void | Promise<void>): Promise<Timing[]> {
  const timings: Timing[] = [];
  for (let i = 0; i < repetitions + 2; i++) {
    const peak = await probeFmaPeak(device, 0.03);
    const elapsed = await device.run(async (scope) => {
      const start = performance.now();
      await once(scope);
      await device.drain();
      return performance.now() - start;
    });
    if (i >= 2) timings.push({ milliseconds: elapsed, peak });
  }
  return timings;
}

async function benchCase(device: Device, opCase: OpCase, dims: Dims): Promise<void> {
  await device.run(async (scope) => {
    const inputs: Record<string, Tensor> = {};
    for (const [name, { data, shape, dtype }] of Object.entries(opCase.inputs(dims, new Random(1)))) {
      inputs[name] = scope.from(data, shape, dtype);
    }
    const forward = await time(device, (inner) => {
      opCase.run(inner, inputs, dims);
    });
    report(device, opCase, dims, "forward", forward, 1);
    const spec = opCase.gradients;
    if (spec === undefined) return;
    for (const name of spec.parameters) {
      const parameter = inputs[name] as Tensor;
      parameter.gradient = scope.empty(parameter.shape);
      fill(parameter.gradient, 0);
    }
    const timings: Timing[] = [];
    for (let i = 0; i < repetitions + 2; i++) {
      const tape = new Tape();
      await device.run(async (outer) => {
        const made = opCase.run(outer, inputs, dims);
        const seeds = spec.outputs.map((name) => {
          const tensor = made[name] as Tensor;
          return { tensor, gradient: outer.from(new Float32Array(tensor.size).fill(1), tensor.shape) };
        });
        const peak = await probeFmaPeak(device, 0.03);
        const start = performance.now();
        backward(outer, tape, seeds);
        await device.drain();
        if (i >= 2) timings.push({ milliseconds: performance.now() - start, peak });
      }, tape);
    }
    // Two products where the forward pass has one; elementwise ops likewise read and write about twice as much.
    report(device, opCase, dims, "backward", timings, 2);
  });
}

const commit = execFileSync("git", ["rev-parse", "--short", "HEAD"], { encoding: "utf8" }).trim();
const cpu = (cpus()[0]?.model ?? "unknown").replaceAll(",", " ").trim();

function report(
  device: Device,
  opCase: OpCase,
  dims: Dims,
  direction: string,
  timings: readonly Timing[],
  factor: number,
): void {
  const { flops, bytes } = opCase.cost(dims);
  const milliseconds = median(timings.map((t) => t.milliseconds));
  const gflops = median(timings.map((t) => (factor * flops) / t.milliseconds / 1e6));
  const gbytes = median(timings.map((t) => (factor * bytes) / t.milliseconds / 1e6));
  const share = median(timings.map((t) => (factor * flops * 1000) / t.milliseconds / t.peak));
  const peak = median(timings.map((t) => t.peak / 1e9));
  const shape = Object.entries(dims)
    .map(([k, v]) => `${k}${v}`)
    .join(" ");
  process.stdout.write(
    `${opCase.stem.padEnd(16)} ${direction.padEnd(8)} ${shape.padEnd(28)} ${milliseconds.toFixed(3).padStart(10)} ms ${gflops.toFixed(1).padStart(8)} GFLOP/s ${gbytes.toFixed(1).padStart(7)} GB/s ${share.toFixed(3).padStart(7)} of peak\n`,
  );
  if (!existsSync(results)) writeFileSync(results, header);
  const row = [
    new Date().toISOString().slice(0, 10),
    commit,
    cpu,
    device.path,
    device.threads,
    opCase.stem,
    direction,
    shape,
    milliseconds.toFixed(4),
    gflops.toFixed(2),
    gbytes.toFixed(2),
    share.toFixed(4),
    peak.toFixed(1),
  ];
  appendFileSync(results, `${row.join(",")}\n`);
}

const wanted = process.argv.slice(2);
const unknown = wanted.filter((stem) => !cases.some((c) => c.stem === stem));
if (unknown.length > 0) {
  process.stderr.write(
    `No case file for ${unknown.join(", ")}; there are: ${cases.map((c) => c.stem).join(", ")}\n`,
  );
  process.exit(1);
}
const device = openDevice();
const peak = await probeFmaPeak(device, 0.5);
process.stdout.write(
  `${cpu}, ${device.path}, ${device.threads} threads; fp32 multiply-add peak ${(peak / 1e9).toFixed(0)} GFLOP/s\n`,
);
for (const opCase of cases) {
  if (wanted.length > 0 && !wanted.includes(opCase.stem)) continue;
  for (const dims of opCase.benchmarks) await benchCase(device, opCase, dims);
}
await device.close();
