// Word problems of several steps.
import { people } from "../logic/words.js";
import { lowest, type ProblemMaker } from "./problem.js";

const goods = [
  ...[
    ["pencil", "pencils"],
    ["notebook", "notebooks"],
    ["mug", "mugs"],
    ["ticket", "tickets"],
    ["plant", "plants"],
  ],
  ...[
    ["lamp", "lamps"],
    ["puzzle", "puzzles"],
    ["scarf", "scarves"],
    ["brush", "brushes"],
    ["kite", "kites"],
  ],
] as const;

/** What is left after buying. Grades: 1 to 3 things; from 4 on a discount. */
const shopping: ProblemMaker = (draws, difficulty) => {
  const who = draws.pick(people);
  const bought = draws.some(goods, Math.min(3, difficulty)).map(([one, more]) => ({
    one,
    more,
    count: draws.int(2, 3 + 2 * difficulty),
    price: draws.int(2, 6 + 4 * difficulty),
  }));
  const total = bought.reduce((sum, { count, price }) => sum + count * price, 0);
  const discount = difficulty < 4 ? 0 : draws.pick([10, 20, 25, 50]);
  if ((total * discount) % 100 !== 0) return undefined;
  const paid = total - (total * discount) / 100;
  const has = paid + draws.int(1, 20 * difficulty);
  const costs = bought.map(({ more, count, price }) => `${count} ${more} at ${price} dollars each`);
  return {
    kind: "shopping",
    text: `${who} has ${has} dollars and buys ${costs.join(", ").replace(/, ([^,]*)$/, " and $1")}.${discount === 0 ? "" : ` The shop takes ${discount} % off the whole.`} How many dollars does ${who} have left?`,
    answer: String(has - paid),
    steps: [
      ...bought.map(
        ({ more, count, price }) => `The ${more} cost ${count} * ${price} = ${count * price} dollars.`,
      ),
      ...(bought.length > 1
        ? [`Together: ${bought.map(({ count, price }) => count * price).join(" + ")} = ${total} dollars.`]
        : []),
      ...(discount === 0
        ? []
        : [
            `${discount} % of ${total} are ${(total * discount) / 100}, so ${total} - ${(total * discount) / 100} = ${paid} dollars are paid.`,
          ]),
      `What is left: ${has} - ${paid} = ${has - paid} dollars.`,
    ],
  };
};

/** Boxes of what several machines make. */
const factory: ProblemMaker = (draws, difficulty) => {
  const machines = Array.from({ length: 1 + Math.ceil(difficulty / 2) }, () => ({
    rate: draws.int(5, 20 * difficulty),
    hours: draws.int(2, 3 + difficulty),
  }));
  const [, things] = draws.pick(goods);
  const total = machines.reduce((sum, { rate, hours }) => sum + rate * hours, 0);
  const box = draws.int(3, 6 * difficulty);
  const [full, rest] = [Math.floor(total / box), total % box];
  const asksRest = draws.chance(0.4);
  const said = machines.map(
    ({ rate, hours }, i) =>
      `${i === 0 ? "One machine" : "another"} makes ${rate} ${things} an hour and runs for ${hours} hours`,
  );
  return {
    kind: "factory",
    text: `${said.join(", ")}. The ${things} are packed into boxes of ${box}. ${asksRest ? `How many ${things} are left over when as many boxes as possible are full?` : "How many full boxes are there?"}`,
    answer: String(asksRest ? rest : full),
    steps: [
      ...machines.map(({ rate, hours }) => `${rate} * ${hours} = ${rate * hours} ${things}.`),
      ...(machines.length > 1
        ? [`In all ${machines.map(({ rate, hours }) => rate * hours).join(" + ")} = ${total}.`]
        : []),
      `${total} = ${full} * ${box} + ${rest}: ${full} full boxes, and ${rest} left over.`,
    ],
  };
};

