// An exercise: a list of numbers or words goes through steps, and something is made of what is left. What it comes to is computed here, apart from the
// programs in any language.
import type { Draws } from "../draws.js";

export type Kind = "number" | "word";
export type Value = number | string;

/** `k` and `c` are the step's number and letter. */
export interface Step {
  readonly op: string;
  readonly k: number;
  readonly c: string;
}

export interface Exercise {
  readonly kind: Kind;
  readonly steps: readonly Step[];
  readonly end: string;
}

interface Op {
  /** An imperative, without a full stop. */
  readonly text: string;
  readonly run: (values: readonly Value[], step: Step) => readonly Value[];
  /** Least and most of k. */
  readonly range?: readonly [number, number];
}

const filter =
  <T extends Value>(holds: (x: T, step: Step) => boolean): Op["run"] =>
  (values, step) =>
    values.filter((x) => holds(x as T, step));
const map =
  <T extends Value>(to: (x: T, step: Step) => T): Op["run"] =>
  (values, step) =>
    values.map((x) => to(x as T, step));
const ascending = (a: Value, b: Value): number => (a < b ? -1 : a > b ? 1 : 0);

const onLists: Readonly<Record<string, Op>> = {
  sort: { text: "sort {them} in ascending order", run: (values) => [...values].sort(ascending) },
  sortDown: {
    text: "sort {them} in descending order",
    run: (values) => [...values].sort(ascending).reverse(),
  },
  reverse: { text: "reverse their order", run: (values) => [...values].reverse() },
  distinct: { text: "drop every one that has come before", run: (values) => [...new Set(values)] },
  take: {
    text: "keep the first {k} and drop the rest",
    run: (values, { k }) => values.slice(0, k),
    range: [3, 6],
  },
  skip: { text: "drop the first {k}", run: (values, { k }) => values.slice(k), range: [1, 3] },
  second: {
    text: "keep the first, the third, the fifth and so on",
    run: (values) => values.filter((_, i) => i % 2 === 0),
  },
};

const ops: Readonly<Record<Kind, Readonly<Record<string, Op>>>> = {
  number: {
    ...onLists,
    even: { text: "keep only the even numbers", run: filter<number>((x) => x % 2 === 0) },
    odd: { text: "keep only the odd numbers", run: filter<number>((x) => x % 2 !== 0) },
    above: {
      text: "keep only the numbers greater than {k}",
      run: filter<number>((x, { k }) => x > k),
      range: [-9, 9],
    },
    below: {
      text: "keep only the numbers less than {k}",
      run: filter<number>((x, { k }) => x < k),
      range: [0, 20],
    },
    multiple: {
      text: "keep only the multiples of {k}",
      run: filter<number>((x, { k }) => x % k === 0),
      range: [3, 5],
    },
    add: { text: "add {k} to each", run: map<number>((x, { k }) => x + k), range: [1, 20] },
    times: { text: "multiply each by {k}", run: map<number>((x, { k }) => x * k), range: [2, 9] },
    from: { text: "replace each by {k} minus it", run: map<number>((x, { k }) => k - x), range: [1, 50] },
    square: { text: "replace each by its square", run: map<number>((x) => x * x) },
    sums: {
      text: "replace each by the sum of all up to and including it",
      run: (values) => values.map((_, i) => sum(values.slice(0, i + 1))),
    },
    steps: {
      text: "replace the list by the differences of neighbours, each minus the one before it",
      run: (values) => values.slice(1).map((x, i) => Number(x) - Number(values[i])),
    },
  },
  word: {
    ...onLists,
    longer: {
      text: "keep only the words of more than {k} letters",
      run: filter<string>((x, { k }) => x.length > k),
      range: [2, 5],
    },
    shorter: {
      text: "keep only the words of fewer than {k} letters",
      run: filter<string>((x, { k }) => x.length < k),
      range: [5, 8],
    },
    starts: {
      text: 'drop the words that begin with "{c}"',
      run: filter<string>((x, { c }) => !x.startsWith(c)),
    },
    has: {
      text: 'keep only the words that have the letter "{c}"',
      run: filter<string>((x, { c }) => x.includes(c)),
    },
    backwards: { text: "write each word backwards", run: map<string>((x) => [...x].reverse().join("")) },
    twice: { text: "write each word twice, without a space between", run: map<string>((x) => x + x) },
    initial: { text: "replace each word by its first letter", run: map<string>((x) => x[0] as string) },
    mark: { text: "put an exclamation mark behind each word", run: map<string>((x) => `${x}!`) },
  },
};

