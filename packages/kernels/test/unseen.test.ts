// What a query does not see gives it nothing, whatever its value, and what a key is not seen by gives its gradient nothing: NaN and
// infinities in q, k, v or dy of one token stay with those who see it. One rule in fp32 and bf16, on every path, packed and over a cache.
// The reference needs no arithmetic: row i of a sequence is the last row of the sequence cut behind it, where nothing is hidden.
import {
  attentionCached,
  type Device,
  keysPerPage,
  kvCacheWrite,
  openDevice,
  type Tensor,
} from "@posttrain/kernels";
import { attentionBackward, attentionForward } from "@posttrain/kernels/binding";
import { describe, expect, it } from "vitest";
import { Random } from "./cases/case.js";
import { firstDifference, numbers, pathsOf } from "./cases/run.js";
import { bf16Bits, toBf16 } from "./float32.js";

const [H, G, scale] = [4, 2, 0.25];
const M = 150;
type Name = "q" | "k" | "v" | "dy";
type Inputs = Readonly<Record<Name, Float32Array>>;
type Dtype = "f32" | "bf16";
const heads: Readonly<Record<Name, number>> = { q: H, k: G, v: G, dy: H };

function inputs(D: number, seed: number): Inputs {
  const random = new Random(seed);
  const made = (name: Name): Float32Array =>
    (random.normal([M, heads[name], D]).data as Float32Array).map(toBf16);
  return { q: made("q"), k: made("k"), v: made("v"), dy: made("dy") };
}
const rowsOf = (data: Float32Array, name: Name, D: number, from: number, to: number): Float32Array =>
  data.slice(from * heads[name] * D, to * heads[name] * D);
/** One head's element of one token replaced. */
function spoilt(data: Float32Array, name: Name, D: number, token: number, value: number): Float32Array {
  const copy = data.slice();
  copy[token * heads[name] * D + 1] = value;
  return copy;
}

interface Results {
  readonly y: Float32Array;
  readonly dq: Float32Array;
  readonly dk: Float32Array;
  readonly dv: Float32Array;
}

/** A sequence between two others, which share no block of keys with it but, as packed rows, memory and tiles. */
async function packed(device: Device, dtype: Dtype, D: number, input: Inputs): Promise<Results> {
  const rows = input.q.length / (H * D);
  return device.run(async (scope) => {
    const from = (name: Name): Tensor => {
      const data = new Float32Array((rows + 10) * heads[name] * D).fill(0.5);
      data.set(input[name], 5 * heads[name] * D);
      return scope.from(
        dtype === "f32" ? data : Uint16Array.from(data, bf16Bits),
        [rows + 10, heads[name], D],
        dtype,
      );
    };
    const made = (name: Name, of: Dtype): Tensor => scope.empty([rows + 10, heads[name], D], of);
    const [q, k, v, dy] = [from("q"), from("k"), from("v"), from("dy")];
    const starts = scope.from(Int32Array.of(0, 5, 5 + rows, rows + 10));
    const [y, lse] = [made("q", dtype), scope.empty([rows + 10, H])];
    const [dq, dk, dv] = [made("q", "f32"), made("k", "f32"), made("v", "f32")];
    attentionForward(y, lse, q, k, v, starts, scale);
    attentionBackward(dq, dk, dv, dy, y, lse, q, k, v, starts, scale);
    const read = async (tensor: Tensor, name: Name): Promise<Float32Array> => {
      const all = numbers(await tensor.read(), tensor.dtype) as Float32Array;
      const outside = [...rowsOf(all, name, D, 0, 5), ...rowsOf(all, name, D, 5 + rows, rows + 10)];
      expect(outside.every(Number.isFinite), "other sequences").toBe(true);
      return rowsOf(all, name, D, 5, 5 + rows);
    };
    return {
      y: await read(y, "q"),
      dq: await read(dq, "q"),
      dk: await read(dk, "k"),
      dv: await read(dv, "v"),
    };
  });
}

/** y over a cache that is filled `piece` tokens at a time; what was not written is NaN. */
async function cached(
  device: Device,
  dtype: Dtype,
  D: number,
  input: Inputs,
  piece: number,
): Promise<Float32Array> {
  const y = new Float32Array(M * H * D);
  await device.run(async (scope) => {
    const bits = (data: Float32Array) => (dtype === "f32" ? data : Uint16Array.from(data, bf16Bits));
    const garbage = bits(new Float32Array(3 * G * keysPerPage * D).fill(Number.NaN));
    const cache = {
      keys: scope.from(garbage, [3, G, D, keysPerPage], dtype),
      values: scope.from(garbage, [3, G, keysPerPage, D], dtype),
    };
    const pages = scope.from(Int32Array.of(2, 0, 1), [1, 3]);
    const slot = (i: number): number =>
      ([2, 0, 1][Math.floor(i / keysPerPage)] as number) * keysPerPage + (i % keysPerPage);
    for (let done = 0; done < M; done += piece) {
      const end = Math.min(M, done + piece);
      const rows = (name: Name): Tensor =>
        scope.from(bits(rowsOf(input[name], name, D, done, end)), [end - done, heads[name], D], dtype);
      kvCacheWrite(
        cache,
        rows("k"),
        rows("v"),
        scope.from(Int32Array.from({ length: end - done }, (_, i) => slot(done + i))),
      );
      const layout = {
        starts: scope.from(Int32Array.of(0, end - done)),
        lengths: scope.from(Int32Array.of(end)),
        pages,
      };
      const part = await attentionCached(scope, rows("q"), cache, layout, scale).read();
      y.set(numbers(part, dtype) as Float32Array, done * H * D);
    }
  });
  return y;
}

