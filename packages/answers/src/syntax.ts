/** What an answer says, as a tree. Built by parse.ts, read by evaluate.ts and the comparisons. */
import type { Rational } from "./rational.js";

export type Relation = "=" | "<" | ">" | "<=" | ">=" | "!=" | "in" | "notin";

export type Node =
  /** `decimal`: written with a point (or exponent), which some graders compare with a tolerance. */
  | { readonly kind: "number"; readonly value: Rational; readonly decimal: boolean }
  /** Digits in a stated base, `1010_2`. */
  | { readonly kind: "based"; readonly digits: string; readonly base: number }
  | { readonly kind: "constant"; readonly name: "pi" | "e" | "i" | "infinity" }
  | { readonly kind: "variable"; readonly name: string }
  /** Adjacent letters, `xy` or `odd`: a word when they stand alone, a product inside an expression. */
  | { readonly kind: "letters"; readonly text: string; readonly factors: readonly Node[] }
  /** Words of \text{...} or of a script other than Latin. */
  | { readonly kind: "word"; readonly text: string }
  | { readonly kind: "sum"; readonly terms: readonly Node[] }
  | { readonly kind: "product"; readonly factors: readonly Node[] }
  | { readonly kind: "quotient"; readonly top: Node; readonly bottom: Node; readonly colon?: boolean }
  | { readonly kind: "negative"; readonly of: Node }
  | { readonly kind: "power"; readonly base: Node; readonly exponent: Node }
  /** A known function (sqrt, sin, ...) or an unknown one (`call:f`). */
  | { readonly kind: "apply"; readonly name: string; readonly args: readonly Node[] }
  | { readonly kind: "percent"; readonly of: Node }
  | { readonly kind: "degrees"; readonly of: Node }
  | { readonly kind: "plusMinus"; readonly left?: Node; readonly right: Node; readonly minusFirst: boolean }
  /** `1, 2 or 3` without brackets. */
  | { readonly kind: "list"; readonly items: readonly Node[]; readonly joint?: "and" | "or" }
  | { readonly kind: "set"; readonly items: readonly Node[] }
  /** Round or square brackets, angle brackets too: a tuple, a point, a vector or an interval. */
  | {
      readonly kind: "bracket";
      readonly open: string;
      readonly close: string;
      readonly items: readonly Node[];
    }
  | { readonly kind: "matrix"; readonly rows: readonly (readonly Node[])[] }
  | { readonly kind: "relation"; readonly operators: readonly Relation[]; readonly sides: readonly Node[] }
  | {
      readonly kind: "setOperation";
      readonly name: "union" | "intersection" | "minus";
      readonly items: readonly Node[];
    }
  | { readonly kind: "namedSet"; readonly name: "R" | "C" | "Q" | "Z" | "N" | "empty" };

/** Known functions of one argument; the parser accepts them with and without a backslash. */
export const FUNCTIONS: ReadonlySet<string> = new Set(
  (
    "sin cos tan cot sec csc arcsin arccos arctan arccot sinh cosh tanh asin acos atan log ln lg exp sqrt cbrt abs floor " +
    "ceil max min gcd lcm det deg arg Re Im Arg tr rank dim sgn"
  ).split(" "),
);

const GREEK =
  "alpha beta gamma delta epsilon varepsilon zeta eta theta vartheta iota kappa lambda mu nu xi omicron rho varrho sigma " +
  "tau upsilon phi varphi chi psi omega Gamma Delta Theta Lambda Xi Pi Sigma Upsilon Phi Psi Omega";

/** Commands that stand for a symbol without further meaning here. */
export const SYMBOLS: ReadonlySet<string> = new Set(
  (
    `${GREEK} ell hbar partial nabla angle triangle square parallel perp cong sim wp aleph prime star bullet diamond ` +
    "heartsuit spadesuit clubsuit diamondsuit blacksquare odot oplus otimes therefore because checkmark cdotp dagger"
  ).split(" "),
);

/** Every node below and including `root`, without recursion deeper than the parser allowed. */
export function* walk(root: Node): Generator<Node> {
  yield root;
  for (const child of children(root)) yield* walk(child);
}

function children(node: Node): readonly Node[] {
  switch (node.kind) {
    case "letters":
    case "product":
      return node.factors;
    case "sum":
      return node.terms;
    case "quotient":
      return [node.top, node.bottom];
    case "negative":
    case "percent":
    case "degrees":
      return [node.of];
    case "power":
      return [node.base, node.exponent];
    case "apply":
      return node.args;
    case "plusMinus":
      return node.left === undefined ? [node.right] : [node.left, node.right];
    case "list":
    case "set":
    case "bracket":
    case "setOperation":
      return node.items;
    case "matrix":
      return node.rows.flat();
    case "relation":
      return node.sides;
    default:
      return [];
  }
}

/** The tree as text: equal trees and no others have equal text. */
export function canonicalText(node: Node): string {
  const inner = (nodes: readonly Node[]): string => nodes.map(canonicalText).join(" ");
  switch (node.kind) {
    case "number":
      return `${node.value.n}/${node.value.d}`;
    case "based":
      return `#${node.digits}_${node.base}`;
    case "constant":
    case "variable":
    case "namedSet":
      return `${node.kind}:${node.name}`;
    case "word":
      return `word:${node.text.toLowerCase()}`;
    case "letters":
      return `(product ${inner(node.factors)})`;
    case "apply":
      return `(fn ${node.name} ${inner(node.args)})`;
    case "setOperation":
      return `(${node.name} ${inner(node.items)})`;
    case "bracket":
      return `(${node.open}${node.close} ${inner(node.items)})`;
    case "relation":
      return `(${node.operators.join("")} ${inner(node.sides)})`;
    case "matrix":
      return `(matrix ${node.rows.map((row) => `[${inner(row)}]`).join("")})`;
    case "plusMinus":
      return `(${node.minusFirst ? "-+" : "+-"} ${inner(children(node))})`;
    default:
      return `(${node.kind} ${inner(children(node))})`;
  }
}
