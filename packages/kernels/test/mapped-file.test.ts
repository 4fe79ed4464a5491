// Tensors over a file's bytes: values, offsets, views, conversion, and who keeps the mapping alive.
import { mkdtempSync, rmSync, unlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, it } from "vitest";
import { add, convert, MappedFile, openDevice, sumSquares } from "../src/index.js";
import { childTestLimit, runChild } from "./child/run.js";

const folder = mkdtempSync(join(tmpdir(), "posttrain-mapped-"));
const device = openDevice({ threads: 2 });
afterAll(async () => {
  rmSync(folder, { recursive: true });
  await device.close();
});

function file(name: string, data: ArrayBufferView): string {
  const path = join(folder, name);
  writeFileSync(path, new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
  return path;
}

it("reads every dtype at its offset, without counting as memory of the device", async () => {
  const path = file("f32", Float32Array.of(1, 2, 3, 4, 5));
  const bits = file("bf16", Uint16Array.of(0, 0x3f80, 0xc040, 0x7f80));
  await device.run(async (scope) => {
    const mapped = new MappedFile(path);
    expect([...(await mapped.tensor(scope, 8, "f32", [3]).read())]).toEqual([3, 4, 5]);
    const x = mapped.tensor(scope, 4, "f32", [2, 2]);
    expect(device.status().bytesInUse).toBe(0);
    expect([...(await add(scope, x, x).read())]).toEqual([4, 6, 8, 10]);
    expect([...(await scope.view(x, 1, [2]).read())]).toEqual([3, 4]);
    const y = scope.empty([3]);
    convert(y, new MappedFile(bits).tensor(scope, 2, "bf16", [3]));
    expect([...(await y.read())]).toEqual([1, -3, Number.POSITIVE_INFINITY]);
  });
});

it("keeps the bytes until the last op on them is done, though file and scope are gone", async () => {
  const path = file("large", new Float32Array(1 << 20).fill(2));
  await device.run(async (scope) => {
    const total = scope.child((inner) => {
      const mapped = new MappedFile(path).tensor(inner, 0, "f32", [1 << 20]);
      return sumSquares(scope, mapped);
    });
    unlinkSync(path);
    expect([...(await total.read())]).toEqual([4 * 2 ** 20]);
  });
});

it("reads the same again after it has forgotten, also under queued ops", async () => {
  const mapped = new MappedFile(file("forgotten", new Float32Array(1 << 20).fill(3)));
  await device.run(async (scope) => {
    const x = mapped.tensor(scope, 0, "f32", [1 << 20]);
    const totals = Array.from({ length: 4 }, () => {
      mapped.forget();
      return sumSquares(scope, x);
    });
    mapped.forget();
    for (const total of totals) expect([...(await total.read())]).toEqual([9 * 2 ** 20]);
  });
});

it("maps an empty file and empty tensors", async () => {
  const path = file("empty", new Uint8Array(0));
  await device.run(async (scope) => {
    const mapped = new MappedFile(path);
    expect([...(await mapped.tensor(scope, 0, "f64", [0, 3]).read())]).toEqual([]);
    expect(() => mapped.tensor(scope, 0, "f32", [1])).toThrow("ends beyond the file's 0 bytes");
    expect([...(await sumSquares(scope, mapped.tensor(scope, 0, "f32", [0])).read())]).toEqual([0]);
  });
});

it("does not wait for a pipe", { timeout: childTestLimit }, async () => {
  const { end, output } = await runChild("pipe.ts", [join(folder, "pipe")]);
  expect(end, output).toBe(0);
  expect(output).toContain("not a regular file");
});
