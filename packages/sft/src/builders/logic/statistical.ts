// Statistical puzzles: chances, what evidence is worth, averages, and totals that turn over. Answers are exact fractions.
import type { Maker } from "./puzzle.js";
import { listed } from "./words.js";

const divisor = (a: number, b: number): number => (b === 0 ? a : divisor(b, a % b));

/** In lowest terms; a whole number as such. */
function fraction(above: number, below: number): string {
  const by = divisor(Math.abs(above), below);
  return below === by ? String(above / by) : `${above / by}/${below / by}`;
}

/** As it is counted and, where that is another, in lowest terms. */
function reduced(above: number, below: number): string {
  const [counted, lowest] = [`${above}/${below}`, fraction(above, below)];
  return counted === lowest ? counted : `${counted} = ${lowest}`;
}

function others(answer: string, candidates: readonly string[]): readonly string[] {
  const wrong = new Set(candidates);
  wrong.delete(answer);
  return [...wrong];
}

const balls = ["red", "blue", "green", "white", "black"] as const;

/** Two balls out of a bag. Grades: 2 to 5 colours; the first of a colour, both of it, both alike. */
const bag: Maker = (draws, difficulty) => {
  const colours = draws.some(balls, Math.min(5, difficulty + 1));
  const counts = colours.map(() => draws.int(2, 4 + 3 * difficulty));
  const total = counts.reduce((sum, one) => sum + one, 0);
  const [colour, count] = [colours[0] as string, counts[0] as number];
  const inBag = listed(colours.map((one, i) => `${counts[i]} ${one}`));
  const facts = `A bag has ${inBag} balls.`;
  const pairs = total * (total - 1);
  if (difficulty === 1) {
    const answer = fraction(count, total);
    return {
      family: "bag",
      facts: `${facts} One is drawn without looking.`,
      question: `What is the probability, as a fraction in lowest terms, that it is ${colour}?`,
      answer,
      wrong: others(answer, [
        fraction(total - count, total),
        fraction(1, colours.length),
        fraction(count + 1, total),
        fraction(1, count),
        fraction(1, total),
      ]),
      claim: (chance) => `The probability that it is ${colour} is ${chance}.`,
      reasoning: [
        `There are ${counts.join(" + ")} = ${total} balls, and ${count} of them are ${colour}.`,
        `The probability is ${reduced(count, total)}.`,
      ],
      solver: "counted",
    };
  }
  const isAlike = difficulty > 2 && draws.chance(0.6);
  const ways = isAlike ? counts.map((n) => n * (n - 1)) : [count * (count - 1)];
  const sum = ways.reduce((all, one) => all + one, 0);
  const answer = fraction(sum, pairs);
  const squares = isAlike ? counts.reduce((all, n) => all + n * n, 0) : count * count;
  const event = isAlike ? "both have the same colour" : `both are ${colour}`;
  return {
    family: "bag",
    facts: `${facts} Two are drawn without looking, one after the other, and the first is not put back.`,
    question: `What is the probability, as a fraction in lowest terms, that ${event}?`,
    answer,
    wrong: others(answer, [
      fraction(squares, total * total),
      fraction(pairs - sum, pairs),
      fraction(sum + 2, pairs),
      fraction(1, colours.length),
      fraction(count, total),
    ]),
    claim: (chance) => `The probability that ${event} is ${chance}.`,
    reasoning: [
      `There are ${total} balls, so ${total} * ${total - 1} = ${pairs} ordered pairs.`,
      isAlike
        ? `Pairs of one colour: ${counts.map((n) => `${n} * ${n - 1}`).join(" + ")} = ${sum}.`
        : `Pairs of ${colour} ones: ${count} * ${count - 1} = ${sum}.`,
      `The probability is ${reduced(sum, pairs)}.`,
    ],
    solver: "ordered pairs counted",
  };
};

