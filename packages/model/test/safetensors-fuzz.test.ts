// Random damage to a sound file: the reader either gives the same kind of answer, sound by the format's own rules,
// or a UserError. Never another exception, and never more memory than the file is large.
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { UserError } from "@posttrain/data";
import { expect, test } from "vitest";
import { parseSafetensorsHeader, readSafetensorsHeader, type SafetensorsEntry } from "../src/safetensors.js";

/** mulberry32: the same damage on every run. */
function generator(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 2 ** 32) * below);
  };
}

function soundFile(): Buffer {
  const header = {
    __metadata__: { format: "pt" },
    "model.embed_tokens.weight": { dtype: "F32", shape: [4, 3], data_offsets: [0, 48] },
    "model.layers.0.self_attn.q_proj.bias": { dtype: "BF16", shape: [5], data_offsets: [48, 58] },
    empty: { dtype: "I64", shape: [2, 0], data_offsets: [58, 58] },
    "model.norm.weight": { dtype: "F16", shape: [], data_offsets: [58, 60] },
  };
  const text = Buffer.from(JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(text.length));
  return Buffer.concat([length, text, Buffer.alloc(60, 7)]);
}

const fragments = [
  ...'{}[]",:-0123456789eE. \\',
  "-1",
  "1e309",
  "9007199254740993",
  "18446744073709551616",
  "null",
  "true",
  "[]",
  "{}",
  '"dtype"',
  '"__proto__":{},',
  '"F64"',
  '"I4"',
  "\u0000",
  "\ud83d\ude00",
  "[".repeat(5000),
].map((text) => Buffer.from(text));

function damage(sound: Buffer, random: (below: number) => number): Buffer {
  const headerEnd = 8 + Number(sound.readBigUInt64LE());
  const inHeader = () => 8 + random(headerEnd - 8);
  const bytes = Buffer.from(sound);
  switch (random(7)) {
    case 0: {
      for (let n = 1 + random(4); n > 0; n--) bytes[random(bytes.length)]! ^= 1 << random(8);
      return bytes;
    }
    case 1:
      bytes[inHeader()]! = random(256);
      return bytes;
    case 2:
      return bytes.subarray(0, random(bytes.length + 1));
    case 3: // another length: near, far, or any 64 bits
      bytes.writeBigUInt64LE(
        [
          BigInt(random(2 * bytes.length)),
          BigInt(random(2 ** 31)),
          BigInt(random(2 ** 32)) << BigInt(random(33)),
        ][random(3)]!,
      );
      return bytes;
    case 4: // bytes too many
      return Buffer.concat([bytes, Buffer.alloc(1 + random(16), 0x20)]);
    case 5: // another number in the place of one
      return editHeader(bytes, headerEnd, (text) => {
        const numbers = [...text.matchAll(/\d+/g)];
        const { 0: old, index } = numbers[random(numbers.length)]!;
        const value = ["0", "-1", "59", "60", "61", "4294967296", "9007199254740992", "1e400", "0.5"][
          random(9)
        ]!;
        return text.slice(0, index) + value + text.slice(index + old.length);
      });
    default: {
      const [at, until] = [inHeader(), inHeader()].sort((a, b) => a - b) as [number, number];
      const cut = random(2) === 0 ? at : Math.min(until, at + random(12));
      const insert = fragments[random(fragments.length)]!;
      const edited = Buffer.concat([bytes.subarray(0, at), insert, bytes.subarray(cut)]);
      // Half of them with the length put right, so that the damage gets as far as the JSON and the offsets.
      if (random(2) === 0) edited.writeBigUInt64LE(BigInt(headerEnd - 8 + insert.length - (cut - at)));
      return edited;
    }
  }
}

function editHeader(bytes: Buffer, headerEnd: number, edit: (text: string) => string): Buffer {
  const text = Buffer.from(edit(bytes.toString("utf8", 8, headerEnd)));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(text.length));
  return Buffer.concat([length, text, bytes.subarray(headerEnd)]);
}

/** What any accepted header must be, worked out apart from the reader. */
function expectSound(entries: ReadonlyMap<string, SafetensorsEntry>, bytes: Buffer): void {
  const width: Record<string, number> = { F64: 8, I64: 8, U64: 8, C64: 8, F32: 4, I32: 4, U32: 4, BOOL: 1 };
  let end = 8 + Number(bytes.readBigUInt64LE());
  for (const { dtype, shape, begin, end: next } of entries.values()) {
    expect(begin).toBe(end);
    expect(next - begin).toBe(shape.reduce((a, b) => a * b, width[dtype] ?? (/8/.test(dtype) ? 1 : 2)));
    end = next;
  }
  expect(end).toBe(bytes.length);
}

test("8,000 damaged files", () => {
  const sound = soundFile();
  expectSound(parseSafetensorsHeader(sound, sound.length, "f"), sound);
  const random = generator(20250601);
  const counts = { accepted: 0, refused: 0 };
  for (let i = 0; i < 8000; i++) {
    const bytes = damage(sound, random);
    let entries: Map<string, SafetensorsEntry>;
    try {
      entries = parseSafetensorsHeader(bytes, bytes.length, "damaged.safetensors");
    } catch (error) {
      if (!(error instanceof UserError)) throw new Error(`file ${i}`, { cause: error });
      expect(error.code).toBe("bad_safetensors");
      expect(error.message.length).toBeLessThan(700);
      counts.refused++;
      continue;
    }
    expectSound(entries, bytes);
    counts.accepted++;
  }
  // Damage to the data, to names, to the metadata is none to the format: some must be accepted, most not.
  expect(counts.accepted).toBeGreaterThan(400);
  expect(counts.refused).toBeGreaterThan(4000);
});

test("300 damaged files on disk, without an allocation by a number of theirs", async () => {
  const dir = await mkdtemp(join(tmpdir(), "posttrain-fuzz-"));
  const random = generator(7);
  const before = process.memoryUsage().arrayBuffers;
  let most = 0;
  for (let i = 0; i < 300; i++) {
    const path = join(dir, "model.safetensors");
    await writeFile(path, damage(soundFile(), random));
    await readSafetensorsHeader(path).catch((error: unknown) => {
      if (!(error instanceof UserError)) throw error;
    });
    most = Math.max(most, process.memoryUsage().arrayBuffers - before);
  }
  await rm(dir, { recursive: true });
  // A claimed header may be 100 MB; the files here are under 10 kB each.
  expect(most).toBeLessThan(20e6);
});
