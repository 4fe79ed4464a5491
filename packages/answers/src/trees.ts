/** Small transformations of answer trees that the comparisons share. */
import { MAX_ITEMS } from "./limits.js";
import { type Node, type Relation, walk } from "./syntax.js";

/** The tree with `change` applied from the leaves up. */
export function mapNode(tree: Node, change: (tree: Node) => Node): Node {
  const on = (child: Node): Node => mapNode(child, change);
  switch (tree.kind) {
    case "letters":
    case "product":
      return change({ ...tree, factors: tree.factors.map(on) });
    case "sum":
      return change({ ...tree, terms: tree.terms.map(on) });
    case "quotient":
      return change({ ...tree, top: on(tree.top), bottom: on(tree.bottom) });
    case "negative":
    case "percent":
    case "degrees":
      return change({ ...tree, of: on(tree.of) });
    case "power":
      return change({ ...tree, base: on(tree.base), exponent: on(tree.exponent) });
    case "apply":
      return change({ ...tree, args: tree.args.map(on) });
    case "plusMinus":
      return change(
        tree.left === undefined
          ? { ...tree, right: on(tree.right) }
          : { ...tree, left: on(tree.left), right: on(tree.right) },
      );
    case "list":
    case "set":
    case "bracket":
    case "setOperation":
      return change({ ...tree, items: tree.items.map(on) });
    case "matrix":
      return change({ ...tree, rows: tree.rows.map((row) => row.map(on)) });
    case "relation":
      return change({ ...tree, sides: tree.sides.map(on) });
    default:
      return change(tree);
  }
}

const hasPlusMinus = (tree: Node): boolean => {
  for (const part of walk(tree)) if (part.kind === "plusMinus") return true;
  return false;
};

/** `1 \pm a \mp b` as its two values: all upper signs, then all lower ones. */
function signs(tree: Node): readonly [Node, Node] {
  const take = (upper: boolean): Node =>
    mapNode(tree, (part) => {
      if (part.kind !== "plusMinus") return part;
      const right: Node = upper === part.minusFirst ? { kind: "negative", of: part.right } : part.right;
      return part.left === undefined ? right : { kind: "sum", terms: [part.left, right] };
    });
  return [take(true), take(false)];
}

/** Plus-minus spelled out: in a list as two items, alone as a list, in an equation on its side. */
export function spellOutSigns(tree: Node): Node {
  if (!hasPlusMinus(tree)) return tree;
  switch (tree.kind) {
    case "list":
    case "set":
      return { ...tree, items: tree.items.flatMap((item) => (hasPlusMinus(item) ? signs(item) : [item])) };
    case "relation":
      return { ...tree, sides: tree.sides.map(spellOutSigns) };
    case "bracket":
    case "matrix":
      return { kind: "list", items: signs(tree) };
    default:
      return { kind: "list", items: signs(tree) };
  }
}

/** The relation read from the other side. */
export const FLIPPED: Readonly<Record<Relation, Relation>> = {
  "=": "=",
  "<": ">",
  ">": "<",
  "<=": ">=",
  ">=": "<=",
  "!=": "!=",
  in: "in",
  notin: "notin",
};

const negated = (tree: Node): Node => ({ kind: "negative", of: tree });

export const difference = (left: Node, right: Node): Node => ({ kind: "sum", terms: [left, negated(right)] });

/** A matrix expression worked out, its cells still expressions; undefined where shapes do not fit or there is none. */
export function matrixOf(tree: Node): readonly (readonly Node[])[] | undefined {
  switch (tree.kind) {
    case "matrix":
      return tree.rows;
    case "negative":
      return matrixOf(tree.of)?.map((row) => row.map(negated));
    case "sum": {
      const parts = tree.terms.map(matrixOf);
      const [first] = parts;
      if (first === undefined || parts.some((part) => !sameShape(part, first))) return undefined;
      return first.map((row, i) =>
        row.map((_, j) => ({ kind: "sum", terms: parts.map((part) => part?.[i]?.[j] as Node) })),
      );
    }
    case "quotient": {
      const top = matrixOf(tree.top);
      return top?.map((row) =>
        row.map((cell): Node => ({ kind: "quotient", top: cell, bottom: tree.bottom })),
      );
    }
    case "product":
      return tree.factors.some((factor) => matrixOf(factor) !== undefined)
        ? product(tree.factors)
        : undefined;
    default:
      return undefined;
  }
}

const sameShape = (a: readonly (readonly Node[])[] | undefined, b: readonly (readonly Node[])[]): boolean =>
  a !== undefined && a.length === b.length && a[0]?.length === b[0]?.length;

function product(factors: readonly Node[]): readonly (readonly Node[])[] | undefined {
  const scale: Node[] = [];
  let result: readonly (readonly Node[])[] | undefined;
  let cells = 0;
  for (const factor of factors) {
    const next = matrixOf(factor);
    if (next === undefined) scale.push(factor);
    else if (result === undefined) result = next;
    else {
      const left: readonly (readonly Node[])[] = result;
      if (left[0]?.length !== next.length) return undefined;
      cells += left.length * next.length * (next[0]?.length ?? 0);
      if (cells > MAX_ITEMS) return undefined;
      result = left.map((row) =>
        (next[0] ?? []).map(
          (_, j): Node => ({
            kind: "sum",
            terms: row.map((cell, k): Node => ({ kind: "product", factors: [cell, next[k]?.[j] as Node] })),
          }),
        ),
      );
    }
  }
  if (scale.length === 0) return result;
  return result?.map((row) => row.map((cell): Node => ({ kind: "product", factors: [...scale, cell] })));
}