// In the first block, at its end, at the beginning of the second one and within it.
const places = [0, 5, 63, 64, 100];
const values = [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
const names: readonly Name[] = ["q", "k", "v", "dy"];

describe.each((["f32", "bf16"] as const).flatMap((dtype) => [16, 40].map((D) => ({ dtype, D }))))(
  "what is not seen in $dtype with heads of $D",
  ({ dtype, D }) => {
    const paths = pathsOf(dtype === "bf16" ? { variant: "bf16" } : {});
    const clean = inputs(D, 77);
    const withDevices = async (body: (device: Device) => Promise<void>): Promise<void> => {
      for (const path of paths) {
        const device = openDevice({ path, threads: 2, guards: true });
        await body(device);
        expect(await device.checkGuards()).toBe(0);
        await device.close();
      }
    };

    it.each(names.flatMap((name) => values.map((value) => ({ name, value }))))(
      "$value in $name reaches those alone who see it, with the same bits on every path",
      async ({ name, value }) => {
        const first: Results[] = [];
        let untouched: Results | undefined;
        await withDevices(async (device) => {
          untouched ??= await packed(device, dtype, D, clean);
          for (const [n, token] of places.entries()) {
            const input = { ...clean, [name]: spoilt(clean[name], name, D, token, value) };
            const found = await packed(device, dtype, D, input);
            const rows = (of: Results, what: keyof Results, from: number, to: number) =>
              rowsOf(of[what], what === "y" || what === "dq" ? "q" : "k", D, from, to);
            const same = (what: keyof Results, from: number, to: number): void =>
              expect(
                firstDifference(rows(found, what, from, to), rows(untouched as Results, what, from, to)),
                `${what} of rows ${from} to ${to}, ${name} of token ${token}, ${device.path}`,
              ).toBe(-1);
            // Earlier queries do not see the token as a key; later keys are not seen by it as a query.
            same("y", 0, token);
            same("dq", 0, token);
            if (name === "q" || name === "dy") {
              same("y", token + 1, M);
              same("dq", token + 1, M);
              same("dk", token + 1, M);
              same("dv", token + 1, M);
            }
            // What is seen propagates.
            const spoils = { q: ["y", "dq"], k: ["y", "dq"], v: ["y", "dq"], dy: ["dq", "dv"] } as const;
            for (const what of spoils[name]) {
              const reached = rows(found, what, token, token + 1);
              if (Number.isNaN(value))
                expect(reached.some(Number.isNaN), `${what} ${device.path}`).toBe(true);
            }
            first[n] ??= found;
            for (const what of ["y", "dq", "dk", "dv"] as const)
              expect(
                firstDifference(found[what], (first[n] as Results)[what]),
                `${what} on ${device.path}, ${name} of token ${token}`,
              ).toBe(-1);
          }
        });
      },
    );

    it.each(values)(
      "%s in keys and values: packed, over a cache and cut behind each row, the same bits",
      async (value) => {
        await withDevices(async (device) => {
          let input: Inputs = clean;
          for (const token of [20, 100])
            for (const name of ["k", "v"] as const)
              input = {
                ...input,
                [name]: spoilt(input[name], name, D, token + (name === "v" ? 3 : 0), value),
              };
          const { y } = await packed(device, dtype, D, input);
          for (const piece of [1, 33, M])
            expect(
              firstDifference(y, await cached(device, dtype, D, input, piece)),
              `${device.path}, ${piece} at a time`,
            ).toBe(-1);
          for (const last of [19, 20, 22, 23, 24, 63, 64, 99, 102, 103, 149]) {
            const cut = Object.fromEntries(
              names.map((name) => [name, rowsOf(input[name], name, D, 0, last + 1)]),
            ) as unknown as Inputs;
            const alone = await packed(device, dtype, D, cut);
            expect(
              firstDifference(rowsOf(y, "q", D, last, last + 1), rowsOf(alone.y, "q", D, last, last + 1)),
              `row ${last} on ${device.path}`,
            ).toBe(-1);
          }
        });
      },
    );
  },
);
