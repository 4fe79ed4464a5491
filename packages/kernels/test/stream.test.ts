// The execution stream: order, bound, waits, several devices and threads at once, and how it ends.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { probeFmaForward } from "../src/binding.generated.js";
import {
  add,
  convert,
  cpuPaths,
  type Device,
  fill,
  KernelError,
  linear,
  openDevice,
  type Scope,
  sumSquares,
  type Tensor,
} from "../src/index.js";
import { childTestLimit, runChild } from "./child/run.js";

const device = openDevice({ threads: 2 });
afterAll(() => device.close());

let roundsPerMillisecond = 0;
beforeAll(async () => {
  await device.run(async (scope) => {
    const time = async (rounds: number): Promise<number> => {
      const start = performance.now();
      probeFmaForward(scope.empty([1]), rounds);
      await device.drain();
      return performance.now() - start;
    };
    let rounds = 1000;
    let took = 0;
    // The best of all: the first ones wake threads and pages, and on a busy machine any may have waited for a core.
    for (; took < 20; rounds *= 2) {
      const times: number[] = [];
      for (let i = 0; i < 5; i++) times.push(await time(rounds));
      took = Math.min(...times);
      roundsPerMillisecond = Math.max(roundsPerMillisecond, rounds / took);
    }
  });
});

/** Keeps the executor busy for about so long. */
function busy(scope: Scope, milliseconds = 200): void {
  probeFmaForward(scope.empty([1]), Math.ceil(roundsPerMillisecond * milliseconds));
}

describe("order", () => {
  it("is that of the calls, over more ops than the queue holds", async () => {
    await device.run(async (scope) => {
      const one = scope.empty([3]);
      fill(one, 1);
      const x = scope.empty([3]);
      fill(x, 0);
      busy(scope);
      let most = 0;
      for (let i = 0; i < 5000; i++) {
        const y = scope.child((inner) => add(inner, x, one));
        convert(x, y);
        scope.release(y);
        if (i % 500 === 0) most = Math.max(most, device.status().queued);
      }
      expect([...(await x.read())]).toEqual([5000, 5000, 5000]);
      expect(most).toBeGreaterThan(500);
      expect(most).toBeLessThanOrEqual(device.status().capacity);
      expect(device.status().queued).toBe(0);
    });
  });

  it("holds for reads and writes among the ops: each sees its own place", async () => {
    await device.run(async (scope) => {
      const x = scope.empty([2]);
      const reads: Promise<unknown>[] = [];
      const data = new Float32Array(2);
      busy(scope);
      for (let i = 0; i < 100; i++) {
        if (i % 2 === 0) fill(x, i);
        else {
          data.fill(i);
          x.write(data); // copied at once: the array is used again
        }
        reads.push(x.read());
      }
      data.fill(-1);
      const values = await Promise.all(reads);
      expect(values.map((value) => [...(value as Float32Array)])).toEqual(
        Array.from({ length: 100 }, (_, i) => [i, i]),
      );
    });
  });

  it("reads zero elements, and every dtype", async () => {
    await device.run(async (scope) => {
      expect(await scope.empty([0, 5]).read()).toEqual(new Float32Array(0));
      for (const data of [Float32Array.of(1.5, -2), Float64Array.of(1e300, 2), Int32Array.of(-7, 9)])
        expect(await scope.from(data).read()).toEqual(data);
      const bits = Uint16Array.of(0x3f80, 0xc000);
      expect(await scope.from(bits, [2], "bf16").read()).toEqual(bits);
    });
  });
});

