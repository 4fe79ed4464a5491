// Solves puzzles from their text alone, by trying every case: knows nothing of how they were made.

/** Whether a candidate answers a question; `statement`: whether a sentence is true. */
export interface Solved {
  readonly answers: (question: string, candidate: string) => boolean;
  readonly statement: (text: string) => boolean;
}

type Solver = (facts: string) => Solved;

const ordinals = ["first", "second", "third", "fourth", "fifth", "sixth"];
const names = (text: string): string[] => text.split(/, | and /);
const match = (pattern: RegExp, text: string): string[] => {
  const found = pattern.exec(text);
  if (found === null) throw new Error(`${pattern} does not fit: ${text}`);
  return found.slice(1).map((one) => one ?? "");
};

function orders(items: readonly string[]): string[][] {
  if (items.length === 0) return [[]];
  return orders(items.slice(1)).flatMap((rest) =>
    Array.from({ length: items.length }, (_, i) => [...rest.slice(0, i), items[0]!, ...rest.slice(i)]),
  );
}

function only<T>(found: readonly T[]): T {
  if (found.length !== 1) throw new Error(`${found.length} solutions`);
  return found[0]!;
}

const ordering: Solver = (facts) => {
  const [first, ...clues] = facts.split("\n");
  const [who] = match(/^(.*?) (?:stand|sit|finished|live) /, first!);
  const fits = (order: readonly string[], clue: string): boolean => {
    const at = (name: string | undefined): number => order.indexOf(name!);
    const place = /^(\w+) is not (\w+)(?: from the \w+)?\.$/.exec(clue);
    if (place) return at(place[1]) !== ordinals.indexOf(place[2]!);
    const apart = /^(\w+) and (\w+) are not next to each other\.$/.exec(clue);
    if (apart) return Math.abs(at(apart[1]) - at(apart[2])) !== 1;
    const [a, how, b] = match(
      /^(\w+) is (somewhere|directly) (?:in front of|left of|before|below) (\w+)\.$/,
      clue,
    );
    return how === "directly" ? at(a) + 1 === at(b) : at(a) < at(b);
  };
  const order = only(orders(names(who!)).filter((one) => clues.every((clue) => fits(one, clue))));
  return {
    answers: (question, name) => order[ordinals.indexOf(match(/^Who is (\w+)/, question)[0]!)] === name,
    statement: (text) => {
      const [name, place] = match(/^(\w+) is (\w+)(?: from the \w+)?\.$/, text);
      return order[ordinals.indexOf(place!)] === name;
    },
  };
};

const kinds: Solver = (facts) => {
  const lines = facts.split("\n");
  const [, start] = match(/^(\w+) is an? (\w+)\.$/, lines.at(-1)!);
  const is = new Set([start!]);
  const not = new Set<string>();
  for (let size = -1; size !== is.size + not.size; ) {
    size = is.size + not.size;
    for (const line of lines.slice(0, -1)) {
      const [quantity, a, b] = match(/^(Every|No) (\w+) is an? (\w+)\.$/, line);
      if (is.has(a!)) (quantity === "Every" ? is : not).add(b!);
    }
  }
  const holds = (candidate: string): boolean => {
    const [kind] = match(/^an? (\w+)$/, candidate);
    // Of both nothing may be open.
    if (is.has(kind!) === not.has(kind!)) throw new Error(`${kind} is open`);
    return is.has(kind!);
  };
  return {
    answers: (_, candidate) => holds(candidate),
    statement: (text) => holds(match(/ is (an? \w+)\.$/, text)[0]!),
  };
};