/** Ages from a sum and a ratio, now and in some years. */
const ages: ProblemMaker = (draws, difficulty) => {
  const [older, younger] = draws.some(people, 2) as [string, string];
  const [factor, age, later] = [
    draws.int(2, 2 + difficulty),
    draws.int(3, 8 + 3 * difficulty),
    difficulty < 3 ? 0 : draws.int(2, 4 * difficulty),
  ];
  const sum = (factor + 1) * age;
  return {
    kind: "ages",
    text: `${older} is ${factor} times as old as ${younger}, and together they are ${sum} years old. How old ${later === 0 ? `is ${older}` : `will ${older} be in ${later} years`}?`,
    answer: String(factor * age + later),
    steps: [
      `If ${younger} is y years old, ${older} is ${factor} * y, and together they are ${factor + 1} * y = ${sum}.`,
      `So y = ${sum} / ${factor + 1} = ${age}.`,
      `${older} is ${factor} * ${age} = ${factor * age} years old.`,
      ...(later === 0 ? [] : [`In ${later} years: ${factor * age} + ${later} = ${factor * age + later}.`]),
    ],
  };
};

/** Two who go towards each other, or one who catches up. */
const travel: ProblemMaker = (draws, difficulty) => {
  const [a, b] = draws.some(people, 2) as [string, string];
  const [slow, gap, hours] = [
    draws.int(3, 10 * difficulty),
    draws.int(2, 5 * difficulty),
    draws.int(2, 2 + difficulty),
  ];
  const fast = slow + gap;
  const isCatching = difficulty > 2 && draws.chance(0.5);
  const distance = (isCatching ? gap : fast + slow) * hours;
  const asked = "After how many hours do they meet?";
  return {
    kind: "travel",
    text: isCatching
      ? `${a} is ${distance} km ahead of ${b} on the same road. ${a} goes ${slow} km an hour and ${b}, behind, ${fast} km an hour in the same direction. ${asked}`
      : `${a} and ${b} are ${distance} km apart and go towards each other, ${a} at ${slow} km an hour and ${b} at ${fast} km an hour. ${asked}`,
    answer: String(hours),
    steps: [
      isCatching
        ? `Each hour ${b} comes ${fast} - ${slow} = ${gap} km closer.`
        : `Each hour they come ${fast} + ${slow} = ${fast + slow} km closer.`,
      `${distance} / ${isCatching ? gap : fast + slow} = ${hours} hours.`,
    ],
  };
};

/** A fraction of a fraction. */
const groups: ProblemMaker = (draws, difficulty) => {
  const [b, d] = [draws.int(2, 3 + difficulty), draws.int(2, 3 + difficulty)];
  const [a, c] = [draws.int(1, b - 1), draws.int(1, d - 1)];
  const total = b * d * draws.int(2, 6 * difficulty);
  const [first, second] = [(total / b) * a, (((total / b) * a) / d) * c];
  const asksOthers = difficulty > 2 && draws.chance(0.5);
  return {
    kind: "groups",
    text: `Of ${total} visitors ${lowest(a, b)} came by train. Of those who came by train ${lowest(c, d)} had a bicycle with them. How many ${asksOthers ? "of those who came by train had none" : "came by train with a bicycle"}?`,
    answer: String(asksOthers ? first - second : second),
    steps: [
      `By train came ${lowest(a, b)} of ${total}: ${first}.`,
      `With a bicycle ${lowest(c, d)} of ${first}: ${second}.`,
      ...(asksOthers ? [`Without: ${first} - ${second} = ${first - second}.`] : []),
    ],
  };
};

/** Weeks until something can be bought. */
const saving: ProblemMaker = (draws, difficulty) => {
  const who = draws.pick(people);
  const [one] = draws.pick(goods);
  const [earns, spends] = [draws.int(10, 20 * difficulty + 10), draws.int(1, 9)];
  const [has, price] = [draws.int(0, 20 * difficulty), draws.int(60, 150 * difficulty)];
  const needed = price - has;
  const weeks = Math.ceil(needed / (earns - spends));
  if (needed <= 0 || weeks < 2) return undefined;
  return {
    kind: "saving",
    text: `${who} has ${has} dollars, earns ${earns} dollars at the end of every week and spends ${spends} of them. After how many weeks can ${who} pay ${price} dollars for a ${one}?`,
    answer: String(weeks),
    steps: [
      `Each week ${earns} - ${spends} = ${earns - spends} dollars are saved.`,
      `Still needed are ${price} - ${has} = ${needed} dollars.`,
      `After ${weeks - 1} weeks there are ${has} + ${weeks - 1} * ${earns - spends} = ${has + (weeks - 1) * (earns - spends)} dollars, too few; after ${weeks} there are ${has + weeks * (earns - spends)}.`,
    ],
  };
};

export const stories: readonly ProblemMaker[] = [shopping, factory, ages, travel, groups, saving];
