// The choice of pairs: who stands on which side, what keeps a query from having one, and that nothing but seed and responses decides.
import type { Outcome } from "@posttrain/data";
import { describe, expect, it } from "vitest";
import { type Candidate, type ChoiceOptions, choosePairs } from "../src/pairs/choose.js";
import { likeness, runsOf, sameButForSpace } from "../src/pairs/similarity.js";

const options: ChoiceOptions = {
  pairsPerQuery: 1,
  maxLengthRatio: 3,
  similarity: 0.9,
  chosenFrom: "policy",
  seed: 7,
};
const words = ["alpha", "beta", "gamma", "delta", "rho", "tau", "phi", "chi"];
/** A text of its own for every number, all of like lengths. */
const textOf = (number: number): string =>
  Array.from({ length: 8 }, (_, i) => words[(number * 5 + i * (number + 3)) % 8]! + number).join(" ");
const candidate = (number: number, outcome: Outcome, more: Partial<Candidate> = {}): Candidate => ({
  id: `r${number}`,
  text: textOf(number),
  outcome,
  ...more,
});
const several = (outcomes: readonly Outcome[]): Candidate[] =>
  outcomes.map((outcome, number) => candidate(number, outcome));
const ids = ({ pairs }: ReturnType<typeof choosePairs>): string[] =>
  pairs.map(({ chosen, rejected }) => `${chosen.id}>${rejected.id}`);

describe("sides", () => {
  it.each<Outcome>(["fail", "crash", "timeout", "unparseable"])("%s is rejected", (outcome) => {
    expect(ids(choosePairs(several(["pass", outcome]), 0, options))).toEqual(["r0>r1"]);
  });

  it("what could not be graded is on neither", () => {
    const error = "infrastructure-error";
    expect(choosePairs(several(["pass", error, error]), 0, options).skip).toBe("all right");
    expect(choosePairs(several(["fail", error]), 0, options).skip).toBe("all wrong");
    expect(choosePairs(several([error, error]), 0, options).skip).toBe("not graded");
    expect(choosePairs([], 0, options).skip).toBe("no response");
  });

  it("the reference is chosen where that is asked for, and only when it passes", () => {
    const reference = (outcome: Outcome): Candidate => candidate(9, outcome, { isReference: true });
    const mixed = several(["pass", "fail"]);
    const from = (
      chosenFrom: ChoiceOptions["chosenFrom"],
      candidates: readonly Candidate[],
    ): string | undefined => {
      const choice = choosePairs(candidates, 0, { ...options, chosenFrom });
      return choice.skip ?? ids(choice)[0];
    };
    expect(from("policy", [...mixed, reference("pass")])).toBe("r0>r1");
    expect(from("reference", [...mixed, reference("pass")])).toBe("r9>r1");
    expect(from("either", [...mixed, reference("pass")])).toBe("r0>r1");
    expect(from("either", [candidate(1, "fail"), reference("pass")])).toBe("r9>r1");
    expect(from("reference", [candidate(0, "pass"), reference("pass")])).toBe("all right");
    expect(from("reference", [...mixed, reference("fail")])).toBe("reference not passed");
    expect(from("reference", mixed)).toBe("no reference");
    expect(from("policy", [candidate(1, "fail"), reference("pass")])).toBe("all wrong");
  });
});