const tests = [
  {
    of: "people",
    has: "have an illness",
    without: "do not",
    sign: "test positive",
    one: "Somebody tests positive",
    it: "this person",
    is: "has the illness",
  },
  {
    of: "parts",
    has: "are faulty",
    without: "are sound",
    sign: "trip the sensor",
    one: "A part trips the sensor",
    it: "it",
    is: "is faulty",
  },
  {
    of: "messages",
    has: "are spam",
    without: "are not",
    sign: "contain a certain word",
    one: "A message contains the word",
    it: "it",
    is: "is spam",
  },
  {
    of: "fields",
    has: "are infested",
    without: "are not",
    sign: "turn yellow",
    one: "A field has turned yellow",
    it: "it",
    is: "is infested",
  },
] as const;

/** What a sign is worth where what it tells of is rare. Grades: round counts, then rates that must be counted first. */
const evidence: Maker = (draws, difficulty) => {
  const told = draws.pick(tests);
  const total = draws.int(2, 40) * (difficulty < 3 ? 100 : 1000);
  const rate = draws.int(1, 25);
  const ill = (total * rate) / 100;
  const healthy = total - ill;
  const [hit, alarm] = [draws.int(5, 10) * 10, draws.int(1, 6) * 5];
  const [found, falsely] = [(ill * hit) / 100, (healthy * alarm) / 100];
  if (!Number.isInteger(ill) || !Number.isInteger(found) || !Number.isInteger(falsely)) return undefined;
  const answer = fraction(found, found + falsely);
  const facts =
    difficulty < 3
      ? `Of ${total} ${told.of} ${ill} ${told.has}. Of these ${found} ${told.sign}; of the ${healthy} that ${told.without}, ${falsely} ${told.sign} as well.`
      : `Of ${total} ${told.of} ${rate} % ${told.has}. Of these ${hit} % ${told.sign}; of those that ${told.without}, ${alarm} % ${told.sign} as well.`;
  return {
    family: "evidence",
    facts,
    question: `${told.one}. What is the probability, as a fraction in lowest terms, that ${told.it} ${told.is}?`,
    answer,
    wrong: others(answer, [
      fraction(hit, 100),
      fraction(rate, 100),
      fraction(falsely, found + falsely),
      fraction(found, total),
      fraction(found + falsely, total),
      fraction(ill, found + falsely + ill),
    ]),
    claim: (chance) => `${told.one}: the probability that ${told.it} ${told.is} is ${chance}.`,
    reasoning: [
      ...(difficulty < 3
        ? []
        : [
            `${rate} % of ${total} are ${ill}; the others are ${healthy}.`,
            `${hit} % of ${ill} are ${found}; ${alarm} % of ${healthy} are ${falsely}.`,
          ]),
      `In all ${found} + ${falsely} = ${found + falsely} ${told.sign}, and ${found} of these ${told.has}.`,
      `The probability is ${reduced(found, found + falsely)}.`,
    ],
    solver: "counted in whole numbers",
  };
};

const measures = ["mean", "median", "range"] as const;

/** Mean, median, range, from grade 3 on after something was added. */
const averages: Maker = (draws, difficulty) => {
  const values = Array.from({ length: 3 + difficulty }, () => draws.int(1, 20 + 20 * difficulty));
  const measure = draws.pick(measures);
  const isAdded = difficulty > 2;
  const added = draws.int(1, 20 + 40 * difficulty);
  const all = isAdded ? [...values, added] : values;
  const sorted = all.toSorted((a, b) => a - b);
  const sum = all.reduce((total, one) => total + one, 0);
  const middle = sorted.length / 2;
  const [low, high] = [sorted[Math.ceil(middle) - 1]!, sorted[Math.floor(middle)]!];
  const by = {
    mean: fraction(sum, all.length),
    median: fraction(low + high, 2),
    range: String(sorted.at(-1)! - sorted[0]!),
  };
  const answer = by[measure];
  const before = values.reduce((total, one) => total + one, 0);
  return {
    family: "averages",
    facts: `A list of numbers: ${values.join(", ")}.${isAdded ? ` Then ${added} is added to the list.` : ""}`,
    question: `What is the ${measure} ${isAdded ? "now" : "of the list"} (a fraction in lowest terms if it is no whole number)?`,
    answer,
    wrong: others(answer, [
      ...[by.mean, by.median, by.range, fraction(before, values.length), fraction(sum, all.length + 1)],
      ...[String(sorted.at(-1)), String(all[Math.floor(middle)]), String(sum)],
    ]),
    claim: (value) => `The ${measure} ${isAdded ? "is now" : "of the list is"} ${value}.`,
    reasoning: [
      ...(isAdded ? [`The list is now ${all.join(", ")}.`] : []),
      ...{
        mean: [
          `The sum is ${all.join(" + ")} = ${sum}, of ${all.length} numbers.`,
          `The mean is ${reduced(sum, all.length)}.`,
        ],
        median: [
          `In order: ${sorted.join(", ")}.`,
          low === high && sorted.length % 2 === 1
            ? `The middle one of ${sorted.length} is ${answer}.`
            : `The middle two of ${sorted.length} are ${low} and ${high}; half their sum is ${answer}.`,
        ],
        range: [
          `The largest is ${sorted.at(-1)}, the smallest ${sorted[0]}: ${sorted.at(-1)} - ${sorted[0]} = ${answer}.`,
        ],
      }[measure],
    ],
    solver: "computed exactly",
  };
};

