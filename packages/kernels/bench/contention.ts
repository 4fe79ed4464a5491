// What other programs on the same cores cost: `npm run bench -- contention`. A few kinds of work alone and beside 1 and 2 processes
// that never sleep, which this program starts and ends.
//
// With b busy processes on c cores and c compute threads, a fair system leaves c / (c + b) of the machine: that is the
// time to expect, printed beside the time found. Means, not medians: what a late thread costs lies in the tail.
import { type ChildProcess, spawn } from "node:child_process";
import { availableParallelism } from "node:os";
import { add, type Device, linear, openDevice, type Scope, type Tensor } from "@posttrain/kernels";

const seconds = Number(process.argv[2] ?? 3);

interface Work {
  readonly name: string;
  /** Ops enqueued between two waits. */
  readonly ops: number;
  readonly enqueue: (scope: Scope) => void;
}

function tensor(scope: Scope, shape: readonly number[]): Tensor {
  const size = shape.reduce((a, b) => a * b, 1);
  return scope.from(new Float32Array(size).fill(0.01), shape);
}

function product(scope: Scope, name: string, m: number, n: number, k: number, ops: number): Work {
  const x = tensor(scope, [m, k]);
  const weight = tensor(scope, [n, k]);
  return {
    name,
    ops,
    enqueue: (inner) => {
      for (let i = 0; i < ops; i++) linear(inner, x, weight);
    },
  };
}

function sum(scope: Scope, name: string, rows: number, columns: number, ops: number): Work {
  const a = tensor(scope, [rows, columns]);
  const b = tensor(scope, [rows, columns]);
  return {
    name,
    ops,
    enqueue: (inner) => {
      for (let i = 0; i < ops; i++) add(inner, a, b);
    },
  };
}

/** Milliseconds an op, the mean over `seconds`, and how many cores the process got meanwhile. */
async function time(device: Device, work: Work): Promise<{ found: number; got: number }> {
  const once = () =>
    device.run(async (scope) => {
      work.enqueue(scope);
      await device.drain();
    });
  await once();
  await once();
  const start = performance.now();
  const before = process.cpuUsage();
  let rounds = 0;
  for (; performance.now() - start < seconds * 1000; rounds++) await once();
  const elapsed = performance.now() - start;
  const { user, system } = process.cpuUsage(before);
  return { found: elapsed / rounds / work.ops, got: (user + system) / 1000 / elapsed };
}

/** Microseconds that enqueueing an op takes JavaScript, the executor keeping up or not. */
async function enqueueing(device: Device): Promise<number> {
  const times: number[] = [];
  await device.run(async (scope) => {
    const work = sum(scope, "", 1, 16, 1000);
    for (let i = 0; i < 30; i++) {
      await device.run(async (inner) => {
        const start = performance.now();
        work.enqueue(inner);
        times.push((performance.now() - start) / work.ops);
        await device.drain();
      });
    }
  });
  times.sort((x, y) => x - y);
  return 1000 * (times[Math.floor(times.length / 2)] as number);
}

const device = openDevice();
const cores = availableParallelism();
process.stdout.write(`${device.path}, ${device.threads} threads, ${cores} cores; mean milliseconds an op\n`);
process.stdout.write(
  `enqueueing an op that does next to nothing: ${(await enqueueing(device)).toFixed(2)} microseconds\n`,
);
await device.run(async (scope) => {
  const works = [
    sum(scope, "add, 16 elements", 1, 16, 2000),
    sum(scope, "add, 131,072 elements", 128, 1024, 500),
    product(scope, "linear 64 x 128 x 128", 64, 128, 128, 500),
    product(scope, "linear 512 x 576 x 576", 512, 576, 576, 60),
    product(scope, "linear 2048 x 4864 x 896", 2048, 4864, 896, 4),
  ];
  const alone: number[] = [];
  const busy: ChildProcess[] = [];
  try {
    for (let beside = 0; beside <= 2; beside++) {
      if (beside > 0) busy.push(spawn(process.execPath, ["-e", "for (;;);"], { stdio: "ignore" }));
      await new Promise((resolve) => setTimeout(resolve, 300));
      const fair = (device.threads + beside) / cores;
      for (const [i, work] of works.entries()) {
        const { found, got } = await time(device, work);
        if (beside === 0) alone.push(found);
        const times = found / (alone[i] as number);
        process.stdout.write(
          `${beside} busy  ${work.name.padEnd(28)} ${found.toFixed(4).padStart(9)} ms ${times.toFixed(2).padStart(6)} x   fair ${Math.max(1, fair).toFixed(2)} x   on ${got.toFixed(2)} cores\n`,
        );
      }
    }
  } finally {
    for (const child of busy) child.kill("SIGKILL");
  }
});
await device.close();
