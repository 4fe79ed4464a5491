// Reviews of pairs: what people fill in and machines say goes back into the pairs, vetoes take them out, and agreement is counted.
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  judgeReviewer,
  type Reviewer,
  readReviewFile,
  runReview,
  saveReviewFile,
  scorerReviewer,
  verifierReviewer,
  writeReviewFile,
} from "@posttrain/dpo";
import { openJudge, openServer } from "@posttrain/rollout";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import {
  type Answer,
  completion,
  json,
  openScriptedServer,
  type ScriptedServer,
} from "../../../tests/support/openai-server.js";
import {
  agreements,
  cohen,
  isChosenFirst,
  isVetoed,
  type Opinion,
  type Review,
} from "../src/pairs/reviews.js";

const folder = mkdtempSync(join(tmpdir(), "posttrain-reviews-"));
let server: ScriptedServer;
beforeAll(async () => {
  server = await openScriptedServer();
});
afterAll(() => {
  server.close();
  rmSync(folder, { recursive: true });
});
afterEach(() => server.reset());

let files = 0;
const fresh = (): string => join(folder, `file-${files++}.jsonl`);
const write = (rows: readonly object[]): string => {
  const path = fresh();
  writeFileSync(path, rows.map((row) => `${JSON.stringify(row)}\n`).join(""));
  return path;
};
const linesOf = (path: string) =>
  readFileSync(path, "utf8")
    .split("\n")
    .filter(Boolean)
    .map((line) => JSON.parse(line));

const turn = (content: string) => [{ role: "assistant", content }];
const pairs = Array.from({ length: 8 }, (_, i) => ({
  ...{ schema: "preference@1", id: `pair-${i}`, prompt: [{ role: "user", content: `${i} + ${i}?` }] },
  ...{ chosen: turn(`It is ${2 * i}.`), rejected: turn(`It is ${2 * i + 1}.`), parents: ["p"] },
  evidence: { chosen: { verdict: { outcome: "pass" } } },
}));

async function review(reviewers: readonly Reviewer[], more: object = {}) {
  const output = fresh();
  const run = () =>
    runReview({ pairs: write(pairs), output, openReviewers: async () => reviewers, concurrency: 4, ...more });
  const report = await run();
  return { report, output, kept: linesOf(output), vetoed: linesOf(report.vetoed_file) };
}

describe("agreement", () => {
  it("is Cohen's kappa: beyond what chance gives", () => {
    const labels = (counts: readonly (readonly [string, string, number])[]) =>
      counts.flatMap(([a, b, count]) => Array.from({ length: count }, () => [a, b] as const));
    // Wikipedia's example: 20 and 15 agreed, 5 and 10 not; kappa 0.4.
    const { share, kappa } = cohen(
      labels([
        ["y", "y", 20],
        ["y", "n", 5],
        ["n", "y", 10],
        ["n", "n", 15],
      ]),
    );
    expect(share).toBeCloseTo(0.7, 12);
    expect(kappa).toBeCloseTo(0.4, 12);
    expect(cohen(labels([["y", "y", 3]]))).toEqual({ share: 1, kappa: null });
    expect(
      cohen(
        labels([
          ["y", "n", 2],
          ["n", "y", 2],
        ]),
      ).kappa,
    ).toBeCloseTo(-1, 12);
  });

  it("is over the pairs that two have in common, by the places of their sides", () => {
    const of = (opinions: readonly Opinion[], from = 0): Map<string, Opinion> =>
      new Map(opinions.map((opinion, i) => [`pair-${from + i}`, opinion]));
    const same = Array.from({ length: 40 }, (): Opinion => "chosen");
    const all = agreements(
      new Map([
        ["graders", of(same)],
        ["ada", of(same.map((_, i) => (i % 2 === 0 ? "chosen" : "rejected")))],
        ["late", of(["tie"], 39)],
        ["elsewhere", of(["chosen"], 99)],
      ]),
    );
    expect(all.map(({ between, pairs: both }) => [...between, both])).toEqual([
      ["graders", "ada", 40],
      ["graders", "late", 1],
      ["ada", "late", 1],
    ]);
    expect(all[0]?.share).toBe(0.5);
    // Half of the pairs agreed on is chance: graders' opinion is always the same, but its place is not.
    expect(Math.abs(all[0]?.kappa ?? 1)).toBeLessThan(0.35);
    // Always of one opinion, and never by chance: their places differ.
    expect(
      agreements(
        new Map([
          ["graders", of(same)],
          ["bob", of(same)],
        ]),
      )[0],
    ).toMatchObject({ share: 1, kappa: 1 });
    const first = Array.from({ length: 400 }, (_, i) => isChosenFirst(`pair-${i}`)).filter(Boolean).length;
    expect(first).toBeGreaterThan(150);
    expect(first).toBeLessThan(250);
  });

  it("people decide over machines", () => {
    const by = (
      kind: Review["kind"],
      veto: boolean,
      opinion: Opinion | null = veto ? "rejected" : "chosen",
    ): Review => ({
      ...{ by: "x", kind, veto, opinion },
    });
    expect(isVetoed([by("judge", true), by("verifier", false)])).toBe(true);
    expect(isVetoed([by("judge", true), by("person", false)])).toBe(false);
    expect(isVetoed([by("judge", false), by("person", true)])).toBe(true);
    expect(isVetoed([by("judge", true), by("person", false, null)])).toBe(true);
    expect(isVetoed([])).toBe(false);
  });
});

