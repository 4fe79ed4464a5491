// Inductive puzzles: the rule behind numbers, and behind what is accepted and refused. The class of rules is told, and only one rule of it fits what is shown.
import type { Draws } from "../draws.js";
import type { Maker } from "./puzzle.js";
import { listed, withArticle } from "./words.js";

interface Series {
  readonly told: string;
  readonly next: (before: readonly number[]) => number;
  readonly first: readonly number[];
  readonly found: (terms: readonly number[]) => readonly string[];
}

const steps = (terms: readonly number[]): readonly number[] =>
  terms.slice(1).map((term, i) => term - terms[i]!);

/** By grade: a constant step, times and plus, growing steps, two before it, two series in turns. */
const seriesOf: readonly ((draws: Draws) => Series)[] = [
  (draws) => {
    const step = draws.int(2, 60) * (draws.chance(0.3) ? -1 : 1);
    return {
      told: "The same number is added to each to get the next (it may be negative)",
      first: [draws.int(1, 400)],
      next: (before) => before.at(-1)! + step,
      found: (terms) => [`The steps are ${steps(terms).join(", ")}: each adds ${step}.`],
    };
  },
  (draws) => {
    const [factor, plus] = [draws.int(2, 5), draws.int(-9, 20)];
    return {
      told: "Each is the one before times a whole number, plus a whole number (which may be negative), always the same two",
      first: [draws.int(plus < 0 ? 11 : 1, 40)],
      next: (before) => before.at(-1)! * factor + plus,
      found: ([a, b, c]) => [
        `From ${a} to ${b} and from ${b} to ${c}: a step of ${b! - a!} becomes one of ${c! - b!}, so the factor is ${c! - b!} / ${b! - a!} = ${factor}.`,
        `${a} * ${factor} = ${a! * factor}, and ${b} is that plus ${plus}.`,
      ],
    };
  },
  (draws) => {
    const [step, growth] = [draws.int(1, 30), draws.int(2, 15)];
    return {
      told: "The steps between neighbours grow by the same amount each time",
      first: [draws.int(1, 200)].flatMap((a) => [a, a + step]),
      next: (before) => before.at(-1)! + (before.at(-1)! - before.at(-2)!) + growth,
      found: (terms) => [
        `The steps are ${steps(terms).join(", ")}: each is ${growth} more than the one before.`,
      ],
    };
  },
  (draws) => {
    const [p, q] = [draws.int(1, 3), draws.int(1, 3)];
    return {
      told: "From the third on each is p times the one before plus q times the one before that, with whole numbers p and q from 1 to 3",
      first: [draws.int(1, 12), draws.int(1, 12)],
      next: (before) => p * before.at(-1)! + q * before.at(-2)!,
      found: ([a, b, c, d]) => [
        `p = ${p} and q = ${q} give ${p} * ${b} + ${q} * ${a} = ${c} and ${p} * ${c} + ${q} * ${b} = ${d}; no others from 1 to 3 give both.`,
      ],
    };
  },
  (draws) => {
    const [one, other] = [draws.int(2, 30), draws.int(2, 30)];
    const [a, b] = [draws.int(1, 200), draws.int(1, 200)];
    return {
      told: "Two series take turns, and each adds its own number each time",
      first: [a, b],
      next: (before) => before.at(-2)! + (before.length % 2 === 0 ? one : other),
      found: (terms) => [
        `In the odd places stand ${terms.filter((_, i) => i % 2 === 0).join(", ")}: each adds ${one}.`,
        `In the even places stand ${terms.filter((_, i) => i % 2 === 1).join(", ")}: each adds ${other}.`,
      ],
    };
  },
];

/** How many rules of the fourth class give these terms. */
const pairsThatFit = (terms: readonly number[]): number =>
  [1, 2, 3]
    .flatMap((p) => [1, 2, 3].map((q) => [p, q] as const))
    .filter(([p, q]) => terms.slice(2).every((term, i) => term === p * terms[i + 1]! + q * terms[i]!)).length;

/** The next number of a series. */
const series: Maker = (draws, difficulty) => {
  const { told, next, first, found } = seriesOf[difficulty - 1]!(draws);
  const shown = [4, 4, 5, 5, 7][difficulty - 1] as number;
  const terms = [...first];
  while (terms.length <= shown) terms.push(next(terms));
  const given = terms.slice(0, shown);
  if (new Set(given.slice(0, 2)).size < 2 || (difficulty === 4 && pairsThatFit(given) !== 1))
    return undefined;
  const answer = terms[shown] as number;
  const last = given.at(-1) as number;
  const step = Math.max(1, Math.abs(answer - last));
  const wrong = new Set([
    answer + 1,
    answer - 1,
    answer + 10,
    answer - step,
    answer + step,
    last + (last - given.at(-2)!),
  ]);
  wrong.delete(answer);
  return {
    family: "series",
    facts: `A series of numbers begins ${given.join(", ")}.\n${told}.`,
    question: "Which number comes next?",
    answer: String(answer),
    wrong: [...wrong].map(String),
    claim: (number) => `The next number is ${number}.`,
    reasoning: [...found(given), `So the next number is ${answer}.`],
    solver: "one rule of the told class fits all terms",
  };
};

