// posttrain dpo review: asked key by key, saved after each verdict, and taken back into the pairs with what machines say.
import { spawnSync } from "node:child_process";
import { cpSync, existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { ReviewRow } from "@posttrain/dpo";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { goldenPath } from "../../../tests/support/golden.js";
import { askReviews } from "../src/review/asking.js";
import { main, makeModel, type Outcome, temporaryFolder, writeRows } from "./support/command-line.js";
import { posttrainHere } from "./support/in-process.js";

const folder = temporaryFolder();
const at = (name: string): string => join(folder, name);
afterAll(() => rmSync(folder, { recursive: true }));

const linesOf = (name: string) =>
  readFileSync(at(name), "utf8")
    .split("\n")
    .filter(Boolean)
    .map((line) => JSON.parse(line));
const review = (args: readonly string[], input = ""): Promise<Outcome> =>
  posttrainHere(["dpo", "review", ...args], { cwd: folder, input });

const rowsOf = (count: number): ReviewRow[] =>
  Array.from({ length: count }, (_, i) => ({
    ...{ schema: "pair-review@1" as const, pair: `p${i}`, prompt: `q${i}` },
    ...{ a: `left ${i}`, b: `right ${i}`, verdict: null },
  }));

async function ask(rows: readonly ReviewRow[], keys: readonly string[]) {
  const shown: string[] = [];
  const saved: string[][] = [];
  const letters = (all: readonly ReviewRow[]): string[] => all.map(({ verdict }) => verdict ?? "-");
  const asked = await askReviews(rows, {
    keys: (async function* () {
      yield* keys;
    })(),
    show: (text) => shown.push(text),
    save: async (now) => {
      saved.push(letters(now));
    },
  });
  return { shown, saved, end: asked.end, verdicts: letters(asked.rows) };
}

describe("asking", () => {
  it("takes keys and words, and saves each verdict before it asks for the next", async () => {
    const { shown, saved, end } = await ask(rowsOf(4), ["a", "2", "tie", "B"]);
    expect(end).toBe("done");
    expect(saved).toEqual([
      ["a", "-", "-", "-"],
      ["a", "b", "-", "-"],
      ["a", "b", "tie", "-"],
      ["a", "b", "tie", "b"],
    ]);
    expect(shown).toHaveLength(4);
    expect(shown[1]).toMatch(
      /q1\n\n===== A\nleft 1\n\n===== B\nright 1\n\n2 of 4, 1 of 4 judged: a or b is better/,
    );
  });

  it("skips, goes back, quits, and says what is no answer", async () => {
    const { verdicts, end, shown } = await ask(rowsOf(3), ["u", "a", "x", "s", "u", "u", "b", "q", "a"]);
    expect([verdicts, end]).toEqual([["b", "-", "-"], "quit"]);
    expect(shown[1]).toBe("This is the first.");
    expect(shown[3]).toMatch(/^"x" is no answer/);
    expect(shown[6]).toMatch(/1 of 3, 1 of 3 judged \(now: a\)/);
  });

  it("goes on with what nobody has judged, and ends when nobody answers", async () => {
    const rows = rowsOf(3).map((row, i) => (i === 1 ? { ...row, verdict: "tie" as const } : row));
    const { verdicts, end } = await ask(rows, ["a"]);
    expect([verdicts, end]).toEqual([["a", "tie", "-"], "quit"]);
    expect(await ask([rows[1]!], [])).toMatchObject({ end: "done", shown: [] });
  });
});

describe("as a shell runs it", () => {
  const title = "\x1b]0;mine\x07";
  const pairs = [2, 3, 4].map((n) => ({
    prompt: `${n}?${title}`,
    answer: String(n),
    responses: [`\\boxed{${n}}`, "\\boxed{0}"],
  }));
  beforeAll(async () => {
    const responses = writeRows(folder, "responses.jsonl", pairs);
    const made = await posttrainHere(
      ["dpo", "pairs", "--responses", responses, "--output", "pairs.jsonl", "--review", "review.jsonl"],
      { cwd: folder },
    );
    expect(made).toMatchObject({ code: 0 });
  });

  it("asks from where it was, spells out what would steer a terminal, and reports agreement", async () => {
    const first = await review(["review.jsonl", "--ask"], "a\nquit\n");
    expect([first.code, first.err]).toEqual([
      0,
      expect.stringMatching(/1 of 3 pairs judged, 2 left: the same command goes on/),
    ]);
    expect(first.err).toContain("\\x1b]0;mine\\x07");
    expect(first.err).not.toContain("\x1b");
    expect(linesOf("review.jsonl").map(({ verdict }) => verdict)).toEqual(["a", null, null]);
    const second = await review(
      ["review.jsonl", "--ask", "--pairs", "pairs.jsonl", "--output", "early.jsonl"],
      "b\n",
    );
    expect(second.err).toMatch(/1 of 2, 1 of 3 judged/);
    expect(second.err).toMatch(/early\.jsonl is not written/);
    expect(existsSync(at("early.jsonl"))).toBe(false);

    // Filled in by an editor: right, right, wrong.
    const rows = linesOf("review.jsonl").map((row, i) => {
      const isRight = (text: string): boolean => !text.includes("{0}");
      const right = isRight(row.a[0].content) ? "a" : "b";
      return { ...row, verdict: i < 2 ? right : right === "a" ? "b" : "a" };
    });
    writeFileSync(at("review.jsonl"), rows.map((row) => `${JSON.stringify(row)}\n`).join(""));
    writeFileSync(at("four.mjs"), "export const grade = (response) => response.includes('4');\n");
    const taken = await review([
      ...["review.jsonl", "--reviewer", "ada", "--pairs", "pairs.jsonl", "--output", "reviewed.jsonl"],
      ...["--verifier", "./four.mjs"],
    ]);
    expect([taken.code, taken.err]).toEqual([0, expect.stringMatching(/3 pairs: 2 kept, 1 vetoed/)]);
    expect(taken.err).toMatch(/^person +ada +3 +1 +0/m);
    expect(taken.err).toMatch(/^verifier +four\.mjs#grade +3 +2 +0/m);
    expect(taken.err).toMatch(/^graders and ada +3 +66\.7 %/m);
    // A person has an opinion of each: the verifier's vetoes are recorded, and do not count.
    expect(linesOf("reviewed.jsonl")[0].evidence.reviews).toMatchObject([
      { by: "ada", opinion: "chosen", veto: false },
      { by: "four.mjs#grade", kind: "verifier", opinion: "tie", veto: true },
    ]);
    expect(linesOf("reviewed.jsonl.progress/vetoed.jsonl")).toHaveLength(1);
  });

  it("a reward model scores both sides; a language model is none", async () => {
    const model = await makeModel(folder);
    const reward = at("reward");
    cpSync(goldenPath("reward-tiny"), reward, { recursive: true });
    for (const name of readdirSync(model)) {
      if (/token|template/.test(name)) cpSync(join(model, name), join(reward, name));
    }
    const args = (name: string, output: string) => [
      "--pairs",
      "pairs.jsonl",
      "--output",
      output,
      "--reward_model",
      name,
    ];
    const scored = await review(args(reward, "scored.jsonl"));
    expect([scored.code, scored.err]).toEqual([
      0,
      expect.stringMatching(/^graders and reward model .*reward +3 /m),
    ]);
    const [one] = [...linesOf("scored.jsonl"), ...linesOf("scored.jsonl.progress/vetoed.jsonl")];
    expect(one.evidence.reviews).toMatchObject([
      { by: reward, kind: "reward model", evidence: expect.stringMatching(/^chosen -?\d.*, rejected -?\d/) },
    ]);
    const none = await review(args(model, "none.jsonl"));
    expect([none.code, none.err]).toEqual([1, expect.stringMatching(/this is a language model/)]);
  });

  it("on a terminal, keys are taken as they are pressed", async () => {
    await review(["keys.jsonl", "--pairs", "pairs.jsonl", "--no-ask"]);
    expect(linesOf("keys.jsonl")).toHaveLength(3);
    const command = `${process.execPath} ${main} dpo review keys.jsonl`;
    const { stdout, status } = spawnSync("script", ["-qec", command, "/dev/null"], {
      ...{ cwd: folder, input: "at\x1b[Csq", encoding: "utf8" },
    });
    expect(status).toBe(0);
    expect(stdout).toMatch(/2 of 3 pairs judged/);
    expect(linesOf("keys.jsonl").map(({ verdict }) => verdict)).toEqual(["a", "tie", null]);
  });

  it.each<[name: string, args: readonly string[], message: RegExp]>([
    ["nothing to review", [], /Missing: FILE \(pairs for people to judge\), or --pairs and --output/],
    ["a file that is not there", ["none.jsonl"], /none\.jsonl/],
    ["two files", ["a", "b"], /"b" belongs to no option/],
    ["an output of nothing", ["review.jsonl", "--output", "o"], /it needs pairs/],
    ["a verifier for nothing", ["review.jsonl", "--verifier", "./v.mjs"], /give pairs and output/],
    ["half a judge", ["--pairs", "pairs.jsonl", "--output", "o", "--model", "m"], /a judge needs both/],
    [
      "a reward model that is not there",
      ["--pairs", "pairs.jsonl", "--output", "o", "--reward_model", "none"],
      /none/,
    ],
    ["an output that is there", ["--pairs", "pairs.jsonl", "--output", "review.jsonl"], /already exists/],
  ])("%s", async (_, args, message) => {
    const { code, err } = await review(args);
    expect([code, err]).toEqual([1, expect.stringMatching(message)]);
  });
});