describe("waiting", () => {
  it("ready() settles when the queue is half empty, without waiting for the rest", async () => {
    await device.run(async (scope) => {
      busy(scope);
      const x = scope.empty([1]);
      for (let i = 0; i < 3500; i++) fill(x, i);
      busy(scope);
      expect(device.status().queued).toBeGreaterThan(device.status().capacity / 2);
      await device.ready();
      expect(device.status().queued).toBeLessThanOrEqual(device.status().capacity / 2);
      await device.drain();
      const start = performance.now();
      await device.ready();
      expect(performance.now() - start, "an empty queue is ready at once").toBeLessThan(50);
    });
  });

  it("does not block the event loop while an op runs", async () => {
    await device.run(async (scope) => {
      // Several tries: on a busy machine the event loop, too, waits for a core. One that the op blocks stands still in all of them.
      const tries: { enqueued: number; took: number; ticks: number }[] = [];
      const free = () =>
        tries.some(({ enqueued, took, ticks }) => enqueued < 50 && took > 100 && ticks > took / 20);
      while (tries.length < 5 && !free()) {
        let ticks = 0;
        const timer = setInterval(() => {
          ticks++;
        }, 2);
        const start = performance.now();
        busy(scope, 400);
        const enqueued = performance.now() - start;
        await device.drain();
        tries.push({ enqueued, took: performance.now() - start, ticks });
        clearInterval(timer);
      }
      expect(free(), JSON.stringify(tries)).toBe(true);
    });
  });

  it("settles when the device closes first, with an error", async () => {
    const other = openDevice({ threads: 1 });
    const scope = other.scope();
    busy(scope, 400);
    const x = scope.empty([2]);
    fill(x, 1);
    const late: Promise<unknown>[] = [];
    const closing = other.close(); // drains first
    busy(scope, 400);
    late.push(x.read(), other.drain());
    await closing;
    for (const promise of late) {
      const error = await promise.catch((reason: unknown) => reason);
      expect(error).toBeInstanceOf(KernelError);
      expect((error as KernelError).message).toBe("the device was closed before its turn came");
    }
    await expect(x.read()).rejects.toThrow("closed");
    scope.end();
  });

  it("does not need anybody to hold the device while a read is on its way", async () => {
    const read = (): Promise<unknown> => {
      const forgotten = openDevice({ threads: 1 });
      const scope = forgotten.scope();
      busy(scope);
      const x = scope.empty([2]);
      fill(x, 3);
      return x.read();
    };
    expect([...((await read()) as Float32Array)]).toEqual([3, 3]);
  });
});

describe("several at once", () => {
  it("devices of every path and number of threads, interleaved, give the same bits", async () => {
    const devices = cpuPaths().flatMap((path) => [1, 3].map((threads) => openDevice({ path, threads })));
    const scopes = devices.map((one) => one.scope());
    const values = Float32Array.from({ length: 70 * 50 }, (_, i) => Math.sin(i));
    const weights = Float32Array.from({ length: 33 * 50 }, (_, i) => Math.cos(i));
    const step = (scope: Scope): readonly Tensor[] => {
      const y = linear(scope, scope.from(values, [70, 50]), scope.from(weights, [33, 50]));
      return [y, sumSquares(scope, y)];
    };
    const results: (readonly Tensor[])[][] = scopes.map(() => []);
    for (let i = 0; i < 20; i++) for (const [d, scope] of scopes.entries()) results[d]?.push(step(scope));
    const read = await Promise.all(
      results.map((list) =>
        Promise.all(list.map((pair) => Promise.all(pair.map((tensor) => tensor.read())))),
      ),
    );
    for (const list of read) for (const pair of list) expect(pair).toEqual(read[0]?.[0]);
    for (const scope of scopes) scope.end();
    await Promise.all(devices.map((one: Device) => one.close()));
  });

  it("an error on one device leaves another alone", async () => {
    const other = openDevice({ threads: 1 });
    const scope = other.scope();
    probeFmaForward(scope.empty([1]), -1);
    await expect(other.drain()).rejects.toThrow("probeFma");
    await device.drain();
    await other.recover();
    await other.drain();
    scope.end();
    await other.close();
  });

  it("worker threads with devices of their own", { timeout: childTestLimit }, async () => {
    const { end, output } = await runChild("workers.ts");
    expect(end, output).toBe(0);
    expect(JSON.parse(output)).toEqual([true, true, true]);
  });

  it("opening and closing many devices leaves no thread behind", async () => {
    for (let i = 0; i < 50; i++) {
      const one = openDevice({ threads: 4 });
      const scope = one.scope();
      fill(scope.empty([10_000]), i);
      await one.close();
      scope.end();
    }
    const many = await Promise.all([1, 2, 3].map(async () => openDevice({ threads: 8 })));
    await Promise.all(many.map((one) => one.close()));
  });
});

describe("the end of the process", () => {
  for (const how of ["return", "exit", "exit with waits", "throw", "worker"]) {
    it(`does not wait for a long queue (${how})`, { timeout: childTestLimit }, async () => {
      const { end, output, endedAt } = await runChild("exit.ts", [how]);
      expect(end, output).toBe(how === "throw" ? 1 : 0);
      const [, wanted, milliseconds] = /^(\d{13}) ([\d.]+) /.exec(output) ?? [];
      // Ten such ops are queued; the one at work may end, Node needs its own time.
      expect(endedAt - Number(wanted)).toBeLessThan(2 * Number(milliseconds) + 1000);
      expect(10 * Number(milliseconds), "the queue is long beside that").toBeGreaterThan(
        2 * Number(milliseconds) + 1000,
      );
    });
  }
});
