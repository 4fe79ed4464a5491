// The host's side of the backend "cuda" (native/cuda/device.cpp: memory, streams, copies, errors) as it is, on a driver for tests
// (native/test/fake_cuda.cpp) that does everything late, looks at how it is used and can be told to fail. Kernels are the emulated ones, so there are
// bits to compare. No GPU has a part in this.
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import {
  add,
  addonFile,
  type Device,
  embedding,
  fill,
  KernelError,
  linear,
  openDevice,
  sumSquares,
  type Tensor,
} from "../src/index.js";
import { Random } from "./cases/case.js";
import { cases } from "./cases/index.js";
import { firstDifference, runCase } from "./cases/run.js";

const library = join(addonFile().path, "../test/cuda-on-fake.so");
const driver = join(addonFile().path, "../test/fake-libcuda.so");

// The sanitizers' builds are without it.
describe.runIf(existsSync(library))("cuda on a driver for tests", () => {
  let folder = "";
  let devices: Device[] = [];
  /** `machine`: what POSTTRAIN_FAKE_CUDA says (fake_cuda.cpp). */
  const open = (machine = "", options: Parameters<typeof openDevice>[0] = {}): Device => {
    process.env["POSTTRAIN_FAKE_CUDA"] = machine;
    const device = openDevice({ backend: library, threads: 1, ...options });
    devices.push(device);
    return device;
  };
  const reason = (machine: string, options: Parameters<typeof openDevice>[0] = {}): string => {
    try {
      open(machine, options);
    } catch (error) {
      expect(error).toBeInstanceOf(KernelError);
      expect((error as KernelError).code).toBe("kernel_device");
      return (error as Error).message;
    }
    throw new Error("it opened");
  };
  const close = async (): Promise<void> => {
    for (const device of devices) await device.close();
    devices = [];
  };
  /** What the driver found wrong, a line each. */
  const complaints = (): string => {
    const log = join(folder, "log");
    return existsSync(log) ? readFileSync(log, "utf8") : "";
  };

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "posttrain-cuda-host-"));
    process.env["POSTTRAIN_LIBCUDA"] = driver;
    process.env["POSTTRAIN_FAKE_CUDA_LOG"] = join(folder, "log");
  });
  afterEach(async () => {
    await close();
    expect(complaints()).toBe("");
    for (const name of ["LIBCUDA", "FAKE_CUDA", "FAKE_CUDA_LOG"]) delete process.env[`POSTTRAIN_${name}`];
    rmSync(folder, { recursive: true });
  });

  describe("opening", () => {
    it("says what it is, and takes a limit from the GPU's memory", () => {
      const device = open("capability=120 devices=2 memory=512");
      expect([device.backend, device.path, device.ownMemory]).toEqual(["cuda", "sm_120", true]);
      expect(device.description).toBe(
        "sm_120, Fake GPU 0, GPU 0 of 2, 0.5 GiB of memory, 0.5 free, driver for CUDA 13.0",
      );
      expect(device.memoryLimit).toBe(Math.floor(0.9 * 512 * 2 ** 20));
    });

    it("takes the GPU that was asked for", () => {
      expect(open("devices=2", { backend: `${library}:1` }).description).toMatch(/Fake GPU 1, GPU 1 of 2/);
    });

    // Each is one sentence for a person, and leaves nothing behind.
    it.each([
      [
        "no driver",
        "",
        /no NVIDIA driver is installed here \(.*none\.so.*\)\. Install the driver/,
        "none.so",
      ],
      ["a library that is no driver", "", /has no cuInit: it is older than/, addonFile().path],
      [
        "an older driver",
        "driver=12040",
        /is for CUDA 12\.4, older than the 13\.0 that this build is for\. Update/,
      ],
      ["no GPU", "init=100", /there is an NVIDIA driver, but no GPU that this process may use$/],
      [
        "none that it may use",
        "devices=0",
        /there is an NVIDIA driver, but no GPU that this process may use$/,
      ],
      [
        "too high a number",
        "devices=2",
        /GPU 2 was asked for, but this process may use 2, counted from 0$/,
        "",
        2,
      ],
      ["sm_75", "capability=75", /Fake GPU 0, has compute capability 7\.5; 8\.0 at least is needed/],
      [
        "a driver updated while it runs",
        "init=803",
        /different versions \(CUDA_ERROR_SYSTEM_DRIVER_MISMATCH \(803: /,
      ],
      ["the toolkit's stub", "init=34", /is the toolkit's stub and no driver/],
      [
        "a GPU that another one has",
        "fail=cuDevicePrimaryCtxRetain:1:46",
        /GPU 0 \(Fake GPU 0\) gives no context/,
      ],
      [
        "no code for it",
        "fail=cuModuleLoadData:1:209",
        /kernels are not for this GPU \(sm_90, .*CUDA_ERROR_NO_BINARY_FOR_GPU/,
      ],
      [
        "no room at all",
        "memory=0",
        /gives not even the little that a device begins with: CUDA_ERROR_OUT_OF_MEMORY/,
      ],
      ["no page-locked memory", "fail=cuMemHostAlloc:1:2", /gives not even the little/],
      ["no stream", "fail=cuStreamCreate:1:999", /gives not even the little .*CUDA_ERROR_UNKNOWN/],
    ] as const)("refuses %s", (_, machine, says, file: string = "", index: number = 0) => {
      if (file !== "") process.env["POSTTRAIN_LIBCUDA"] = file === "none.so" ? join(folder, file) : file;
      expect(reason(machine, { backend: `${library}:${index}` })).toMatch(says);
    });

    it("names what hides GPUs", () => {
      process.env["CUDA_VISIBLE_DEVICES"] = "7";
      try {
        expect(reason("init=100")).toMatch(/may use: CUDA_VISIBLE_DEVICES is "7"$/);
      } finally {
        delete process.env["CUDA_VISIBLE_DEVICES"];
      }
    });

    it("is not needed by a dry device, which counts on the host", async () => {
      process.env["POSTTRAIN_LIBCUDA"] = join(folder, "none.so");
      const device = open("", { dry: true });
      await device.run(async (scope) => {
        const x = scope.empty([1000, 1000]);
        linear(scope, x, scope.empty([10, 1000]));
        await device.drain();
        expect(device.status().bytesInUse).toBe(4 * (1000 * 1000 + 2 * 10 * 1000));
      });
    });
  });

  describe("computing", () => {
    // One case of each shape of use; cuda-emulated.test.ts has them all.
    const chosen = cases.filter(
      ({ stem, variant }) => ["add", "linear", "rms_norm", "adamw"].includes(stem) && variant === undefined,
    );
    it.each(chosen.map((opCase) => [opCase.stem, opCase] as const))(
      "%s has the cpu's bits",
      async (_, opCase) => {
        const cpu = openDevice({ backend: "cpu", threads: 1 });
        devices.push(cpu);
        const device = open("", { guards: true });
        for (const dims of opCase.shapes.filter((dims) => opCase.cost(dims).flops < 1e6)) {
          const inputs = opCase.inputs(dims, new Random(1000));
          const seed = opCase.gradients === undefined ? undefined : 7;
          const expected = await runCase(cpu, opCase, dims, inputs, seed);
          const found = await runCase(device, opCase, dims, inputs, seed);
          for (const part of ["outputs", "gradients"] as const)
            for (const [name, data] of Object.entries(expected[part]))
              expect(firstDifference(data, found[part][name] as typeof data), name).toBe(-1);
          expect(await device.checkGuards()).toBe(0);
        }
      },
    );

    it("copies more than its page-locked memory holds, both ways", async () => {
      const device = open();
      const data = Float32Array.from({ length: (9 << 20) + 3 }, (_, i) => i % 65536);
      await device.run(async (scope) => {
        const x = scope.from(data);
        const y = add(scope, x, x);
        x.write(data.map((value) => -value)); // behind the op that reads what was there
        expect(
          firstDifference(
            data.map((value) => 2 * value),
            await y.read(),
          ),
        ).toBe(-1);
        expect(
          firstDifference(
            data.map((value) => -value),
            await x.read(),
          ),
        ).toBe(-1);
      });
    });

    it("writes many small tensors before anybody waits", async () => {
      const device = open();
      await device.run(async (scope) => {
        const written = Array.from({ length: 300 }, (_, i) => scope.from(Float32Array.of(i, -i)));
        for (const [i, x] of written.entries()) expect([...(await x.read())]).toEqual([i, -i]);
      });
    });

    it("times its ops on the device", async () => {
      const device = open();
      await device.run(async (scope) => {
        const x = scope.from(Float32Array.of(1));
        for (let i = 0; i < 3; i++) add(scope, x, x);
        await device.drain();
      });
      const { calls, milliseconds } = device.opTimes().find(({ op }) => op === "add_forward") as ReturnType<
        Device["opTimes"]
      >[number];
      expect(calls).toBe(3);
      expect(milliseconds).toBeGreaterThan(0);
    });
  });

  describe("memory", () => {
    it("is one range, used again, and given back when it lies in pieces", async () => {
      const device = open("memory=64", { memoryLimit: 40 << 20 });
      await device.run((scope) => {
        for (let i = 0; i < 20; i++)
          scope.child((inner) => {
            fill(inner.empty([(1 << 20) + i]), 1);
            return [];
          });
        expect(device.status().reservedBytes).toBeLessThanOrEqual(6 << 20);
        const pieces: Tensor[] = [];
        scope.child((inner) => {
          for (let i = 0; i < 9; i++) pieces.push((i % 2 === 0 ? inner : scope).empty([1 << 20]));
          for (const piece of pieces) fill(piece, 2);
          return [];
        });
        fill(scope.empty([5 << 20]), 3); // the pieces between live ones go back first
        expect(() => scope.empty([2 << 20])).toThrow(
          /out of memory: f32 \[2097152\] needs 8388608 bytes, but /,
        );
      });
      await device.drain();
    });

    it("refuses what the GPU does not have, by its limit or by others' use, and goes on", async () => {
      const device = open("memory=64", { memoryLimit: 1 << 30 });
      await device.run(async (scope) => {
        const x = scope.from(Float32Array.of(1, 2));
        expect(() => scope.empty([64 << 20])).toThrow(
          /^empty: out of memory: f32 \[67108864\] needs 268435456 bytes, and the system gives no more than the \d+ that it gave/,
        );
        expect([...(await add(scope, x, x).read())]).toEqual([2, 4]);
      });
    });

    it("that ops work in can be refused too: the error has the code of memory", async () => {
      const device = open("from=cuMemAllocAsync:2:2");
      await device.run(async (scope) => {
        const x = scope.from(Float32Array.of(3, 4));
        await expect(sumSquares(scope, x).read()).rejects.toMatchObject({
          code: "kernel_memory",
          message: expect.stringMatching(/^sumSquares\(.*no memory for \d+ bytes of scratch/),
        });
        await device.recover();
        expect([...(await add(scope, x, x).read())]).toEqual([6, 8]);
      });
    });
  });

  describe("failures", () => {
    /** Runs three ops and reads; the error. */
    const failure = async (machine: string): Promise<KernelError> => {
      const device = open(machine);
      return device.run(async (scope) => {
        const x = scope.from(Float32Array.of(1, 2, 3, 4));
        const y = add(scope, add(scope, x, x), x);
        fill(x, 5);
        const first = await y.read().then(
          () => expect.fail("it did not fail"),
          (error: KernelError) => error,
        );
        expect(first).toBeInstanceOf(KernelError);
        // It stays: nothing is computed or said to be well behind it.
        await expect(device.drain()).rejects.toThrow(first.message);
        return first;
      });
    };

    it.each([
      [
        "a launch that is refused",
        "fail=cuLaunchKernel:2:1",
        "kernel_stream",
        /^add\(y f32 \[4\].*: the GPU failed \(a launch\): CUDA_ERROR_INVALID_VALUE \(1: /,
      ],
      [
        "a kernel that fails later",
        "late=2:700",
        "kernel_stream",
        /^read: the GPU failed \(.+\): CUDA_ERROR_ILLEGAL_ADDRESS \(700.*CUDA_LAUNCH_BLOCKING=1/,
      ],
      [
        "memory that runs out at a launch",
        "fail=cuLaunchKernel:1:2",
        "kernel_memory",
        /^add\(.*the GPU's memory is exhausted \(a launch\): CUDA_ERROR_OUT_OF_MEMORY/,
      ],
      [
        "a GPU that falls off the bus",
        "late=1:999",
        "kernel_device",
        /^read: the GPU was lost \(.+\): CUDA_ERROR_UNKNOWN \(999.*dmesg/,
      ],
      ["memory errors of the chip", "fail=cuStreamSynchronize:1:214", "kernel_device", /.*/],
      [
        "a copy in",
        "fail=cuMemcpyHtoDAsync_v2:1:999",
        "kernel_device",
        /^write: the GPU was lost \(a copy to it\)/,
      ],
      [
        "a copy out",
        "fail=cuMemcpyDtoHAsync_v2:2:999",
        "kernel_device",
        /^read: the GPU was lost \(a copy from it\)/,
      ],
      [
        "a wait",
        "fail=cuEventSynchronize:1:999",
        "kernel_device",
        /^read: the GPU was lost \(a copy from it\)/,
      ],
      ["a clock", "fail=cuEventRecord:2:999", "kernel_device", /^add\(.*the GPU was lost \(its clock\)/],
      [
        "a kernel that is not there",
        "fail=cuModuleGetFunction:1:500",
        "kernel_stream",
        /^add\(.*the GPU failed/,
      ],
    ] as const)("%s", async (_, machine, code, says) => {
      if (machine.includes("cuStreamSynchronize")) {
        const device = open(machine);
        await device.run((scope) => void fill(scope.empty([4]), 1));
        await expect(device.drain()).rejects.toMatchObject({
          code,
          message: expect.stringMatching(
            /^drain: the GPU was lost \(a wait\): CUDA_ERROR_ECC_UNCORRECTABLE \(214/,
          ),
        });
        return;
      }
      const error = await failure(machine);
      expect(error.message).toMatch(says);
      expect(error.code).toBe(code);
    });

    it("of one device are gone with it: the next one computes", async () => {
      await failure("late=1:700");
      await close();
      const device = open();
      await device.run(async (scope) => {
        const x = scope.from(Float32Array.of(1, 2));
        expect([...(await add(scope, x, x).read())]).toEqual([2, 4]);
      });
    });

    it("in data come late, with the op that they are of, and are forgotten by recover()", async () => {
      const device = open();
      await device.run(async (scope) => {
        const table = scope.from(new Float32Array(6), [3, 2]);
        embedding(scope, table, scope.from(Int32Array.of(1, 3)));
        const after = add(scope, table, table);
        const says =
          /^embedding\(y f32 \[2, 2\], table f32 \[3, 2\], ids i32 \[2\]\): ids\[1\] is 3, but the table has 3 rows/;
        await expect(after.read()).rejects.toThrow(says);
        await device.recover();
        expect([...(await add(scope, table, table).read())]).toEqual([0, 0, 0, 0, 0, 0]);
      });
    });
  });

  it("auto takes the cpu where the GPU cannot be used, and knows why", () => {
    const device = openDevice({ backend: "auto", threads: 1 });
    devices.push(device);
    if (device.backend === "cpu") expect(device.passedOver).toMatch(/cuda/);
    else expect(device.passedOver).toBeUndefined();
  });
});

it("a file that is no library of kernels is refused", () => {
  const folder = mkdtempSync(join(tmpdir(), "posttrain-cuda-host-"));
  const file = join(folder, "text.so");
  writeFileSync(file, "no library");
  expect(() => openDevice({ backend: file })).toThrow(/text\.so/);
  rmSync(folder, { recursive: true });
});
