import { describe, expect, it } from "vitest";
import {
  commit,
  draw,
  newQueue,
  type QueueOptions,
  type QueueState,
  restoreQueue,
  storeQueue,
  taking,
} from "../src/queue.js";
import { noStatistics, observe, type PromptStatistics, solveRateOf, varianceOf } from "../src/statistics.js";

const options: QueueOptions = {
  order: "variance",
  gamma: 1,
  solveRates: undefined,
  retireAfter: 3,
  revisitAfter: 2,
  seed: 7,
};

/** `right` of 8 responses solved, reward 1 each. */
const group = (right: number) => {
  const solved = Array.from({ length: 8 }, (_, i) => i < right);
  return { scores: solved.map(Number), solved };
};
const seen = (...rights: number[]): PromptStatistics =>
  rights.reduce((statistics, right) => observe(statistics, group(right), 1), noStatistics);

function queueOf(rights: Readonly<Record<string, number>>): QueueState {
  const observed = new Map(Object.entries(rights).map(([id, right]) => [id, seen(right)]));
  return commit(newQueue(Object.keys(rights)), observed, options);
}

describe("statistics", () => {
  it("have the sample's variance over groups, whatever their cut", () => {
    expect(varianceOf(seen(2))).toBeCloseTo((2 * 0.75 ** 2 + 6 * 0.25 ** 2) / 7, 14);
    const scores = [0.5, 2, -1, 3.25, 0, 0, 1.5];
    const mean = scores.reduce((a, b) => a + b) / scores.length;
    const expected = scores.reduce((sum, x) => sum + (x - mean) ** 2, 0) / (scores.length - 1);
    const cut = [scores.slice(0, 2), scores.slice(2, 3), scores.slice(3)].reduce(
      (known, part) => observe(known, { scores: part, solved: [] }, 1),
      noStatistics,
    );
    expect(varianceOf(cut)).toBeCloseTo(expected, 13);
  });

  it("forget by decay: the estimate stays unbiased over equal scores' weights", () => {
    const decayed = observe(observe(noStatistics, group(8), 0.5), group(0), 0.5);
    expect(solveRateOf(decayed)).toBeCloseTo(4 / 12, 14);
    const weights = [...new Array(8).fill(0.5), ...new Array(8).fill(1)];
    const total = weights.reduce((a, b) => a + b);
    const squares = weights.reduce((a, b) => a + b * b, 0);
    const mean = 4 / total;
    const differences = weights.reduce((sum, w, i) => sum + w * ((i < 8 ? 1 : 0) - mean) ** 2, 0);
    expect(varianceOf(decayed)).toBeCloseTo(differences / (total - squares / total), 13);
  });

  it("leave out what nobody could grade, and know no variance of a single score", () => {
    const one = observe(noStatistics, { scores: [1, null, null], solved: [true, null, null] }, 1);
    expect([varianceOf(one), solveRateOf(one), one.equalInARow]).toEqual([undefined, 1, 0]);
  });
});

