// How things are timed: the machine's limit is probed before every repetition, because shared machines drift by 10 to 15 % within
// seconds, and a result is the median of the ratios. Twice: by the clock, and by the processor time that the process took, which
// hardly depends on what else runs (threads that wait for each other take some of it, too).
import { type Device, probeAmxPeak, probeFmaPeak, probeMemory } from "@posttrain/kernels";

/** What the machine can do: fp32 multiply-adds, products of bf16 tiles; reading, copying, changing memory in place. */
export type Limit = "fp32 peak" | "AMX peak" | "read" | "copy" | "update";

/** A rate by the clock and by processor time. */
export interface Rate {
  readonly wall: number;
  readonly cpu: number;
}

export interface Span {
  readonly wall: number;
  readonly cpu: number;
}

export interface Measured {
  readonly seconds: number;
  /** Work a second, and the limit's. */
  readonly rate: number;
  readonly roof: number;
  readonly share: number;
  readonly cpuShare: number;
}

/** Enqueues some work. `cost` counts what its limit counts: operations, or bytes that are read and written. */
export interface Work {
  readonly run: () => void;
  readonly cost: number;
  readonly limit: Limit;
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] as number;
}

/** Seconds by the clock and of processor time, of all threads. */
export async function timed(body: () => Promise<void>): Promise<Span> {
  const before = process.cpuUsage();
  const start = performance.now();
  await body();
  const wall = (performance.now() - start) / 1000;
  const { user, system } = process.cpuUsage(before);
  return { wall, cpu: (user + system) / 1e6 };
}

const probeSeconds = 0.03;

/** The limit now. What the probe itself counts by the clock is carried over to processor time by what it took of that. */
export async function probe(device: Device, limit: Limit): Promise<Rate> {
  let wall = 0;
  const span = await timed(async () => {
    if (limit === "fp32 peak") wall = await probeFmaPeak(device, probeSeconds);
    else if (limit === "AMX peak") wall = await probeAmxPeak(device, probeSeconds);
    else wall = (await probeMemory(device))[limit];
  });
  return { wall, cpu: (wall * span.wall) / span.cpu };
}

const leastSeconds = 0.02;
const patience = 4;
const repetitions = { least: 3, most: 9 };

/** Runs `run` often enough for a clock, waits for it; the span of one. */
async function spanOf(device: Device, run: () => void, times: number): Promise<Span> {
  const span = await timed(async () => {
    for (let i = 0; i < times; i++) run();
    await device.drain();
  });
  return { wall: span.wall / times, cpu: span.cpu / times };
}

/** How often to run something within a repetition, and how many repetitions there is patience for. */
async function plan(device: Device, run: () => void): Promise<{ times: number; rounds: number }> {
  await spanOf(device, run, 1);
  const { wall } = await spanOf(device, run, 1);
  const times = Math.max(1, Math.ceil(leastSeconds / wall));
  const rounds = Math.floor(patience / (times * wall + probeSeconds));
  return { times, rounds: Math.min(repetitions.most, Math.max(repetitions.least, rounds)) };
}

export async function measure(device: Device, { run, cost, limit }: Work): Promise<Measured> {
  const { times, rounds } = await plan(device, run);
  const samples: (Span & { readonly roof: Rate })[] = [];
  for (let i = 0; i < rounds; i++) {
    const roof = await probe(device, limit);
    samples.push({ ...(await spanOf(device, run, times)), roof });
  }
  return {
    seconds: median(samples.map(({ wall }) => wall)),
    rate: median(samples.map(({ wall }) => cost / wall)),
    roof: median(samples.map(({ roof }) => roof.wall)),
    share: median(samples.map(({ wall, roof }) => cost / wall / roof.wall)),
    cpuShare: median(samples.map(({ cpu, roof }) => cost / cpu / roof.cpu)),
  };
}

/** `base` against `run`, one after the other in each repetition: how many times as long the first takes. */
export async function compare(
  device: Device,
  base: () => void,
  run: () => void,
): Promise<{ seconds: number; baseSeconds: number; share: number; cpuShare: number }> {
  const plans = [await plan(device, base), await plan(device, run)] as const;
  const rounds = Math.min(...plans.map((one) => one.rounds));
  const samples: { base: Span; own: Span }[] = [];
  for (let i = 0; i < rounds; i++) {
    samples.push({
      base: await spanOf(device, base, plans[0].times),
      own: await spanOf(device, run, plans[1].times),
    });
  }
  return {
    seconds: median(samples.map(({ own }) => own.wall)),
    baseSeconds: median(samples.map((sample) => sample.base.wall)),
    share: median(samples.map((sample) => sample.base.wall / sample.own.wall)),
    cpuShare: median(samples.map((sample) => sample.base.cpu / sample.own.cpu)),
  };
}