const knights: Solver = (facts) => {
  const sayings = facts
    .split("\n")
    .slice(1)
    .map((line) => match(/^(\w+) says: "(.*)"$/, line));
  const all = sayings.map(([name]) => name!);
  const truth = (knight: readonly string[], said: string): boolean => {
    const is = (name: string | undefined): boolean => knight.includes(name!);
    let found = /^(\w+) is a (knave|knight)\.$/.exec(said);
    if (found) return is(found[1]) === (found[2] === "knight");
    if (said === "At least one of us is a knave.") return knight.length !== all.length;
    found = /^Exactly (\d) of us (?:is a knight|are knights)\.$/.exec(said);
    if (found) return knight.length === Number(found[1]);
    found = /^(\w+) and (\w+) are of the same kind\.$/.exec(said);
    if (found) return is(found[1]) === is(found[2]);
    const [a, b] = match(/^(\w+) is a knight or (\w+) is a knight, or both\.$/, said);
    return is(a) || is(b);
  };
  const cases = all.reduce<string[][]>((sets, name) => sets.flatMap((set) => [set, [...set, name]]), [[]]);
  const found = only(
    cases.filter((one) => sayings.every(([name, said]) => truth(one, said!) === one.includes(name!))),
  );
  const holds = (candidate: string): boolean =>
    (candidate === "nobody" ? [] : names(candidate)).sort().join() === [...found].sort().join();
  return {
    answers: (_, candidate) => holds(candidate),
    statement: (text) => holds(match(/^The knights among them: (.*)\.$/, text)[0]!),
  };
};

const range = (from: number, to: number): number[] =>
  Array.from({ length: to - from + 1 }, (_, i) => from + i);

const series: Solver = (facts) => {
  const [head, told] = facts.split("\n") as [string, string];
  const terms = match(/begins (.*)\.$/, head)[0]!
    .split(", ")
    .map(Number);
  type Rule = (before: readonly number[]) => number;
  const rules: readonly Rule[] = told.startsWith("The same number")
    ? range(-200, 200).map((step) => (before: readonly number[]) => before.at(-1)! + step)
    : told.startsWith("Each is the one before times")
      ? range(-10, 10).flatMap((factor) =>
          range(-100, 100).map(
            (plus): Rule =>
              (before) =>
                before.at(-1)! * factor + plus,
          ),
        )
      : told.startsWith("The steps between")
        ? range(-50, 50).map(
            (growth): Rule =>
              (before) =>
                2 * before.at(-1)! - before.at(-2)! + growth,
          )
        : told.startsWith("From the third on")
          ? range(1, 3).flatMap((p) =>
              range(1, 3).map(
                (q): Rule =>
                  (before) =>
                    p * before.at(-1)! + q * before.at(-2)!,
              ),
            )
          : range(-60, 60).flatMap((odd) =>
              range(-60, 60).map(
                (even): Rule =>
                  (before) =>
                    before.at(-2)! + (before.length % 2 === 0 ? odd : even),
              ),
            );
  const from = /^(?:The same|Each)/.test(told) ? 1 : 2;
  const fitting = rules.filter((rule) =>
    range(from, terms.length - 1).every((i) => rule(terms.slice(0, i)) === terms[i]),
  );
  const next = String(only([...new Set(fitting.map((rule) => rule(terms)))]));
  return {
    answers: (_, candidate) => candidate === next,
    statement: (text) => match(/^The next number is (-?\d+)\.$/, text)[0] === next,
  };
};

const acceptance: Solver = (facts) => {
  const [head, ...lines] = facts.split("\n") as [string, ...string[]];
  const words = (thing: string): string[] => thing.split(" ").slice(1);
  const examples = lines
    .map((line) => match(/^(.*): (yes|no)$/, line))
    .map(([thing, is]) => [words(thing!), is === "yes"] as const);
  const known = examples[0]![0].map((_, i) => [...new Set(examples.map(([thing]) => thing[i]!))]);
  const one = known.flatMap((all, i) => all.map((word) => [[i, word] as const]));
  const two = one.flatMap(([a]) => one.flatMap(([b]) => (a![0] < b![0] ? [[a!, b!]] : [])));
  const rules = head.includes("one property") ? one : two;
  const fits = (rule: readonly (readonly [number, string])[], thing: readonly string[]): boolean =>
    rule.every(([i, word]) => thing[i] === word);
  const rule = only(rules.filter((rule) => examples.every(([thing, is]) => fits(rule, thing) === is)));
  return {
    answers: (_, candidate) => fits(rule, words(candidate)),
    statement: (text) => fits(rule, words(match(/^The next thing, (.*), is a yes\.$/, text)[0]!)),
  };
};