describe("what makes no pair", () => {
  it("sides that differ in white space alone", () => {
    const same = [candidate(0, "pass", { text: "x = 1" }), candidate(1, "fail", { text: " x\t=  1\n" })];
    expect(choosePairs(same, 0, options)).toEqual({ pairs: [], skip: "same words", duplicates: 0 });
    expect(sameButForSpace("a b", "ab")).toBe(true);
    expect(sameButForSpace("a b", "a c")).toBe(false);
  });

  it("a response that says nothing", () => {
    const silent = candidate(1, "unparseable", { text: " \n" });
    expect(choosePairs([candidate(0, "pass"), silent], 0, options).skip).toBe("no text");
    expect(ids(choosePairs([candidate(0, "pass"), silent, candidate(2, "fail")], 0, options))).toEqual([
      "r0>r2",
    ]);
  });

  it("lengths that are too far apart, unless both are short", () => {
    const of = (chosen: number, rejected: number) =>
      choosePairs(
        [
          candidate(0, "pass", { text: "y".repeat(chosen) }),
          candidate(1, "fail", { text: "n".repeat(rejected) }),
        ],
        0,
        options,
      ).skip;
    expect(of(100, 301)).toBe("lengths apart");
    expect(of(300, 100)).toBeUndefined();
    expect(of(1, 63)).toBeUndefined();
    expect(of(1, 193)).toBe("lengths apart");
  });

  it("a response that nearly repeats another of its side", () => {
    const long = Array.from({ length: 40 }, (_, i) => `w${i}`).join(" ");
    const twice = [
      candidate(0, "pass", { text: long }),
      candidate(1, "pass", { text: `${long} again` }),
      candidate(2, "fail", { text: long.replaceAll("w", "v") }),
      candidate(3, "fail", { text: long.replaceAll("w", "v") }),
    ];
    const choice = choosePairs(twice, 0, { ...options, pairsPerQuery: 9 });
    expect([choice.pairs.length, choice.duplicates]).toEqual([1, 2]);
    expect(choosePairs(twice, 0, { ...options, pairsPerQuery: 9, similarity: 1 }).pairs).toHaveLength(2);
  });

  it("but sides that are nearly alike make one: that is where they can be told apart", () => {
    const code = Array.from({ length: 40 }, (_, i) => `line_${i} = ${i}`).join("\n");
    const pair = [
      candidate(0, "pass", { text: code }),
      candidate(1, "fail", { text: code.replace("line_39 = 39", "line_39 = 40") }),
    ];
    expect(ids(choosePairs(pair, 0, options))).toEqual(["r0>r1"]);
  });
});

describe("which pairs", () => {
  it("like lengths come first", () => {
    const text = (length: number, letter: string): string => letter.repeat(length);
    const candidates = [
      candidate(0, "pass", { text: text(200, "a") }),
      candidate(1, "pass", { text: text(400, "b") }),
      candidate(2, "fail", { text: text(410, "c") }),
      candidate(3, "fail", { text: text(290, "d") }),
    ];
    expect(ids(choosePairs(candidates, 0, options))).toEqual(["r1>r2"]);
    expect(ids(choosePairs(candidates, 0, { ...options, pairsPerQuery: 2 }))).toEqual(["r1>r2", "r0>r3"]);
  });

  it("each response is in as few of them as can be", () => {
    const one = several(["pass", "fail", "fail", "fail"]);
    const all = ids(choosePairs(one, 0, { ...options, pairsPerQuery: 5 }));
    expect(all.toSorted()).toEqual(["r0>r1", "r0>r2", "r0>r3"]);
    const two = several(["pass", "pass", "fail", "fail"]);
    const first = ids(choosePairs(two, 0, { ...options, pairsPerQuery: 2 }));
    expect(new Set(first.flatMap((pair) => pair.split(">"))).size).toBe(4);
  });

  it("depend on seed and query, not on the order in which responses came", () => {
    const candidates = several(["pass", "fail", "pass", "fail", "pass", "crash", "pass", "timeout"]);
    const of = (given: readonly Candidate[], query: number, seed: number): string =>
      ids(choosePairs(given, query, { ...options, seed }))[0]!;
    for (let query = 0; query < 20; query++) {
      const expected = of(candidates, query, 7);
      expect(of(candidates.toReversed(), query, 7)).toBe(expected);
      expect(of([...candidates.slice(3), ...candidates.slice(0, 3)], query, 7)).toBe(expected);
    }
    const queries = Array.from({ length: 60 }, (_, query) => query);
    expect(new Set(queries.map((query) => of(candidates, query, 7))).size).toBeGreaterThan(8);
    expect(queries.map((query) => of(candidates, query, 8))).not.toEqual(
      queries.map((query) => of(candidates, query, 7)),
    );
  });
});

it("likeness counts runs of three words, marks or letters of scripts without spaces", () => {
  const of = (a: string, b: string): number => likeness(runsOf(a), runsOf(b));
  expect(of("a b c d", "a  b\nc d")).toBe(1);
  expect(of("a b c d", "a b c e")).toBeCloseTo(1 / 3, 12);
  expect(of("x=1", "x=2")).toBe(0);
  expect(of("答案是四百", "答案是四千")).toBeCloseTo(2 / 4, 12);
  expect(of("", "")).toBe(1);
});
