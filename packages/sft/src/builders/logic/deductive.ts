// Deductive puzzles: an order from clues, kinds that follow from kinds, and islanders who lie or do not. Each is solved by trying every case.
import type { Draws } from "../draws.js";
import type { Maker } from "./puzzle.js";
import { listed, ordinal, people, withArticle } from "./words.js";

interface Clue {
  readonly text: string;
  readonly holds: (order: readonly string[]) => boolean;
}

const lines = [
  { where: "stand in a queue", clue: "in front of", end: "from the front" },
  { where: "sit in a row", clue: "left of", end: "from the left" },
  { where: "finished a race, no two together", clue: "before", end: "" },
  { where: "live on different floors of one house, one on each", clue: "below", end: "from the bottom" },
] as const;

/** Who has which place, from comparisons, neighbours and places that are left out. Grades: 3 to 6 people. */
const ordering: Maker = (draws, difficulty) => {
  const count = [3, 4, 4, 5, 6][difficulty - 1] as number;
  const names = draws.some(people, count);
  const line = draws.pick(lines);
  const order = draws.shuffled(names);
  const all = permutations(names);
  const clues: Clue[] = [];
  const left: (readonly (readonly string[])[])[] = [all];
  for (const clue of draws.shuffled(cluesOf(order, line.clue, line.end))) {
    const before = left.at(-1)!;
    const now = before.filter(clue.holds);
    if (now.length === before.length) continue;
    clues.push(clue);
    left.push(now);
    if (now.length === 1) break;
  }
  const place = draws.int(1, count);
  const answer = order[place - 1] as string;
  const end = line.end === "" ? "" : ` ${line.end}`;
  return {
    family: "ordering",
    facts: `${listed(names)} ${line.where}.\n${clues.map(({ text }) => text).join("\n")}`,
    question: `Who is ${ordinal(place)}${end}?`,
    answer,
    wrong: names.filter((name) => name !== answer),
    claim: (name) => `${name} is ${ordinal(place)}${end}.`,
    reasoning: [
      `There are ${all.length} orders of ${count}; each clue leaves fewer.`,
      ...clues.map(({ text }, i) => `${text} ${leaves(left[i + 1]!)}`),
      `So the order is ${order.join(", ")}, and ${answer} is ${ordinal(place)}.`,
    ],
    solver: `all ${all.length} orders tried, one fits`,
  };
};

function leaves(orders: readonly (readonly string[])[]): string {
  if (orders.length > 3) return `That leaves ${orders.length}.`;
  return `That leaves ${orders.map((order) => order.join("-")).join(" or ")}.`;
}

function cluesOf(order: readonly string[], relation: string, end: string): Clue[] {
  const clues: Clue[] = [];
  const from = end === "" ? "" : ` ${end}`;
  for (const [i, a] of order.entries()) {
    for (const [j, b] of order.entries()) {
      if (i < j) {
        clues.push({
          text: `${a} is somewhere ${relation} ${b}.`,
          holds: (o) => o.indexOf(a) < o.indexOf(b),
        });
        if (j - i === 1)
          clues.push({
            text: `${a} is directly ${relation} ${b}.`,
            holds: (o) => o.indexOf(b) - o.indexOf(a) === 1,
          });
        if (j - i > 1)
          clues.push({
            text: `${a} and ${b} are not next to each other.`,
            holds: (o) => Math.abs(o.indexOf(b) - o.indexOf(a)) > 1,
          });
      }
      if (i !== j)
        clues.push({
          text: `${a} is not ${ordinal(j + 1)}${from}.`,
          holds: (o) => o.indexOf(a) !== j,
        });
    }
  }
  return clues;
}

function permutations<T>(items: readonly T[]): readonly (readonly T[])[] {
  if (items.length < 2) return [items];
  return items.flatMap((item, i) =>
    permutations(items.filter((_, j) => j !== i)).map((rest) => [item, ...rest]),
  );
}

const syllables = [
  "bo",
  "gri",
  "lu",
  "mor",
  "ne",
  "pla",
  "quo",
  "ri",
  "sto",
  "tem",
  "vi",
  "wex",
  "yal",
  "zu",
];
const endingsOfKinds = ["mp", "nt", "rk", "ff", "zzle", "lon", "dle", "pus"];

const kindOf = (draws: Draws): string =>
  `${draws.pick(syllables)}${draws.pick(syllables)}${draws.pick(endingsOfKinds)}`;