describe("a file for people", () => {
  const prefer = async (path: string, side: "chosen" | "rejected", count: number): Promise<void> => {
    const rows = await readReviewFile(path);
    await saveReviewFile(
      path,
      rows.map((row, i) => {
        const isFirst = isChosenFirst(row.pair);
        return i < count ? { ...row, verdict: isFirst === (side === "chosen") ? "a" : "b" } : row;
      }),
    );
  };

  it("shows some pairs in an order that says nothing, and its verdicts go back", async () => {
    const path = fresh();
    const source = write(pairs);
    expect(await writeReviewFile(path, source, { count: 5, seed: 1 })).toBe(5);
    const rows = linesOf(path);
    expect(rows.map(({ pair, a, b }) => [pair, a, b])).toEqual(
      rows.map(({ pair }) => {
        const { chosen, rejected } = pairs.find(({ id }) => id === pair)!;
        return isChosenFirst(pair) ? [pair, chosen, rejected] : [pair, rejected, chosen];
      }),
    );
    expect(JSON.stringify(rows)).not.toMatch(/outcome|chosen|rejected/);
    const again = fresh();
    await writeReviewFile(again, source, { count: 5, seed: 1 });
    expect(readFileSync(again)).toEqual(readFileSync(path));
    await expect(writeReviewFile(path, source, { count: 5, seed: 1 })).rejects.toMatchObject({
      code: "output_used",
    });

    await prefer(path, "rejected", 2);
    const people = { rows: await readReviewFile(path), path, by: "ada" };
    const { report, kept, vetoed } = await review([], { people });
    expect(report).toMatchObject({
      ...{ pairs: 8, kept: 6, vetoed: 2 },
      reviewers: [{ by: "ada", kind: "person", reviews: 2, vetoes: 2 }],
      agreements: [{ between: ["graders", "ada"], pairs: 2, share: 0 }],
    });
    expect(vetoed.map(({ id }) => id)).toEqual(rows.slice(0, 2).map(({ pair }) => pair));
    expect(vetoed[0].evidence).toMatchObject({
      chosen: { verdict: { outcome: "pass" } },
      reviews: [{ by: "ada", kind: "person", opinion: "rejected", veto: true }],
    });
    expect(kept[0]).toEqual(pairs.find(({ id }) => id === kept[0].id));
  });

  it.each<[name: string, row: object, message: RegExp]>([
    [
      "a verdict that is none",
      { pair: "pair-0", a: "x", b: "y", verdict: "left" },
      /line 1: verdict: expected a, b, tie or null .*came "left"/,
    ],
    ["a row that is none", { pair: "pair-0" }, /line 1: expected a review with pair, a, b/],
    [
      "an unknown pair",
      { pair: "pair-99", a: "x", b: "y", verdict: "a" },
      /1 of 1 reviews are of pairs that .* does not have: pair-99/,
    ],
    [
      "texts that were edited",
      { pair: "pair-0", a: turn("It is 0"), b: turn("It is 1."), verdict: "a" },
      /texts of pair pair-0 are no longer/,
    ],
  ])("%s is refused", async (_, row, message) => {
    const path = write([row]);
    const take = async () => review([], { people: { rows: await readReviewFile(path), path, by: "ada" } });
    await expect(take()).rejects.toThrow(message);
  });

  it("takes verdicts as an editor leaves them, and a pair twice never", async () => {
    const path = write([
      { pair: "pair-0", a: "x", b: "y", verdict: " Tie" },
      { pair: "pair-1", a: "x", b: "y" },
    ]);
    expect((await readReviewFile(path)).map(({ verdict }) => verdict)).toEqual(["tie", null]);
    const twice = write([
      { pair: "p", a: "x", b: "y" },
      { pair: "p", a: "x", b: "y" },
    ]);
    await expect(readReviewFile(twice)).rejects.toThrow(/line 2: pair p is there twice/);
  });
});