const letters: Solver = (facts) => {
  const [from, to, other] = match(
    /^(\w+) becomes (\w+)\. (\w+) is changed in the same way(?:, in two steps)?\.$/,
    facts,
  );
  const code = (letter: string, by: number): string =>
    String.fromCharCode(97 + ((letter.charCodeAt(0) - 97 + by + 26) % 26));
  type Change = (word: string) => string;
  const single: readonly Change[] = [
    (w) => w.split("").reduce((all, letter) => letter + all, ""),
    (w) => `${w[w.length - 1]}${w.substring(1, w.length - 1)}${w[0]}`,
    (w) => w.substring(1),
    (w) => w.substring(0, w.length - 1),
    (w) => w.substring(1) + w.charAt(0),
    (w) => w.charAt(w.length - 1) + w.substring(0, w.length - 1),
    (w) => w.replace(/./g, "$&$&"),
    (w) => w.replace(/.$/, "$&$&"),
    ...[1, 2, 3, -1, -2].map(
      (by): Change =>
        (w) =>
          w.replace(/./g, (letter) => code(letter, by)),
    ),
    ...[1, 2, -1].map(
      (by): Change =>
        (w) =>
          w.replace(/.$/, (letter) => code(letter, by)),
    ),
  ];
  const changes = facts.includes("two steps")
    ? single.flatMap((a) =>
        single.map(
          (b): Change =>
            (w) =>
              b(a(w)),
        ),
      )
    : single;
  const answer = only([
    ...new Set(changes.filter((change) => change(from!) === to).map((change) => change(other!))),
  ]);
  return {
    answers: (_, candidate) => candidate === answer,
    statement: (text) => match(/ becomes (\w+)\.$/, text)[0] === answer,
  };
};

const figures: Solver = (facts) => {
  const parse = (text: string): string[] =>
    text
      .replace(/^an? /, "one ")
      .replace(/crosses$/, "cross")
      .replace(/(?<!s)s$/, "")
      .split(" ");
  const [a, b, c] = match(/:\n(.*) -> (.*)\n(.*) -> \?$/, facts).map(parse) as [string[], string[], string[]];
  const answer = c.map((word, i) => (a[i] === b[i] ? word : b[i]!)).join(" ");
  if (c.some((word, i) => a[i] !== b[i] && word !== a[i])) throw new Error("the second lacks what changes");
  return {
    answers: (_, candidate) => parse(candidate).join(" ") === answer,
    statement: (text) => parse(match(/mark stands (.*)\.$/, text)[0]!).join(" ") === answer,
  };
};

const machine = (facts: string) => {
  const rules = [...facts.matchAll(/^The (\w+) runs exactly when the (\w+(?: switch)?)(.*)\.$/gm)].map(
    ([, name, a, rest]) => {
      const b = /the (\w+(?: switch)?)/.exec(rest!)?.[1];
      const value = (on: ReadonlyMap<string, boolean>): boolean => {
        const [x, y] = [on.get(a!)!, b === undefined ? false : on.get(b)!];
        if (rest!.includes("both on")) return x && y;
        if (rest!.includes("or both")) return x || y;
        return rest === " is off" ? !x : x && !y;
      };
      return [name!, value] as const;
    },
  );
  const start = new Map(
    [...facts.matchAll(/The (\w+ switch) is (on|off)\./g)].map(
      ([, name, is]) => [name!, is === "on"] as const,
    ),
  );
  const run = (
    state: ReadonlyMap<string, boolean>,
    held: ReadonlyMap<string, boolean> = new Map(),
  ): Map<string, boolean> => {
    const on = new Map([...rules.map(([name]) => [name, false] as const), ...state, ...held]);
    for (const _ of rules) for (const [name, value] of rules) if (!held.has(name)) on.set(name, value(on));
    return on;
  };
  return { start, run };
};

const intervention: Solver = (facts) => {
  const { start, run } = machine(facts);
  const [held, how] = match(/holds the (\w+) (on|off) by hand/, facts);
  const after = run(start, new Map([[held!, how === "on"]]));
  const on = [...after].filter(([name, is]) => is && name !== held && !start.has(name)).map(([name]) => name);
  const holds = (candidate: string): boolean =>
    (candidate === "none" ? [] : names(candidate)).sort().join() === on.sort().join();
  return {
    answers: (_, candidate) => holds(candidate),
    statement: (text) => holds(match(/on now: (.*)\.$/, text)[0]!),
  };
};

const difference: Solver = (facts) => {
  const { start, run } = machine(facts);
  const decides = (about: string, one: string): boolean => {
    const [part, is] = match(/^The (\w+) is (on|off)[.;]/, about);
    if (run(start).get(part!) !== (is === "on")) throw new Error("the text has it otherwise");
    const makes = [...start.keys()].filter(
      (name) => run(new Map([...start, [name, !start.get(name)]])).get(part!) !== (is === "on"),
    );
    return one === `the ${only(makes)}`;
  };
  return {
    answers: decides,
    statement: (text) => decides(text, match(/is this: (.*)\.$/, text)[0]!),
  };
};