/** What somebody is, through kinds of kinds; what somebody is not, through kinds that have nothing in common. Grades: 2 to 6 steps. */
const kinds: Maker = (draws, difficulty) => {
  const steps = difficulty + 1;
  const names = new Set<string>();
  while (names.size < steps + 8) names.add(kindOf(draws));
  const all = [...names];
  const chain = all.slice(0, steps + 1);
  const [others, more] = [all.slice(steps + 1, steps + 4), all.slice(steps + 4)];
  const who = draws.pick(people);
  const answer = chain.at(-1) as string;
  const every = (a: string, b: string): string => `Every ${a} is ${withArticle(b)}.`;
  const links = chain.slice(1).map((kind, i) => every(chain[i] as string, kind));
  // Each of the others is ruled out somewhere on the way.
  const ruledOut = others.map((other) => `No ${chain[draws.int(0, steps)]} is ${withArticle(other)}.`);
  // These lead nowhere: nobody is known to be what they begin with.
  const idle = others.map((other, i) =>
    every(draws.chance(0.5) ? other : (more[i] as string), more[3] as string),
  );
  const rules = draws.shuffled([...links, ...ruledOut, ...new Set(idle)]);
  return {
    family: "kinds",
    facts: `${rules.join("\n")}\n${who} is ${withArticle(chain[0] as string)}.`,
    question: `Which of these is ${who}?`,
    openQuestion: `Which of these is ${who}: ${listed(draws.shuffled([answer, ...others]).map(withArticle), "or")}?`,
    answer: withArticle(answer),
    wrong: others.map(withArticle),
    claim: (kind) => `${who} is ${kind}.`,
    reasoning: [
      `${who} is ${withArticle(chain[0] as string)}.`,
      ...links.map((link, i) => `${link} So ${who} is ${withArticle(chain[i + 1] as string)}.`),
      ...ruledOut.map((rule, i) => `${rule} So ${who} is not ${withArticle(others[i] as string)}.`),
    ],
    solver: "forward chaining reaches the answer and rules the others out",
  };
};

interface Saying {
  readonly text: string;
  /** Whether it is true where those knights are. */
  readonly holds: (knights: ReadonlySet<string>) => boolean;
}

/** Who tells the truth, from what they say of each other. Grades: 2 to 4 people. */
const knights: Maker = (draws, difficulty) => {
  const count = [2, 3, 3, 4, 4][difficulty - 1] as number;
  const names = draws.some(people, count);
  const truth = new Set(names.filter(() => draws.chance(0.5)));
  const sayings = names.map((name) => sayingOf(name, names, truth, draws));
  if (sayings.includes(undefined)) return undefined;
  const said = sayings as readonly Saying[];
  const cases = subsets(names);
  const contradicted = (who: ReadonlySet<string>): number =>
    said.findIndex(({ holds }, i) => holds(who) !== who.has(names[i] as string));
  if (cases.filter((one) => contradicted(one) < 0).length !== 1) return undefined;
  const named = (who: ReadonlySet<string>): string =>
    who.size === 0 ? "nobody" : listed(names.filter((name) => who.has(name)));
  const answer = named(truth);
  return {
    family: "knights",
    facts: `On an island everybody is a knight, who only says what is true, or a knave, who only says what is false.\n${names.map((name, i) => `${name} says: "${said[i]!.text}"`).join("\n")}`,
    question: `Who of ${listed(names)} is a knight?`,
    answer,
    wrong: cases.map(named).filter((other) => other !== answer),
    claim: (who) => `The knights among them: ${who}.`,
    reasoning: [
      ...cases.map((one) => {
        const i = contradicted(one);
        const suppose = `Suppose these are the knights: ${named(one)}.`;
        if (i < 0) return `${suppose} Then everybody speaks as they must.`;
        const name = names[i] as string;
        return `${suppose} ${name} would be a ${one.has(name) ? "knight" : "knave"}, but what ${name} says would be ${one.has(name) ? "false" : "true"}: impossible.`;
      }),
      `So the knights: ${answer}.`,
    ],
    solver: `all ${cases.length} cases tried, one is consistent`,
  };
};

/** Something that `name` can say; undefined: this one cannot be said by them. */
function sayingOf(
  name: string,
  names: readonly string[],
  truth: ReadonlySet<string>,
  draws: Draws,
): Saying | undefined {
  const others = names.filter((other) => other !== name);
  const [a, b = name] = draws.shuffled(others);
  const some = a as string;
  const number = draws.int(1, names.length - 1);
  const sayings: readonly Saying[] = [
    { text: `${some} is a knave.`, holds: (who) => !who.has(some) },
    { text: `${some} is a knight.`, holds: (who) => who.has(some) },
    { text: "At least one of us is a knave.", holds: (who) => who.size < names.length },
    {
      text: `Exactly ${number} of us ${number === 1 ? "is a knight" : "are knights"}.`,
      holds: (who) => who.size === number,
    },
    ...(b === name
      ? []
      : [
          {
            text: `${some} and ${b} are of the same kind.`,
            holds: (who: ReadonlySet<string>) => who.has(some) === who.has(b),
          },
          {
            text: `${some} is a knight or ${b} is a knight, or both.`,
            holds: (who: ReadonlySet<string>) => who.has(some) || who.has(b),
          },
        ]),
  ];
  return draws.shuffled(sayings).find(({ holds }) => holds(truth) === truth.has(name));
}

function subsets(names: readonly string[]): readonly ReadonlySet<string>[] {
  return Array.from(
    { length: 2 ** names.length },
    (_, bits) => new Set(names.filter((_name, i) => (bits >> i) & 1)),
  );
}

export const deductive: readonly Maker[] = [ordering, kinds, knights];
