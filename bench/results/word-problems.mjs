// Word problems with true answers, by a seed: sums and differences of a story's numbers, of `steps` steps over numbers below `largest`.
const people = ["Ada", "Ben", "Chen", "Dora", "Emil", "Fay", "Gus", "Hana"];
const things = ["apples", "marbles", "stamps", "coins", "shells", "books", "pencils", "cards"];
const turns = [
  { text: "buys NUMBER more", sign: 1 },
  { text: "finds NUMBER", sign: 1 },
  { text: "gives NUMBER to a friend", sign: -1 },
  { text: "loses NUMBER", sign: -1 },
];

/**
 * @param {{ count: number, seed: number, steps: number, largest: number }} options
 * @param {Set<string>} taken questions that are not to be asked, to which these are added
 */
export function wordProblems({ count, seed, steps, largest }, taken = new Set()) {
  const draw = drawer(seed);
  /** @type {{ question: string, answer: string }[]} */
  const problems = [];
  while (problems.length < count) {
    const [person, thing] = [people[draw(people.length)], things[draw(things.length)]];
    let total = 1 + draw(largest - 1);
    const parts = [`${person} has ${total} ${thing}.`];
    for (let step = 0; step < steps; step++) {
      const turn = turns[draw(turns.length)] ?? turns[0];
      if (turn === undefined) throw new Error("no turns");
      const most = turn.sign > 0 ? largest - 1 : total;
      if (most < 1) continue;
      const number = 1 + draw(most);
      total += turn.sign * number;
      parts.push(`${person} ${turn.text.replace("NUMBER", String(number))}.`);
    }
    const question = `${parts.join(" ")} How many ${thing} does ${person} have now? End with "The answer is" and the number.`;
    if (taken.has(question)) continue;
    taken.add(question);
    problems.push({ question, answer: String(total) });
  }
  return problems;
}

/** Whole numbers below n: mulberry32. @param {number} seed @returns {(n: number) => number} */
function drawer(seed) {
  let state = seed >>> 0;
  return (n) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let z = Math.imul(state ^ (state >>> 15), state | 1);
    z ^= z + Math.imul(z ^ (z >>> 7), z | 61);
    return Math.floor((((z ^ (z >>> 14)) >>> 0) / 2 ** 32) * n);
  };
}