const sum = (values: readonly Value[]): number => values.reduce<number>((total, x) => total + Number(x), 0);

interface End {
  /** What is made of the list, as an object of "print" and "return". */
  readonly text: string;
  readonly run: (values: readonly Value[]) => Value | readonly Value[];
}

const list: End = { text: "what is left, in its order", run: (values) => values };
const count: End = { text: "how many are left", run: (values) => values.length };

const ends: Readonly<Record<Kind, Readonly<Record<string, End>>>> = {
  number: {
    ...{ list, count },
    sum: { text: "their sum (0 if none is left)", run: sum },
    most: {
      text: "the greatest (0 if none is left)",
      run: (values) => (values.length === 0 ? 0 : Math.max(...values.map(Number))),
    },
    least: {
      text: "the least (0 if none is left)",
      run: (values) => (values.length === 0 ? 0 : Math.min(...values.map(Number))),
    },
  },
  word: {
    ...{ list, count },
    letters: { text: "how many characters they have together", run: (values) => values.join("").length },
    longest: {
      text: 'the longest, of several the first ("none" if none is left)',
      run: (values) =>
        values.reduce(
          (best, x) => (best === "none" || String(x).length > String(best).length ? x : best),
          "none",
        ),
    },
  },
};

/** Steps that undo or swallow the one before them are no exercise. */
const follows = (before: string | undefined, op: string): boolean =>
  before === undefined ||
  (before !== op &&
    !(before.startsWith("sort") && (op.startsWith("sort") || op === "reverse")) &&
    !(before === "even" && op === "odd") &&
    !(before === "odd" && op === "even"));

/** Of a grade: so many steps. */
export function drawExercise(draw: Draws, difficulty: number): Exercise {
  const kind = draw.pick(["number", "word"] as const);
  const steps: Step[] = [];
  while (steps.length < difficulty) {
    const op = draw.pick(Object.keys(ops[kind]));
    const [least, most] = ops[kind][op]!.range ?? [0, 0];
    // Squares of squares would leave the integers that every language has.
    if (follows(steps.at(-1)?.op, op) && !steps.some((one) => one.op === op))
      steps.push({ op, k: draw.int(least, most), c: draw.pick([..."aeiorst"]) });
  }
  // What only orders them is seen in the list alone.
  const isOrder = ["sort", "sortDown", "reverse"].includes(steps.at(-1)!.op);
  return { kind, steps, end: isOrder ? "list" : draw.pick(Object.keys(ends[kind])) };
}

export function outcomeOf({ kind, steps, end }: Exercise, input: readonly Value[]): Value | readonly Value[] {
  const left = steps.reduce((values, step) => ops[kind][step.op]!.run(values, step), input);
  return ends[kind][end]!.run(left);
}

/** An imperative. */
export const stepText = (kind: Kind, { op, k, c }: Step): string =>
  ops[kind]
    [op]!.text.replace("{k}", String(k))
    .replace("{c}", c)
    .replace("{them}", kind === "word" ? "them alphabetically," : "them");

export const endText = ({ kind, end }: Exercise): string => ends[kind][end]!.text;

const words =
  "ash barn cedar dune ember fern grove harbor inlet jetty kiosk lantern meadow north orchard pier quarry reed stone tar umber valley willow yard zest oar tin rose sea ore it as on".split(
    " ",
  );

/** Inputs: one of a single value, others longer, with repeats. */
export function drawInputs({ kind }: Exercise, draw: Draws): readonly (readonly Value[])[] {
  return [8, 1, 5, 10, 6].map((length) => {
    const few = kind === "number" ? Array.from({ length: 9 }, () => draw.int(-30, 40)) : draw.some(words, 9);
    return Array.from({ length }, () => draw.pick<Value>(few));
  });
}
