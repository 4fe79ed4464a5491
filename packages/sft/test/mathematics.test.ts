// Exercises and word problems: answers as they are found from the text alone, by trying values, and every equation in the steps.
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, it } from "vitest";
import { build, buildConfig } from "../src/index.js";
import { noModels } from "./support/building.js";

const folder = mkdtempSync(join(tmpdir(), "posttrain-mathematics-"));
afterAll(() => rmSync(folder, { recursive: true }));

interface Row {
  readonly messages: readonly [{ readonly content: string }, { readonly content: string }];
  readonly answer: string;
  readonly evidence: { readonly generator: string };
}

async function made(options: object): Promise<readonly Row[]> {
  const output = join(folder, "rows.jsonl");
  rmSync(output, { force: true });
  rmSync(`${output}.progress`, { recursive: true, force: true });
  const config = buildConfig.parse({ area: "mathematics", output, ...options });
  await build(config, noModels);
  return readFileSync(output, "utf8")
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as Row);
}

/** Of an expression in +, -, *, / and ^, with the letters as they are given. */
function computed(expression: string, letters: Readonly<Record<string, number>> = {}): number {
  const text = expression
    .replaceAll(/(\d)(?=[xy])/g, "$1*")
    .replaceAll(/[xy]/g, (letter) => `(${letters[letter]})`)
    .replaceAll("^", "**");
  if (!/^[\d\s+\-*/().]+$/.test(text)) throw new Error(`no expression: ${text}`);
  return Function(`return ${text.replaceAll(/(\d)\s*\(/g, "$1*(")}`)() as number;
}

const whole = Array.from({ length: 801 }, (_, i) => i - 400);
const numbersIn = (text: string): number[] =>
  [...text.matchAll(/\d+(?:\/\d+)?/g)].map(([number]) => computed(number));
const near = (a: number, b: number): boolean => Math.abs(a - b) < 1e-9;
const only = (found: readonly number[]): number => {
  if (found.length !== 1) throw new Error(`${found.length} solutions`);
  return found[0]!;
};

const solvers: Readonly<Record<string, (text: string) => number>> = {
  expression: (text) => computed(/^Compute (.*)\.$/.exec(text)![1]!),
  linear: (text) => {
    const [left, right] = /: (.*)$/.exec(text)![1]!.split(" = ");
    return only(whole.filter((x) => computed(left!, { x }) === computed(right!, { x })));
  },
  system: (text) => {
    const [, a, b, c, d] = /hold: (.*) = (-?\d+) and (.*) = (-?\d+)\. What/.exec(text)!;
    const small = whole.filter((x) => Math.abs(x) <= 30);
    return only(
      small.flatMap((x) =>
        small
          .filter((y) => computed(a!, { x, y }) === Number(b) && computed(c!, { x, y }) === Number(d))
          .map((y) => x + y),
      ),
    );
  },
  quadratic: (text) => {
    const roots = whole.filter((x) => computed(/solution of (.*) = 0/.exec(text)![1]!, { x }) === 0);
    return Math.max(...roots);
  },
  fractions: (text) => computed(/^Compute (.*), as/.exec(text)![1]!),
  divisors: (text) => {
    const [a, b] = numbersIn(text) as [number, number];
    if (text.includes("divisor"))
      return Math.max(
        ...Array.from({ length: a }, (_, i) => i + 1).filter((i) => a % i === 0 && b % i === 0),
      );
    for (let i = a; ; i += a) if (i % b === 0) return i;
  },
  remainder: (text) => {
    const [a, b, c] = numbersIn(text) as [number, number, number];
    return Number(BigInt(a) ** BigInt(b) % BigInt(c));
  },
  shopping: (text) => {
    const [has, ...rest] = numbersIn(text.split("How many")[0]!) as [number, ...number[]];
    const discount = text.includes(" % off") ? rest.pop()! : 0;
    let total = 0;
    for (let i = 0; i < rest.length; i += 2) for (let k = 0; k < rest[i]!; k++) total += rest[i + 1]!;
    return has - total * (1 - discount / 100);
  },
  factory: (text) => {
    const all = numbersIn(text.split("How many")[0]!);
    const box = all.pop()!;
    let total = 0;
    for (let i = 0; i < all.length; i += 2) total += all[i]! * all[i + 1]!;
    let boxes = 0;
    for (; total >= box; total -= box) boxes++;
    return text.includes("left over") ? total : boxes;
  },
  ages: (text) => {
    const [factor, sum, later = 0] = numbersIn(text) as [number, number, number?];
    return only(whole.filter((age) => age > 0 && age + factor * age === sum)) * factor + later;
  },
  travel: (text) => {
    const [distance, slow, fast] = numbersIn(text) as [number, number, number];
    return only(
      whole.filter(
        (t) => t > 0 && near(distance + (text.includes("ahead") ? slow * t : -slow * t), fast * t),
      ),
    );
  },
  groups: (text) => {
    const [total, a, c] = numbersIn(text) as [number, number, number];
    return text.includes("had none") ? total * a * (1 - c) : total * a * c;
  },
  saving: (text) => {
    const [has, earns, spends, price] = numbersIn(text) as [number, number, number, number];
    let [money, weeks] = [has, 0];
    for (; money < price; weeks++) money += earns - spends;
    return weeks;
  },
};

it("has the answers that the text has, and equations that hold", async () => {
  const rows = await made({ rows: 2000, seed: 4 });
  expect(rows).toHaveLength(2000);
  const wrong = rows.flatMap(({ messages: [{ content }, response], answer, evidence: { generator } }) => {
    const kind = generator.replace("mathematics/", "");
    const found = solvers[kind]!(content.split("\n\n")[0]!);
    if (!near(found, computed(answer))) return [`${found}, not ${answer}: ${content}`];
    if (!response.content.endsWith(`\nAnswer: ${answer}`)) return [`ends otherwise: ${response.content}`];
    const equations = [
      ...response.content.matchAll(
        /(?<![\w^/.])((?:\(?-?\d+\)?(?: [+\-*] )?)+(?: [+\-*] \(?-?\d+\)?)+) = (-?\d+)(?![\dxy ]*[xy*/])/g,
      ),
    ];
    return equations
      .filter(([, left, right]) => !near(computed(left!), Number(right)))
      .map(([all]) => `${all} in: ${response.content}`);
  });
  expect(wrong).toEqual([]);
  expect(new Set(rows.map(({ evidence }) => evidence.generator)).size).toBe(Object.keys(solvers).length);
  expect(new Set(rows.map(({ messages }) => messages[0].content)).size).toBe(2000);
});