const value = (text: string): number => {
  const [above, below = "1"] = text.split("/");
  return Number(above) / Number(below);
};
const close = (a: number, text: string): boolean => Math.abs(a - value(text)) < 1e-12;

const bag: Solver = (facts) => {
  const balls = [...match(/^A bag has (.*) balls\./, facts)[0]!.matchAll(/(\d+) (\w+)/g)].flatMap(
    ([, count, colour]) => Array.from({ length: Number(count) }, () => colour!),
  );
  const chance = (event: string): number => {
    const single = /that it is (\w+)/.exec(event)?.[1];
    if (single !== undefined) return balls.filter((ball) => ball === single).length / balls.length;
    const colour = /that both are (\w+)/.exec(event)?.[1];
    let [hits, all] = [0, 0];
    for (const [i, a] of balls.entries())
      for (const [j, b] of balls.entries()) {
        if (i === j) continue;
        all++;
        if (a === b && (colour === undefined || a === colour)) hits++;
      }
    return hits / all;
  };
  return {
    answers: (question, candidate) => close(chance(question), candidate),
    statement: (text) => close(chance(text), match(/ is ([\d/]+)\.$/, text)[0]!),
  };
};

const evidence: Solver = (facts) => {
  const rates = /^Of \d+ \w+ (\d+) % .* Of these (\d+) % .*; of those .*, (\d+) % /
    .exec(facts)
    ?.slice(1)
    .map((one) => Number(one) / 100);
  const [rate, hit, alarm] = rates ?? [];
  const counts = match(/Of these (\d+) .*; of .*?, (\d+) /, facts).map(Number) as [number, number];
  const chance =
    rate === undefined
      ? counts[0] / (counts[0] + counts[1])
      : (rate * hit!) / (rate * hit! + (1 - rate) * alarm!);
  return {
    answers: (_, candidate) => close(chance, candidate),
    statement: (text) => close(chance, match(/ is ([\d/]+)\.$/, text)[0]!),
  };
};

const averages: Solver = (facts) => {
  const [list, added] = match(/^A list of numbers: (.*?)\.(?: Then (\d+) is added to the list\.)?$/, facts);
  const all = [...list!.split(", ").map(Number), ...(added === "" ? [] : [Number(added)])].sort(
    (a, b) => a - b,
  );
  const measure = (text: string): number => {
    if (/\bmean\b/.test(text)) return all.reduce((a, b) => a + b) / all.length;
    if (/\brange\b/.test(text)) return Math.max(...all) - Math.min(...all);
    return (all[(all.length - 1) >> 1]! + all[all.length >> 1]!) / 2;
  };
  return {
    answers: (question, candidate) => close(measure(question), candidate),
    statement: (text) => close(measure(text), match(/ is (?:now )?([\d/]+)\.$/, text)[0]!),
  };
};

const groups: Solver = (facts) => {
  const sides = facts
    .split("\n")
    .slice(1)
    .map((line) =>
      [...line.matchAll(/of (\d+) [a-z ]+? (\d+) /g)].map(([, of, good]) => [Number(of), Number(good)]),
    );
  const best = (a: number, b: number): string => (a > b ? "A" : "B");
  const total = (side: readonly number[][], i: number): number =>
    side.reduce((sum, part) => sum + part[i]!, 0);
  const [a, b] = sides as [number[][], number[][]];
  const right = [
    ...[0, 1].map((g) => best(a[g]![1]! / a[g]![0]!, b[g]![1]! / b[g]![0]!)),
    best(total(a, 1) / total(a, 0), total(b, 1) / total(b, 0)),
  ].join();
  const holds = (text: string): boolean =>
    [...text.matchAll(/\b([AB]) (?:for|in)\b/g)].map(([, one]) => one).join() === right;
  return { answers: (_, candidate) => holds(candidate), statement: holds };
};

export const solvers: Readonly<Record<string, Solver>> = {
  ...{ ordering, kinds, knights, series, acceptance, letters, figures },
  ...{ intervention, difference, bag, evidence, averages, groups },
};
