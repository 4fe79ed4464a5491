// The file format by hand, byte by byte; what the reader refuses; what the writer guarantees.
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { UserError } from "@posttrain/data";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  parseSafetensorsHeader,
  readSafetensorsHeader,
  type TensorSource,
  writeSafetensors,
} from "../src/safetensors.js";

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "posttrain-safetensors-"));
});
afterAll(() => rm(dir, { recursive: true }));

/** A file from any header text and a number of data bytes. */
function file(header: string | Uint8Array, dataBytes: number, claimed?: bigint): Uint8Array {
  const text = Buffer.from(header);
  const bytes = Buffer.alloc(8 + text.length + dataBytes);
  bytes.writeBigUInt64LE(claimed ?? BigInt(text.length));
  bytes.set(text, 8);
  return bytes;
}

const parse = (bytes: Uint8Array) => parseSafetensorsHeader(bytes, bytes.length, "m/model.safetensors");

const tensor = (shape: readonly number[], begin: number, end: number, dtype = "F32") =>
  `{"dtype":"${dtype}","shape":${JSON.stringify(shape)},"data_offsets":[${begin},${end}]}`;

describe("the format by hand", () => {
  // As the format's README defines it: u64 length 144 = 0x90, JSON (141 bytes), three spaces, then the data. The
  // wider dtype comes first, then the names in order.
  const json =
    '{"__metadata__":{"format":"pt"},"b":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},' +
    '"a":{"dtype":"BF16","shape":[1,2],"data_offsets":[4,8]}}';
  const expected = Buffer.concat([
    Buffer.from([0x90, 0, 0, 0, 0, 0, 0, 0]),
    Buffer.from(`${json}   `),
    Buffer.from([0x00, 0x00, 0x80, 0x3f]), // 1.0 in F32
    Buffer.from([0x80, 0x3f, 0x00, 0xc0]), // 1.0 and -2.0 in BF16
  ]);

  test("written", async () => {
    const path = join(dir, "hand.safetensors");
    await writeSafetensors(path, [
      { name: "a", dtype: "BF16", shape: [1, 2], bytes: Uint8Array.of(0x80, 0x3f, 0x00, 0xc0) },
      { name: "b", dtype: "F32", shape: [1], bytes: new Uint8Array(Float32Array.of(1).buffer) },
    ]);
    expect((await readFile(path)).toString("latin1")).toBe(expected.toString("latin1"));
  });

  test("read", () => {
    expect([...parse(expected)]).toEqual([
      ["b", { dtype: "F32", shape: [1], begin: 152, end: 156 }],
      ["a", { dtype: "BF16", shape: [1, 2], begin: 156, end: 160 }],
    ]);
  });
});

describe("read", () => {
  test("scalars, empty tensors, every order of names, metadata, trailing spaces, no tensors", () => {
    const header =
      `{"z":${tensor([], 0, 4)},"empty":${tensor([3, 0], 4, 4)},"__metadata__":{"format":"pt","x":"y"},` +
      `"first":${tensor([0], 0, 0, "I64")},"y":${tensor([2], 4, 20, "F64")}}   `;
    expect([...parse(file(header, 20)).keys()]).toEqual(["first", "z", "empty", "y"]);
    expect(parse(file("{}", 0)).size).toBe(0);
  });

  test("names are only names", () => {
    const entries = parse(file(`{"__proto__":${tensor([1], 0, 4)},"1":${tensor([1], 4, 8)}}`, 8));
    expect([...entries.keys()]).toEqual(["__proto__", "1"]);
  });

  test("only the header is read from disk", async () => {
    const path = join(dir, "read.safetensors");
    const bytes = file(`{"a":${tensor([2], 0, 8)}}`, 8);
    await writeFile(path, bytes);
    expect(await readSafetensorsHeader(path)).toEqual(parse(bytes));
    const headerOnly = bytes.subarray(0, bytes.length - 8);
    expect(parseSafetensorsHeader(headerOnly, bytes.length, "f")).toEqual(parse(bytes));
  });
});