const trials = [
  { what: "treatments", groups: ["mild cases", "severe cases"], good: "recovered" },
  { what: "schools", groups: ["day pupils", "boarders"], good: "passed" },
  { what: "delivery firms", groups: ["letters", "parcels"], good: "arrived in time" },
] as const;

/** Which of two does better in each group and in all, which need not be the same. */
const groups: Maker = (draws, difficulty) => {
  const told = draws.pick(trials);
  const side = () =>
    told.groups.map(() => {
      const of = draws.int(2, 8 * difficulty) * 10;
      return { of, good: draws.int(1, of - 1) };
    });
  const sides = [side(), side()] as const;
  const [one, other] = sides.map((parts) =>
    parts.reduce((sum, { of, good }) => ({ of: sum.of + of, good: sum.good + good })),
  ) as [{ of: number; good: number }, { of: number; good: number }];
  const winner = (a: { of: number; good: number }, b: { of: number; good: number }): "A" | "B" | undefined =>
    a.good * b.of === b.good * a.of ? undefined : a.good * b.of > b.good * a.of ? "A" : "B";
  const inGroups = told.groups.map((_, i) => winner(sides[0][i]!, sides[1][i]!));
  const overall = winner(one, other);
  if (overall === undefined || inGroups.includes(undefined)) return undefined;
  // From grade 3 on the total contradicts at least one of the groups.
  if (difficulty > 2 && inGroups.every((best) => best === overall)) return undefined;
  const said = (first: string, second: string, all: string): string =>
    `${first} for ${told.groups[0]}, ${second} for ${told.groups[1]}, ${all} in all`;
  const letters = ["A", "B"] as const;
  const answer = said(inGroups[0]!, inGroups[1]!, overall);
  const all = letters.flatMap((a) => letters.flatMap((b) => letters.map((c) => said(a, b, c))));
  const rate = ({ good, of }: { of: number; good: number }): string =>
    `${good}/${of} = ${((100 * good) / of).toFixed(1)} %`;
  return {
    family: "groups",
    facts: `Two ${told.what}, A and B.\n${letters
      .map(
        (name, i) =>
          `${name}: ${told.groups.map((group, g) => `of ${sides[i]![g]!.of} ${group} ${sides[i]![g]!.good} ${told.good}`).join(", ")}.`,
      )
      .join("\n")}`,
    question: `Which has the higher share that ${told.good}, for ${told.groups[0]}, for ${told.groups[1]}, and for both together? Say it as "${said("A", "B", "A")}".`,
    answer,
    wrong: all.filter((other) => other !== answer),
    claim: (best) => `The higher share: ${best}.`,
    reasoning: [
      ...told.groups.map(
        (group, g) => `${group}: A ${rate(sides[0][g]!)}, B ${rate(sides[1][g]!)}: ${inGroups[g]}.`,
      ),
      `Together: A ${rate(one)}, B ${rate(other)}: ${overall}.`,
    ],
    solver: "compared by cross products of whole numbers",
  };
};

export const statistical: readonly Maker[] = [bag, evidence, averages, groups];
