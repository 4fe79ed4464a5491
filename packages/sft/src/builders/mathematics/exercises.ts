// Exercises: expressions, equations, fractions, divisors and remainders.
import type { Draws } from "../draws.js";
import { divisor, lowest, type ProblemMaker, plus, times } from "./problem.js";

/** A whole number that is not 0. */
function some(draws: Draws, most: number): number {
  const value = draws.int(1, most);
  return draws.chance(0.5) ? value : -value;
}

type Expression =
  | number
  | { readonly operator: "+" | "-" | "*"; readonly left: Expression; readonly right: Expression };

function expressionOf(draws: Draws, operators: number, most: number): Expression {
  if (operators === 0) return draws.int(1, most);
  const left = draws.int(0, operators - 1);
  return {
    operator: draws.pick(["+", "-", "*"] as const),
    left: expressionOf(draws, left, most),
    right: expressionOf(draws, operators - 1 - left, most),
  };
}

const strength = { "+": 1, "-": 1, "*": 2 } as const;

function written(expression: Expression): string {
  if (typeof expression === "number") return String(expression);
  const { operator, left, right } = expression;
  const part = (one: Expression, isRight: boolean): string => {
    if (typeof one === "number") return one < 0 ? `(${one})` : String(one);
    const needs =
      strength[one.operator] < strength[operator] ||
      (isRight && strength[one.operator] === strength[operator] && operator !== "+");
    return needs ? `(${written(one)})` : written(one);
  };
  return `${part(left, false)} ${operator} ${part(right, true)}`;
}

const apply = {
  "+": (a: number, b: number) => a + b,
  "-": (a: number, b: number) => a - b,
  "*": (a: number, b: number) => a * b,
};

/** One operation worked out, the leftmost whose parts are numbers. */
function reduced(expression: Exclude<Expression, number>): {
  readonly now: Expression;
  readonly step: string;
} {
  const { operator, left, right } = expression;
  if (typeof left !== "number") {
    const { now, step } = reduced(left);
    return { now: { operator, left: now, right }, step };
  }
  if (typeof right !== "number") {
    const { now, step } = reduced(right);
    return { now: { operator, left, right: now }, step };
  }
  const now = apply[operator](left, right);
  return { now, step: `${written(expression)} = ${now}` };
}

const expression: ProblemMaker = (draws, difficulty) => {
  const whole = expressionOf(draws, difficulty + 1, 6 + 4 * difficulty);
  const steps: string[] = [];
  let left = whole;
  while (typeof left !== "number") {
    const { now, step } = reduced(left);
    steps.push(typeof now === "number" ? `${step}.` : `${step}, which leaves ${written(now)}.`);
    left = now;
  }
  if (Math.abs(left) > 10 ** (difficulty + 2)) return undefined;
  return { kind: "expression", text: `Compute ${written(whole)}.`, answer: String(left), steps };
};

const linear: ProblemMaker = (draws, difficulty) => {
  const most = 4 * difficulty;
  const [x, a, b] = [some(draws, 5 * difficulty), some(draws, most), some(draws, 5 * most)];
  const c = difficulty < 3 ? 0 : some(draws, most);
  if (a === c) return undefined;
  const d = a * x + b - c * x;
  const right = c === 0 ? String(d) : `${times(c, "x")}${d === 0 ? "" : plus(d)}`;
  return {
    kind: "linear",
    text: `Solve for x: ${times(a, "x")}${plus(b)} = ${right}`,
    answer: String(x),
    steps: [
      ...(c === 0 ? [] : [`Take ${times(c, "x")} from both sides: ${times(a - c, "x")}${plus(b)} = ${d}.`]),
      `Take ${b} from both sides: ${times(a - c, "x")} = ${d - b}.`,
      `Divide by ${a - c}: x = ${x}.`,
      `Check: ${a} * ${x}${plus(b)} = ${a * x + b}${c === 0 ? "" : ` and ${c} * ${x}${plus(d)} = ${c * x + d}`}.`,
    ],
  };
};

const system: ProblemMaker = (draws, difficulty) => {
  const most = 1 + 2 * difficulty;
  const [x, y] = [some(draws, 4 * difficulty), some(draws, 4 * difficulty)];
  const [a, b, c, d] = [some(draws, most), some(draws, most), some(draws, most), some(draws, most)];
  const determinant = a * d - b * c;
  if (determinant === 0) return undefined;
  const [e, f] = [a * x + b * y, c * x + d * y];
  return {
    kind: "system",
    text: `Two equations hold: ${times(a, "x")}${plus(b, "y")} = ${e} and ${times(c, "x")}${plus(d, "y")} = ${f}. What is x + y?`,
    answer: String(x + y),
    steps: [
      `Multiply the first by ${d} and the second by ${b}: ${times(a * d, "x")}${plus(b * d, "y")} = ${e * d} and ${times(c * b, "x")}${plus(d * b, "y")} = ${f * b}.`,
      `Take the second from the first: ${times(determinant, "x")} = ${e * d - f * b}, so x = ${x}.`,
      `Put into the first: ${a * x}${plus(b, "y")} = ${e}, so ${times(b, "y")} = ${e - a * x} and y = ${y}.`,
      `x + y = ${x}${plus(y)} = ${x + y}.`,
    ],
  };
};

