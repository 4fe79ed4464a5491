// The seam to a second device: a backend in a library of its own, whose memory nobody else can reach and whose ops fail late
// (native/test/host_copy.cpp), behind the same tape, scopes and ops. Its arithmetic is the cpu's, so its bits must be. The tiny run's are in
// packages/cli/test/tiny-run.test.ts.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import {
  add,
  addonFile,
  convert,
  type Device,
  embedding,
  fill,
  MappedFile,
  openDevice,
} from "../src/index.js";
import { Random } from "./cases/case.js";
import { cases } from "./cases/index.js";
import { firstDifference, runCase } from "./cases/run.js";

const hostCopy = join(addonFile().path, "../test/host-copy.so");
const devices: Device[] = [];
const open = (options: Parameters<typeof openDevice>[0] = {}): Device => {
  const device = openDevice({ threads: 2, ...options });
  devices.push(device);
  return device;
};
const cpu = open();
const other = open({ backend: hostCopy, guards: true });
afterAll(async () => {
  for (const device of devices) await device.close();
});

it("says what it is", () => {
  expect([other.backend, other.path]).toEqual(["host-copy", cpu.path]);
  expect(open(other.options).backend).toBe("host-copy");
});

for (const opCase of cases)
  it.each(opCase.shapes.map((dims) => [JSON.stringify(dims), dims] as const))(
    `${[opCase.stem, opCase.variant].filter(Boolean).join(" ")} has the cpu's bits at %s`,
    async (_, dims) => {
      const inputs = opCase.inputs(dims, new Random(1000));
      const seed = opCase.gradients === undefined ? undefined : 7;
      const [expected, found] = [
        await runCase(cpu, opCase, dims, inputs, seed),
        await runCase(other, opCase, dims, inputs, seed),
      ];
      for (const part of ["outputs", "gradients"] as const) {
        expect(Object.keys(found[part])).toEqual(Object.keys(expected[part]));
        for (const [name, data] of Object.entries(expected[part]))
          expect(firstDifference(data, found[part][name] as typeof data), name).toBe(-1);
      }
      expect(await other.checkGuards()).toBe(0);
    },
  );

describe("its memory", () => {
  it("is shared by views, counted, handed out again and given back", async () => {
    const device = open({ backend: hostCopy });
    await device.run(async (scope) => {
      const x = scope.from(Float32Array.of(1, 2, 3, 4), [2, 2]);
      fill(scope.view(x, 2, [2]), 7);
      expect([...(await x.read())]).toEqual([1, 2, 7, 7]);
      expect(device.status().bytesInUse).toBeGreaterThan(0);
      const before = device.status().reservedBytes;
      for (let i = 0; i < 100; i++) scope.child((inner) => void add(inner, x, x));
      expect(device.status().reservedBytes).toBeLessThanOrEqual(2 * before);
    });
    expect(device.status().bytesInUse).toBe(0);
  });

  it("is refused beyond its limit, as on the cpu", async () => {
    const device = open({ backend: hostCopy, memoryLimit: 1 << 20 });
    await device.run((scope) => {
      expect(() => scope.empty([1 << 20])).toThrow(/out of memory: f32 \[1048576\] needs 4194304 bytes/);
      scope.empty([1 << 16]);
    });
  });

  it("gets a copy of a file's tensors, which stay read-only", async () => {
    const folder = mkdtempSync(join(tmpdir(), "posttrain-host-copy-"));
    writeFileSync(join(folder, "x"), new Uint8Array(Float32Array.of(1, 2, 3).buffer));
    await other.run(async (scope) => {
      const x = new MappedFile(join(folder, "x")).tensor(scope, 4, "f32", [2]);
      const y = scope.empty([2]);
      convert(y, x);
      expect([...(await y.read())]).toEqual([2, 3]);
      expect(() => x.write(Float32Array.of(0, 0))).toThrow(/read-only memory of a file/);
    });
    rmSync(folder, { recursive: true });
  });
});

describe("its failures", () => {
  it("come late, with the op that they are of, stick, and are forgotten by recover()", async () => {
    const device = open({ backend: hostCopy });
    await device.run(async (scope) => {
      const table = scope.from(new Float32Array(6), [3, 2]);
      const bad = embedding(scope, table, scope.from(Int32Array.of(1, 3)));
      const after = add(scope, table, table);
      const says =
        /^embedding\(y f32 \[2, 2\], table f32 \[3, 2\], ids i32 \[2\]\): ids\[1\] is 3, but the table has 3 rows/;
      await expect(after.read()).rejects.toThrow(says);
      await expect(bad.read()).rejects.toThrow(says);
      await expect(device.drain()).rejects.toThrow(says);
      await device.recover();
      expect([...(await add(scope, table, table).read())]).toEqual([0, 0, 0, 0, 0, 0]);
    });
  });

  it("are found also where thousands of ops run before anybody waits", async () => {
    const device = open({ backend: hostCopy });
    await device.run(async (scope) => {
      const table = scope.from(new Float32Array(6), [3, 2]);
      embedding(scope, table, scope.from(Int32Array.of(-1)));
      for (let i = 0; i < 3000; i++) fill(table, i);
      await expect(table.read()).rejects.toThrow(/^embedding\(.*ids\[0\] is -1/);
    });
  });
});

describe("a library that is no backend", () => {
  it("is refused with the reason", () => {
    expect(() => openDevice({ backend: "abacus" })).toThrow(
      /backend "abacus" is not built: .*abacus\.so does not exist; there are: cpu/,
    );
    expect(() => openDevice({ backend: addonFile().path })).toThrow(/exports no pt_backend_table/);
  });
});

it("times its ops", async () => {
  const before = other.opTimes().find(({ op }) => op === "add_forward");
  await other.run(async (scope) => {
    const x = scope.from(Float32Array.of(1));
    await add(scope, x, x).read();
  });
  const after = other.opTimes().find(({ op }) => op === "add_forward");
  expect((after?.calls ?? 0) - (before?.calls ?? 0)).toBe(1);
});
