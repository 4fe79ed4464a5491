// What runs kernels for GPUs on the CPU (native/cuda/emulated): small wrong kernels are found and named, right ones are not, and mma.sync has
// the bits of each chip. The kernels: native/test/simt_checks.cu.
import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { addonFile } from "../src/index.js";

const program = join(addonFile().path, "../test/simt-checks");
const run = (...args: readonly string[]) =>
  execFileSync(program, args, { encoding: "utf8" }).trimEnd().split("\n");

// The sanitizers' builds are without it.
describe.runIf(existsSync(program))("simt", () => {
  const said = existsSync(program)
    ? new Map(run().map((line) => line.split("\t") as [string, string]))
    : new Map<string, string>();

  it.each(["neighbours", "within_a_warp", "waited_for", "sums_a_warp"])("%s is right", (name) => {
    expect(said.get(name)).toBe("right");
  });

  it.each([
    // A missing barrier shows as what its first thread meets: nothing, or what another one left.
    [
      "neighbours_without_barrier",
      /block \(0, 0, 0\), thread \(0, 0, 0\): reads byte \d+ of static shared memory, which nobody/,
    ],
    [
      "overwritten_while_read",
      /thread \(32, 0, 0\): a read at byte \d+ of static shared memory races with a write of thread 31/,
    ],
    [
      "two_writers",
      /thread \(1, 0, 0\): a write at byte \d+ of static shared memory races with a write of thread 0/,
    ],
    [
      "within_a_warp_unordered",
      /thread \(0, 0, 0\): reads byte \d+ of static shared memory, which nobody has written/,
    ],
    ["nobody_wrote", /thread \(5, 0, 0\): reads byte \d+ of static shared memory, which nobody has written/],
    [
      "from_the_block_before",
      /block \(1, 0, 0\), thread \(0, 0, 0\): reads byte \d+ of static shared memory, which nobody/,
    ],
    [
      "beyond_shared",
      /thread \(63, 0, 0\): writes 4 bytes at byte 256 of dynamic shared memory, which has 256/,
    ],
    ["beyond_global", /thread \(63, 0, 0\): writes 4 bytes at 0x[0-9a-f]+, byte 256 of y, which has 256/],
    [
      "writes_its_input",
      /thread \(0, 0, 0\): writes 4 bytes at 0x[0-9a-f]+, byte 0 of y, which it may only read/,
    ],
    [
      "some_come_to_the_barrier",
      /not all threads .* waits in __syncthreads at simt_checks.cu:\d+, thread 40 has returned/,
    ],
    [
      "two_barriers",
      /not all threads .* at simt_checks.cu:\d+, thread 32 waits in __syncthreads at simt_checks.cu:\d+/,
    ],
    [
      "half_a_warp_shuffles",
      /thread \(16, 0, 0\): lanes of a warp meet in different places: this thread has returned, thread 0/,
    ],
    ["partial_mask", /__shfl_xor_sync at simt_checks.cu:\d+ with mask 0xffff: only whole warps/],
    [
      "read_before_it_came",
      /a read at byte 0 of dynamic shared memory meets bytes that cp.async still brings, asked for by thread 0/,
    ],
    [
      "waited_for_too_few",
      /a read at byte 0 of dynamic shared memory meets bytes that cp.async still brings/,
    ],
    ["never_waited", /thread \(7, 0, 0\): returned while cp.async was bringing 1 pieces/],
    ["not_aligned", /address 0x[0-9a-f]+ is read or written as 16 bytes at once, to which it is not aligned/],
  ])("%s is found", (name, finding) => {
    expect(said.get(name)).toMatch(new RegExp(`^${name}, `));
    expect(said.get(name)).toMatch(finding);
  });

  it("loads four tiles as ldmatrix does", () => {
    const words = (said.get("loads_tiles") ?? "").trim().split(" ").map(Number);
    const expected = Array.from({ length: 128 }, (_, i) => {
      const lane = i >> 2;
      const value = 100 * (i & 3) + 10 * (lane >> 2) + 2 * (lane & 3);
      return value + (value + 1) * 65536;
    });
    expect(words).toEqual(expected);
  });

  it("multiplies bf16 tiles with the bits of each chip", () => {
    interface Tile {
      readonly case: string;
      readonly a: readonly string[];
      readonly b: readonly string[];
      readonly c: readonly string[];
      readonly [d: `d_sm${number}`]: readonly string[];
    }
    const source = new URL("fixtures/mma/tiles.jsonl", import.meta.url);
    const tiles = readFileSync(source, "utf8")
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as Tile);
    const questions = tiles.flatMap((tile) => ([80, 90, 100, 120] as const).map((chip) => ({ tile, chip })));
    const folder = mkdtempSync(join(tmpdir(), "posttrain-mma-"));
    const file = join(folder, "tiles");
    writeFileSync(
      file,
      questions.map(({ tile, chip }) => [chip, ...tile.a, ...tile.b, ...tile.c].join(" ")).join("\n"),
    );
    const answers = run(file);
    rmSync(folder, { recursive: true });
    expect(answers.length).toBe(40);
    for (const [i, { tile, chip }] of questions.entries())
      expect((answers[i] as string).trim().split(" "), `${tile.case}, sm_${chip}`).toEqual(
        tile[`d_sm${chip}`],
      );
  });
});