const quadratic: ProblemMaker = (draws, difficulty) => {
  const [p, q] = [some(draws, 3 * difficulty), some(draws, 3 * difficulty)];
  if (p === q) return undefined;
  const [sum, product] = [p + q, p * q];
  const larger = Math.max(p, q);
  const middle = sum === 0 ? "" : plus(-sum, "x");
  return {
    kind: "quadratic",
    text: `What is the larger solution of x^2${middle}${plus(product)} = 0?`,
    answer: String(larger),
    steps: [
      `Two numbers with the product ${product} and the sum ${sum}: ${p} and ${q}, because ${p} * ${q} = ${product} and ${p}${plus(q)} = ${sum}.`,
      `So the equation is (x${plus(-p)}) * (x${plus(-q)}) = 0, and the solutions are ${p} and ${q}.`,
      `The larger is ${larger}.`,
    ],
  };
};

const fractions: ProblemMaker = (draws, difficulty) => {
  const most = 4 + 4 * difficulty;
  const [b, d] = [draws.int(2, most), draws.int(2, most)];
  const [a, c] = [draws.int(1, b * 2), draws.int(1, d * 2)];
  const operator = draws.pick(difficulty < 2 ? (["+"] as const) : (["+", "-", "*"] as const));
  const [above, below] = operator === "*" ? [a * c, b * d] : [apply[operator](a * d, c * b), b * d];
  return {
    kind: "fractions",
    text: `Compute ${a}/${b} ${operator} ${c}/${d}, as a fraction in lowest terms.`,
    answer: lowest(above, below),
    steps: [
      operator === "*"
        ? `Multiply above and below: ${a} * ${c} = ${above} and ${b} * ${d} = ${below}.`
        : `Over ${b} * ${d} = ${below}: ${a} * ${d} = ${a * d} and ${c} * ${b} = ${c * b}, so above stands ${a * d} ${operator} ${c * b} = ${above}.`,
      divisor(above, below) === 1
        ? `${above}/${below} is in lowest terms.`
        : `${above}/${below} with both divided by ${divisor(above, below)}: ${lowest(above, below)}.`,
    ],
  };
};

const commonDivisor: ProblemMaker = (draws, difficulty) => {
  const shared = draws.int(1, 6 * difficulty);
  const [a, b] = [shared * draws.int(2, 10 * difficulty), shared * draws.int(2, 10 * difficulty)];
  if (a === b) return undefined;
  const steps: string[] = [];
  for (let [x, y] = [Math.max(a, b), Math.min(a, b)]; y > 0; [x, y] = [y, x % y])
    steps.push(`${x} = ${Math.floor(x / y)} * ${y} + ${x % y}.`);
  const greatest = divisor(a, b);
  const isMultiple = draws.chance(0.5);
  const least = (a / greatest) * b;
  return {
    kind: "divisors",
    text: `What is the ${isMultiple ? "least common multiple" : "greatest common divisor"} of ${a} and ${b}?`,
    answer: String(isMultiple ? least : greatest),
    steps: [
      ...steps,
      `The last divisor that leaves no rest is ${greatest}: the greatest common divisor.`,
      ...(isMultiple ? [`The least common multiple is ${a} * ${b} / ${greatest} = ${least}.`] : []),
    ],
  };
};

const remainder: ProblemMaker = (draws, difficulty) => {
  const [base, exponent, modulus] = [
    draws.int(2, 10 * difficulty),
    draws.int(2, 1 + 2 * difficulty),
    draws.int(3, 8 * difficulty),
  ];
  const steps: string[] = [];
  let power = base % modulus;
  steps.push(`${base} leaves ${power}.`);
  for (let i = 2; i <= exponent; i++) {
    const next = power * (base % modulus);
    steps.push(`${base}^${i}: ${power} * ${base % modulus} = ${next}, which leaves ${next % modulus}.`);
    power = next % modulus;
  }
  return {
    kind: "remainder",
    text: `What remainder does ${base}^${exponent} leave when it is divided by ${modulus}?`,
    answer: String(power),
    steps,
  };
};

export const exercises: readonly ProblemMaker[] = [
  expression,
  linear,
  system,
  quadratic,
  fractions,
  commonDivisor,
  remainder,
];