const properties = {
  size: ["small", "large", "tiny", "huge"],
  colour: ["red", "blue", "green", "yellow", "black", "white"],
  pattern: ["plain", "striped", "dotted", "chequered"],
  material: ["wooden", "metal", "glass", "paper"],
  shape: ["cube", "ball", "cone", "ring", "star", "disc"],
} as const;
type Property = keyof typeof properties;
const propertyNames = Object.keys(properties) as readonly Property[];

/** One word for each property, in their order. */
type Thing = readonly string[];
const thingText = (thing: Thing): string => withArticle(thing.join(" "));

const machines = [
  "A machine accepts",
  "A customs officer lets through",
  "A collector buys",
  "A robot picks up",
] as const;

/** What is accepted, from what was and what was not. Grades: one property (1, 2), two (3 to 5); ever more properties to look at. */
const acceptance: Maker = (draws, difficulty) => {
  const seen = propertyNames.filter((_, i) =>
    ([4, 1, 0, 2, 3] as const).slice(0, [3, 4, 3, 4, 5][difficulty - 1]!).includes(i as 0),
  );
  const size = difficulty < 3 ? 1 : 2;
  const choices = seen.map((name) => [...properties[name]]);
  const rules: readonly Rule[] = size === 1 ? singles(choices) : pairs(choices);
  const rule = draws.pick(rules);
  const any = (): Thing => choices.map((words) => draws.pick(words));
  const accepted = (): Thing => any().map((word, i) => rule.get(i) ?? word);
  const examples: { readonly thing: Thing; readonly isAccepted: boolean }[] = [];
  let left = rules;
  for (let tries = 0; left.length > 1 && tries < 60; tries++) {
    const thing = tries % 2 === 0 ? accepted() : nearMiss(accepted(), rule, choices, draws);
    const isAccepted = fits(rule, thing);
    const now = left.filter((other) => fits(other, thing) === isAccepted);
    if (now.length === left.length) continue;
    examples.push({ thing, isAccepted });
    left = now;
  }
  const shown = new Set(examples.map(({ thing }) => thingText(thing)));
  const answer = thingText(accepted());
  const wrong = new Set(
    Array.from({ length: 8 }, () => thingText(nearMiss(accepted(), rule, choices, draws))),
  );
  if (left.length > 1 || shown.has(answer) || wrong.size < 3) return undefined;
  const machine = draws.pick(machines);
  const words = [...rule.values()];
  const yes = examples.filter(({ isAccepted }) => isAccepted).map(({ thing }) => thing);
  const common = (yes[0] ?? []).filter((word, i) => yes.every((thing) => thing[i] === word));
  const possible = rules.filter((other) => yes.every((thing) => fits(other, thing)));
  const ruledOut = examples.flatMap(({ thing, isAccepted }) => {
    const not = isAccepted ? [] : possible.filter((other) => fits(other, thing));
    const said = listed(
      not.map((other) => [...other.values()].join(" with ")),
      "or",
    );
    return not.length === 0 ? [] : [`${thingText(thing)} is a no, so it is not ${said}.`];
  });
  return {
    family: "acceptance",
    facts: `${machine} things by ${size === 1 ? "one property" : "two properties, which they must both have"} (${listed(seen)}).\n${examples
      .map(({ thing, isAccepted }) => `${thingText(thing)}: ${isAccepted ? "yes" : "no"}`)
      .join("\n")}`,
    question: "Which of these is a yes?",
    openQuestion: `Which of these is a yes: ${listed(draws.shuffled([answer, ...[...wrong].slice(0, 3)]), "or")}?`,
    answer,
    wrong: [...wrong].slice(0, 3),
    claim: (thing) => `The next thing, ${thing}, is a yes.`,
    reasoning: [
      `All that are a yes have in common: ${listed(common)}.`,
      ...ruledOut,
      `What remains is the rule: ${listed(words)}.`,
      `Of the things asked about only ${answer} has ${size === 1 ? "it" : "both"}.`,
    ],
    solver: `one of ${rules.length} rules fits all examples`,
  };
};

/** Place of a property -> its word. */
type Rule = ReadonlyMap<number, string>;
const fits = (rule: Rule, thing: Thing): boolean => [...rule].every(([i, word]) => thing[i] === word);

const singles = (choices: readonly (readonly string[])[]): readonly Rule[] =>
  choices.flatMap((words, i) => words.map((word) => new Map([[i, word]])));

const pairs = (choices: readonly (readonly string[])[]): readonly Rule[] =>
  choices.flatMap((words, i) =>
    choices.slice(i + 1).flatMap((others, k) =>
      words.flatMap((word) =>
        others.map(
          (other) =>
            new Map([
              [i, word],
              [i + 1 + k, other],
            ]),
        ),
      ),
    ),
  );

/** A thing that would be accepted, but for one word. */
function nearMiss(thing: Thing, rule: Rule, choices: readonly (readonly string[])[], draws: Draws): Thing {
  const place = draws.pick([...rule.keys()]);
  const word = draws.pick(choices[place]!.filter((other) => other !== thing[place]));
  return thing.map((own, i) => (i === place ? word : own));
}

export const inductive: readonly Maker[] = [series, acceptance];