describe("machines", () => {
  it("a reward model vetoes what it scores lower", async () => {
    const scorer = scorerReviewer(
      async (rows) =>
        rows.map(({ response }) => (response.includes("NaN") ? null : Number(/\d+/.exec(response)?.[0]) % 3)),
      { name: "rm", identity: {} },
    );
    const { report, kept, vetoed } = await review([scorer]);
    // 2i mod 3 against 2i + 1 mod 3: lower but where 2i mod 3 is 2.
    expect(kept.map(({ id }) => id)).toEqual(["pair-1", "pair-4", "pair-7"]);
    expect(vetoed[0].evidence.reviews).toEqual([
      { by: "rm", kind: "reward model", opinion: "rejected", veto: true, evidence: "chosen 0, rejected 1" },
    ]);
    expect(report.agreements[0]).toMatchObject({
      between: ["graders", "reward model rm"],
      pairs: 8,
      share: 3 / 8,
    });
  });

  it("a verifier of one's own vetoes a chosen side that does not pass", async () => {
    const verifier = verifierReviewer(
      {
        name: "short",
        grade: async (response, row) =>
          row["id"] === "pair-3"
            ? { outcome: "infrastructure-error", evidence: "broken" }
            : { outcome: response.length < 9 ? "pass" : "fail", evidence: `${response.length} characters` },
      },
      { name: "short.mjs#grade", identity: { sha256: "x" } },
    );
    const { report, vetoed, kept } = await review([verifier]);
    expect(vetoed.map(({ id }) => id)).toEqual(["pair-5", "pair-6", "pair-7"]);
    expect(report.reviewers).toMatchObject([
      { reviews: 8, vetoes: 3, failed: 1, reasons: [expect.stringContaining("broken")] },
    ]);
    expect(kept.find(({ id }) => id === "pair-3").evidence.reviews).toMatchObject([
      { opinion: null, veto: false },
    ]);
    expect(kept[0].evidence.reviews).toMatchObject([{ opinion: "tie", veto: false }]);
  });

  const even: Answer = (body, response) => {
    const shown = /=+ response A\nIt is (\d+)\./.exec(body.messages[1]!.content)?.[1];
    json(
      200,
      completion(`overall: ${Number(shown) % 4 === 0 ? "A" : Number(shown) % 4 === 1 ? "B" : "tie"}`),
    )(body, response);
  };
  const openJudges = async (folder: string, more: object = {}) => {
    const opened = await openServer(
      {
        ...{ base_url: server.baseUrl, model: "j", num_concurrent: 2, max_retries: 1, request_timeout: 5 },
        ...{ budget_tokens: undefined, reply_cache: join(folder, "replies.jsonl"), ...more },
      },
      {},
    );
    return { opened, reviewer: judgeReviewer(openJudge(opened), { name: "j", identity: {} }) };
  };

  it("a judge is asked in both orders; rubbish is no judgement, and nothing is lost when it dies half-way", async () => {
    const output = fresh();
    const source = write(pairs);
    const run = async () => {
      let close = async (): Promise<void> => undefined;
      try {
        return await runReview({
          ...{ pairs: source, output, concurrency: 2 },
          openReviewers: async (own) => {
            const { opened, reviewer } = await openJudges(own);
            close = opened.close;
            return [reviewer];
          },
        });
      } finally {
        await close();
      }
    };
    server.answers = [even, even, even, json(403, { error: { message: "quota" } })];
    await expect(run()).rejects.toMatchObject({ code: "teacher_refused" });
    expect(existsSync(output)).toBe(false);
    server.reset();
    const rubbish = json(200, completion("Hm."));
    server.answers = [rubbish, rubbish, ...Array.from({ length: 40 }, () => even)];
    const report = await run();
    // 16 orders of 8 pairs; three were answered before, and rubbish is answered once more.
    expect(server.bodies.length).toBeLessThanOrEqual(16 - 3 + 2);
    const reviews = linesOf(output).map(({ id, evidence }) => [id, evidence.reviews[0].opinion] as const);
    expect(report).toMatchObject({ pairs: 8, vetoed: 0, kept: 8 });
    for (const [id, opinion] of reviews) {
      // Where 2i is a multiple of 4 both orders say chosen; else both orders are ties.
      if (opinion !== null) expect(opinion).toBe(Number(id.slice(5)) % 2 === 0 ? "chosen" : "tie");
    }
    const [judge] = report.reviewers;
    expect(judge!.failed).toBe(reviews.filter(([, opinion]) => opinion === null).length);
    expect(judge!.failed).toBeLessThanOrEqual(2);
    for (const reason of judge!.reasons)
      expect(reason).toMatch(/has no verdict \(A, B or tie\) for overall.* It said: Hm\./);
  });

  it("a server that limits its rate is asked again; one that says nothing in time has given no judgement", async () => {
    server.answers = [json(429, { error: { message: "slow down" } }), () => undefined, () => undefined];
    const { opened, reviewer } = await openJudges(folder, {
      reply_cache: undefined,
      max_retries: 1,
      request_timeout: 0.2,
    });
    try {
      const [, late] = await Promise.all([undefined, reviewer.review(pairs[0]! as never)]);
      expect(late).toMatchObject({
        opinion: null,
        veto: false,
        evidence: expect.stringMatching(/no reply within 0\.2 s|no verdict/),
      });
    } finally {
      await opened.close();
    }
  });
});