describe("the queue", () => {
  it("draws each prompt once a pass, the largest variance first, ties by id", () => {
    const queue = queueOf({ e: 4, b: 1, a: 1, d: 8, c: 3 });
    const first = draw(queue, 3, options, 0);
    const second = draw(first.queue, 2, options, 1);
    expect(first.ids).toEqual(["e", "c", "a"]);
    expect(second.ids).toEqual(["b", "d"]);
    expect(second.queue.left).toEqual([]);
  });

  it("ranks by what was committed before a pass, within it as it began", () => {
    const begun = draw(queueOf({ a: 4, b: 3, c: 1 }), 1, options, 0);
    const changed = commit(begun.queue, new Map([["c", seen(4)]]), options);
    const rest = draw(changed, 2, options, 1);
    expect(rest.ids).toEqual(["b", "c"]);
    const again = commit(rest.queue, new Map([["a", seen(4, 7)]]), options);
    expect(draw(again, 3, options, 2).ids).toEqual(["c", "b", "a"]);
  });

  it("begins the next pass within a step, without drawing a prompt twice for it", () => {
    const begun = draw(queueOf({ a: 4, b: 3, c: 2 }), 2, options, 0);
    const next = draw(begun.queue, 2, options, 1);
    expect(next.ids).toEqual(["c", "a"]);
    expect(next.queue.left).toEqual(["b", "c"]);
    expect(draw(next.queue, 5, options, 2).ids).toHaveLength(3);
  });

  it("draws nothing that was drawn for the same step before", () => {
    const begun = draw(queueOf({ a: 4, b: 3, c: 2 }), 2, options, 0);
    expect(draw(begun.queue, 2, options, 1, new Set(["a", "b"])).ids).toEqual(["c"]);
  });

  it("tries first what nobody has tried", () => {
    const queue = commit(newQueue(["a", "b"]), new Map([["a", seen(4)]]), options);
    expect(draw(queue, 2, options, 0).ids).toEqual(["b", "a"]);
  });

  it("rests prompts without differences, and tries them again by age", () => {
    const rested = commit(
      newQueue(["a", "b"]),
      new Map([
        ["a", seen(8, 8, 8)],
        ["b", seen(4)],
      ]),
      options,
    );
    expect([...rested.retired]).toEqual([["a", -1]]);
    expect(taking(rested, 0, options)).toEqual(["b"]);
    expect(taking(rested, 1, options)).toEqual(["a", "b"]);
    const still = commit({ ...rested, pass: 1 }, new Map([["a", seen(8, 8, 8, 8)]]), options);
    expect(taking(still, 2, options)).toEqual(["b"]);
    const woken = commit({ ...rested, pass: 1 }, new Map([["a", seen(8, 8, 8, 5)]]), options);
    expect(taking(woken, 2, options)).toEqual(["a", "b"]);
  });

  it("keeps to a range of solve rates", () => {
    const queue = queueOf({ a: 1, b: 2, c: 5, d: 6 });
    expect(draw(queue, 4, { ...options, solveRates: [2 / 8, 5 / 8] }, 0).ids).toEqual(["c", "b"]);
  });

  it("weighted: draws in proportion to variance ** gamma, none twice", () => {
    const queue = queueOf({ a: 4, b: 1, c: 8 });
    const weighted = { ...options, order: "weighted", gamma: 2 } as const;
    const ratio = ((varianceOf(seen(4)) as number) / (varianceOf(seen(1)) as number)) ** 2;
    let a = 0;
    const draws = 4000;
    for (let i = 0; i < draws; i++) if (draw(queue, 1, weighted, i).ids[0] === "a") a++;
    const expected = ratio / (1 + ratio);
    // Five standard deviations of a share over so many draws.
    expect(Math.abs(a / draws - expected)).toBeLessThan(5 * Math.sqrt((expected * (1 - expected)) / draws));
    expect(new Set(draw(queue, 3, weighted, 5).ids).size).toBe(3);
    expect(draw(queue, 3, weighted, 5).ids[2]).toBe("c");
  });

  it("uniform: a permutation a pass, another in the next", () => {
    const ids = Array.from({ length: 40 }, (_, i) => `p${i}`);
    const uniform = { ...options, order: "uniform" } as const;
    const first = draw(newQueue(ids), 40, uniform, 0);
    const second = draw(first.queue, 40, uniform, 1);
    expect([...first.ids].sort()).toEqual([...ids].sort());
    expect(second.ids).not.toEqual(first.ids);
    expect([...second.ids].sort()).toEqual([...ids].sort());
  });

  it("goes on the same from a checkpoint, also with ids that look like numbers", () => {
    for (const order of ["variance", "weighted", "uniform"] as const) {
      const queue = draw(queueOf({ 10: 4, 9: 1, b: 3, a: 8 }), 2, { ...options, order }, 0).queue;
      const restored = restoreQueue(JSON.parse(JSON.stringify(storeQueue(queue))));
      expect(restored).toEqual(queue);
      expect(draw(restored, 3, { ...options, order }, 1)).toEqual(draw(queue, 3, { ...options, order }, 1));
    }
  });
});
