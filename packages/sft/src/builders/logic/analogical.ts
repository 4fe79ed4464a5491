// Analogies: the same change to another thing. Of all changes that would explain the example, every one gives the same answer.
import type { Draws } from "../draws.js";
import type { Maker } from "./puzzle.js";
import { withArticle } from "./words.js";

interface Change {
  readonly text: string;
  readonly apply: (word: string) => string;
}

const alphabet = "abcdefghijklmnopqrstuvwxyz";
const shift = (letter: string, by: number): string =>
  alphabet[(alphabet.indexOf(letter) + by + 26) % 26] as string;

const changes: readonly Change[] = [
  { text: "the letters are in reverse order", apply: (word) => [...word].reverse().join("") },
  {
    text: "the first and the last letter change places",
    apply: (word) => word.at(-1)! + word.slice(1, -1) + word[0]!,
  },
  { text: "the first letter is taken away", apply: (word) => word.slice(1) },
  { text: "the last letter is taken away", apply: (word) => word.slice(0, -1) },
  { text: "the first letter goes to the end", apply: (word) => word.slice(1) + word[0]! },
  { text: "the last letter goes to the front", apply: (word) => word.at(-1)! + word.slice(0, -1) },
  { text: "every letter is doubled", apply: (word) => [...word].map((letter) => letter + letter).join("") },
  { text: "the last letter is doubled", apply: (word) => word + word.at(-1)! },
  ...[1, 2, 3, -1, -2].map((by) => ({
    text: `every letter moves ${Math.abs(by)} ${by > 0 ? "forward" : "back"} in the alphabet (after z comes a)`,
    apply: (word: string) => [...word].map((letter) => shift(letter, by)).join(""),
  })),
  ...[1, 2, -1].map((by) => ({
    text: `the last letter moves ${Math.abs(by)} ${by > 0 ? "forward" : "back"} in the alphabet (after z comes a)`,
    apply: (word: string) => word.slice(0, -1) + shift(word.at(-1)!, by),
  })),
];

const twice: readonly Change[] = changes.flatMap((first) =>
  changes.map((second) => ({
    text: `${first.text}; then ${second.text}`,
    apply: (word: string) => second.apply(first.apply(word)),
  })),
);

/** Letters that are changed alike. Grades: words of 3 to 6 letters; one change, from grade 4 on two, one after the other. */
const letters: Maker = (draws, difficulty) => {
  const [length, known] = difficulty < 4 ? [difficulty + 2, changes] : [difficulty, twice];
  const change = draws.pick(known);
  const [from, other] = [wordOf(draws, length), wordOf(draws, length)];
  const to = change.apply(from);
  const answer = change.apply(other);
  const explaining = known.filter(({ apply }) => apply(from) === to);
  if (to === from || explaining.some(({ apply }) => apply(other) !== answer)) return undefined;
  const wrong = new Set(draws.some(known, 12).map(({ apply }) => apply(other)));
  for (const same of [answer, other]) wrong.delete(same);
  if (wrong.size < 3) return undefined;
  return {
    family: "letters",
    facts: `${from} becomes ${to}. ${other} is changed in the same way${difficulty < 4 ? "" : ", in two steps"}.`,
    question: `What does ${other} become?`,
    answer,
    wrong: [...wrong],
    claim: (word) => `${other} becomes ${word}.`,
    reasoning: [`From ${from} to ${to}: ${change.text}.`, `Done to ${other}, that gives ${answer}.`],
    solver: `of ${known.length} changes ${explaining.length} ${explaining.length === 1 ? "explains" : "explain"} the example, and all that do give this answer`,
  };
};

function wordOf(draws: Draws, length: number): string {
  return draws.some([...alphabet], length).join("");
}

const looks = {
  number: ["one", "two", "three", "four"],
  size: ["small", "medium", "large"],
  colour: ["red", "blue", "green", "yellow", "black", "white", "orange", "purple"],
  filling: ["solid", "striped", "dotted", "hollow"],
  shape: ["circle", "square", "triangle", "star", "hexagon", "cross"],
} as const;
type Look = keyof typeof looks;
const lookNames = Object.keys(looks) as readonly Look[];
type Figure = Readonly<Record<Look, string>>;

const figureText = ({ number, size, colour, filling, shape }: Figure): string =>
  number === "one"
    ? withArticle(`${size} ${colour} ${filling} ${shape}`)
    : `${number} ${size} ${colour} ${filling} ${shape === "cross" ? "crosses" : `${shape}s`}`;

/** Figures that are changed alike. Grades: 1 to 3 properties change (of five). */
const figures: Maker = (draws, difficulty) => {
  const changed = draws.some(lookNames, [1, 1, 2, 3, 4][difficulty - 1]!);
  const figure = (): Figure =>
    Object.fromEntries(lookNames.map((name) => [name, draws.pick(looks[name])])) as Figure;
  const from = figure();
  const after = Object.fromEntries(
    changed.map((name) => [name, draws.pick(looks[name].filter((word) => word !== from[name]))]),
  ) as Partial<Figure>;
  // What changes is alike in both; what does not, is not.
  const other = { ...figure(), ...Object.fromEntries(changed.map((name) => [name, from[name]])) } as Figure;
  const kept = lookNames.filter((name) => !changed.includes(name));
  if (kept.every((name) => other[name] === from[name])) return undefined;
  const answer = figureText({ ...other, ...after });
  const wrong = new Set<string>([figureText({ ...from, ...after }), figureText(other)]);
  for (let tries = 0; tries < 6; tries++) {
    const name = draws.pick(lookNames);
    wrong.add(figureText({ ...other, ...after, [name]: draws.pick(looks[name]) }));
  }
  wrong.delete(answer);
  if (wrong.size < 3) return undefined;
  return {
    family: "figures",
    facts: `A change, and the same change to something else:\n${figureText(from)} -> ${figureText({ ...from, ...after })}\n${figureText(other)} -> ?`,
    question: "What stands in place of the question mark?",
    answer,
    wrong: [...wrong],
    claim: (text) => `In place of the question mark stands ${text}.`,
    reasoning: [
      ...changed.map((name) => `The ${name} changes from ${from[name]} to ${after[name]}.`),
      "All else stays as it is.",
      `So: ${figureText(other)} -> ${answer}.`,
    ],
    solver: "the changed properties are alike in both figures",
  };
};

export const analogical: readonly Maker[] = [letters, figures];