describe("refused", () => {
  const one = `{"a":${tensor([2], 0, 8)}}`;
  test.each<[string, Uint8Array, string]>([
    ["no bytes", new Uint8Array(0), "the file has 0 bytes"],
    ["seven bytes", new Uint8Array(7), "the file has 7 bytes"],
    ["a header cut short", file(one, 8).subarray(0, 20), "the file has 20 bytes; it was cut short"],
    [
      "data cut short",
      file(one, 7),
      'tensor "a" ends at byte 70, but the file has 69 bytes; it was cut short',
    ],
    ["a header above the limit", file(one, 8, 100_000_001n), "above the format's limit of 100000000"],
    ["a header of 2^63", file(one, 8, 1n << 63n), "claims a header of 9223372036854775808 bytes"],
    ["a header beyond the file", file(one, 8, 1000n), "its header ends at byte 1008"],
    ["no UTF-8", file(Uint8Array.of(0x7b, 0xff, 0x7d), 0), "its header is not UTF-8"],
    ["no JSON", file('{"a":', 0), "its header is not JSON"],
    ["a list", file("[]", 0), "not a JSON object"],
    ["space first", file(" {}", 0), "not a JSON object"],
    ["an empty header", file("", 0), "not JSON"],
    ["a name twice", file(`{"a":${tensor([1], 0, 4)},"\\u0061":${tensor([1], 4, 8)}}`, 8), 'names "a" twice'],
    ["a field twice", file(one.replace('"shape"', '"dtype":"F16","shape"'), 8), 'names "dtype" twice'],
    ["metadata of numbers", file('{"__metadata__":{"a":1}}', 0), "__metadata__"],
    ["no object", file('{"a":3}', 0), 'tensor "a" is not described by a JSON object'],
    ["unknown dtype", file(one.replace("F32", "F31"), 8), 'tensor "a" has the unknown dtype "F31"'],
    ["inherited dtype", file(one.replace("F32", "toString"), 8), "unknown dtype"],
    ["no dtype", file('{"a":{"shape":[],"data_offsets":[0,4]}}', 4), "has a dtype that is not a string"],
    [
      "negative shape",
      file(one.replace("[2]", "[-2]"), 8),
      'tensor "a" has a shape that is not a list of sizes',
    ],
    ["fractional shape", file(one.replace("[2]", "[2.5]"), 8), "not a list of sizes"],
    ["shape beyond 2^53", file(one.replace("[2]", "[9007199254740993]"), 8), "not a list of sizes"],
    ["overflow", file(one.replace("[2]", "[4294967296,4294967296]"), 8), "larger than any file"],
    ["overflow, then zero", file(one.replace("[2]", "[4294967296,4294967296,0]"), 8), "larger than any file"],
    ["negative offset", file(one.replace("[0,8]", "[-8,0]"), 8), "not two byte positions"],
    ["three offsets", file(one.replace("[0,8]", "[0,4,8]"), 8), "not two byte positions"],
    ["backwards", file(one.replace("[0,8]", "[8,0]"), 8), "run backwards, from 8 to 0"],
    [
      "another size",
      file(one.replace("[2]", "[3]"), 8),
      'tensor "a" takes 8 bytes by its data_offsets, but 12',
    ],
    ["out of range", file(`{"a":${tensor([2 ** 40], 0, 2 ** 42)}}`, 8), "was cut short, or its header lies"],
    ["a hole first", file(`{"a":${tensor([1], 4, 8)}}`, 8), 'tensor "a" leaves a hole after the header'],
    [
      "a hole",
      file(`{"a":${tensor([1], 0, 4)},"b":${tensor([1], 8, 12)}}`, 12),
      'tensor "b" leaves a hole after tensor "a"',
    ],
    [
      "overlap",
      file(`{"a":${tensor([2], 0, 8)},"b":${tensor([2], 4, 12)}}`, 12),
      'tensor "b" overlaps tensor "a"',
    ],
    ["the same bytes twice", file(`{"a":${tensor([1], 0, 4)},"b":${tensor([1], 0, 4)}}`, 4), "overlaps"],
    ["bytes at the end", file(one, 9), "1 bytes at its end belong to no tensor"],
    ["bytes and no tensor", file("{}", 3), "3 bytes at its end belong to no tensor"],
  ])("%s", (_, bytes, text) => {
    let error: unknown;
    try {
      parse(bytes);
    } catch (thrown) {
      error = thrown;
    }
    expect(error).toBeInstanceOf(UserError);
    expect(error).toMatchObject({ code: "bad_safetensors", message: expect.stringContaining(text) });
    expect(error).toMatchObject({
      message: expect.stringMatching(/^m\/model\.safetensors is not .* again\.$/),
    });
  });

  test("a name of ten million characters, and nesting of a million levels", () => {
    const name = "\\u0061".repeat(2_000_000);
    expect(() => parse(file(`{"${name}":3}`, 0))).toThrow("is not described by a JSON object");
    const deep = `{"a":${"[".repeat(1_000_000)}${"]".repeat(1_000_000)}}`;
    expect(() => parse(file(deep, 0))).toThrow("is not described by a JSON object");
  });

  test("a missing file and a folder", async () => {
    await expect(readSafetensorsHeader(join(dir, "none"))).rejects.toMatchObject({
      code: "cannot_read",
      message: expect.stringContaining("ENOENT"),
    });
    await expect(readSafetensorsHeader(dir)).rejects.toMatchObject({ code: "cannot_read" });
  });
});

