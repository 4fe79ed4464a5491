/** Small transformations of answer trees that the comparisons share. */
import { MAX_ITEMS } from "./limits.js";
import { rational } from "./rational.js";
import { type Node, walk } from "./syntax.js";

/** The tree with `change` applied from the leaves up. */
export function mapNode(node: Node, change: (node: Node) => Node): Node {
  const on = (child: Node): Node => mapNode(child, change);
  switch (node.kind) {
    case "letters":
    case "product":
      return change({ ...node, factors: node.factors.map(on) });
    case "sum":
      return change({ ...node, terms: node.terms.map(on) });
    case "quotient":
      return change({ ...node, top: on(node.top), bottom: on(node.bottom) });
    case "negative":
    case "percent":
    case "degrees":
      return change({ ...node, of: on(node.of) });
    case "power":
      return change({ ...node, base: on(node.base), exponent: on(node.exponent) });
    case "apply":
      return change({ ...node, args: node.args.map(on) });
    case "plusMinus":
      return change(
        node.left === undefined
          ? { ...node, right: on(node.right) }
          : { ...node, left: on(node.left), right: on(node.right) },
      );
    case "list":
    case "set":
    case "bracket":
    case "setOperation":
      return change({ ...node, items: node.items.map(on) });
    case "matrix":
      return change({ ...node, rows: node.rows.map((row) => row.map(on)) });
    case "relation":
      return change({ ...node, sides: node.sides.map(on) });
    default:
      return change(node);
  }
}

const hasPlusMinus = (node: Node): boolean => {
  for (const part of walk(node)) if (part.kind === "plusMinus") return true;
  return false;
};

/** `1 \pm a \mp b` as its two values: all upper signs, then all lower ones. */
function signs(node: Node): readonly [Node, Node] {
  const take = (upper: boolean): Node =>
    mapNode(node, (part) => {
      if (part.kind !== "plusMinus") return part;
      const right: Node = upper === part.minusFirst ? { kind: "negative", of: part.right } : part.right;
      return part.left === undefined ? right : { kind: "sum", terms: [part.left, right] };
    });
  return [take(true), take(false)];
}

/** Plus-minus spelled out: in a list as two items, alone as a list, in an equation on its side. */
export function spellOutSigns(node: Node): Node {
  if (!hasPlusMinus(node)) return node;
  switch (node.kind) {
    case "list":
    case "set":
      return { ...node, items: node.items.flatMap((item) => (hasPlusMinus(item) ? signs(item) : [item])) };
    case "relation":
      return { ...node, sides: node.sides.map(spellOutSigns) };
    case "bracket":
    case "matrix":
      return { kind: "list", items: signs(node) };
    default:
      return { kind: "list", items: signs(node) };
  }
}

export const negated = (node: Node): Node => ({ kind: "negative", of: node });

export const difference = (left: Node, right: Node): Node => ({ kind: "sum", terms: [left, negated(right)] });

/** A matrix expression worked out, its cells still expressions; undefined where shapes do not fit or there is none. */
export function matrixOf(node: Node): readonly (readonly Node[])[] | undefined {
  switch (node.kind) {
    case "matrix":
      return node.rows;
    case "negative":
      return matrixOf(node.of)?.map((row) => row.map(negated));
    case "sum": {
      const parts = node.terms.map(matrixOf);
      const [first] = parts;
      if (first === undefined || parts.some((part) => !sameShape(part, first))) return undefined;
      return first.map((row, i) =>
        row.map((_, j) => ({ kind: "sum", terms: parts.map((part) => part?.[i]?.[j] as Node) })),
      );
    }
    case "quotient": {
      const top = matrixOf(node.top);
      return top?.map((row) =>
        row.map((cell): Node => ({ kind: "quotient", top: cell, bottom: node.bottom })),
      );
    }
    case "product":
      return node.factors.some((factor) => matrixOf(factor) !== undefined)
        ? product(node.factors)
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

export const numberOf = (value: bigint): Node => ({ kind: "number", value: rational(value), decimal: false });