it("what has an opinion is not asked again after a failure, what has none is", async () => {
  const output = fresh();
  const source = write(pairs);
  const asked: string[] = [];
  let isDown = true;
  const reviewer: Reviewer = {
    ...{ name: "j", kind: "judge", identity: {} },
    review: async ({ id }) => {
      asked.push(id);
      if (isDown && id === "pair-4") throw new Error("down");
      return isDown && id === "pair-1" ? { opinion: null, veto: false } : { opinion: "chosen", veto: false };
    },
  };
  const run = () =>
    runReview({ pairs: source, output, openReviewers: async () => [reviewer], concurrency: 1 });
  await expect(run()).rejects.toThrow("down");
  isDown = false;
  asked.length = 0;
  expect(await run()).toMatchObject({ kept: 8, reviewers: [{ failed: 0 }] });
  expect(asked).toEqual(["pair-1", "pair-4", "pair-5", "pair-6", "pair-7"]);
});

it("a review that is repeated replaces its earlier one, others stay", async () => {
  const earlier = { by: "rm", kind: "reward model", opinion: "rejected", veto: true } as const;
  const other = { by: "bob", kind: "person", opinion: "chosen", veto: false } as const;
  const source = write([{ ...pairs[0], evidence: { reviews: [earlier, other] } }]);
  const scorer = scorerReviewer(async () => [1, 0], { name: "rm", identity: {} });
  const { kept } = await review([scorer], { pairs: source });
  expect(kept[0].evidence.reviews).toEqual([
    other,
    { ...earlier, opinion: "chosen", veto: false, evidence: "chosen 1, rejected 0" },
  ]);
  await expect(review([], { pairs: write([{ id: "x" }]) })).rejects.toThrow(
    /line 1: expected a pair with id, chosen and rejected/,
  );
});