describe("write", () => {
  const chunked = async function* (bytes: Uint8Array) {
    for (let i = 0; i < bytes.length; i += 3) yield bytes.subarray(i, i + 3);
  };
  const payload = Uint8Array.from({ length: 24 }, (_, i) => i);

  test("what was written is read back; the same tensors give the same bytes in any order and any chunks", async () => {
    const sources: TensorSource[] = [
      { name: "w", dtype: "F32", shape: [2, 3], bytes: payload },
      { name: "é", dtype: "I64", shape: [3], bytes: payload },
      { name: "none", dtype: "F16", shape: [0, 7], bytes: new Uint8Array(0) },
      { name: "scalar", dtype: "BF16", shape: [], bytes: payload.subarray(0, 2) },
      { name: "10", dtype: "F32", shape: [1], bytes: payload.subarray(0, 4) },
    ];
    const [one, two] = [join(dir, "one.safetensors"), join(dir, "two.safetensors")];
    await writeSafetensors(one, sources);
    await writeSafetensors(
      two,
      sources.toReversed().map((t) => ({ ...t, bytes: chunked(t.bytes as Uint8Array) })),
    );
    const bytes = await readFile(one);
    expect(bytes.equals(await readFile(two))).toBe(true);

    const entries = await readSafetensorsHeader(one);
    expect([...entries.keys()]).toEqual(["é", "10", "w", "scalar", "none"]);
    for (const source of sources) {
      const entry = entries.get(source.name);
      expect(entry).toMatchObject({ dtype: source.dtype, shape: source.shape });
      expect(new Uint8Array(bytes.subarray(entry?.begin, entry?.end))).toEqual(source.bytes);
    }
    expect([...entries.values()][0]?.begin).toBe(Number(bytes.readBigUInt64LE()) + 8);
    expect(Number(bytes.readBigUInt64LE()) % 8).toBe(0);
  });

  test("a failure leaves the old file and no other", async () => {
    const folder = await mkdtemp(join(dir, "atomic-"));
    const path = join(folder, "model.safetensors");
    await writeSafetensors(path, [{ name: "w", dtype: "U8", shape: [24], bytes: payload }]);
    const before = await readFile(path);
    const fails: TensorSource[][] = [
      [{ name: "w", dtype: "U8", shape: [23], bytes: payload }],
      [{ name: "w", dtype: "F32", shape: [24], bytes: chunked(payload) }],
      [{ name: "w", dtype: "U8", shape: [-24], bytes: payload }],
      [0, 1].map(() => ({ name: "w", dtype: "U8", shape: [24], bytes: payload })),
    ];
    for (const tensors of fails)
      await expect(writeSafetensors(path, tensors)).rejects.toThrow("writeSafetensors: ");
    expect(await readdir(folder)).toEqual(["model.safetensors"]);
    expect((await readFile(path)).equals(before)).toBe(true);
  });

  test("a folder that is not there is the user's mistake", async () => {
    await expect(writeSafetensors(join(dir, "no", "x.safetensors"), [])).rejects.toMatchObject({
      name: "UserError",
      code: "cannot_write",
    });
  });
});
