/** What a tree names: variables, functions, sets; and how a script or a decorated name reads as text. */
import type { Node } from "./syntax.js";

export const isPercentWord = (text: string): boolean =>
  /^\s*(?:percent|percentage|pct|per cent)\s*$/i.test(text);

export function isSet(node: Node): boolean {
  if (node.kind === "bracket") return node.items.length === 2;
  return node.kind === "set" || node.kind === "setOperation" || node.kind === "namedSet";
}

/** A name to which a value is given: a variable, a run of letters, f(x), a tuple of names. */
export function isName(node: Node): boolean {
  switch (node.kind) {
    case "variable":
    case "letters":
    case "word":
      return true;
    case "constant":
      return node.name === "e" || node.name === "i";
    case "apply":
      return (node.name.startsWith("call:") || node.name === "abs") && node.args.some(isName);
    case "product":
      return node.factors.every(isName);
    case "quotient":
      return isName(node.top) && isName(node.bottom);
    case "bracket":
    case "list":
      return node.items.every(isName);
    default:
      return false;
  }
}

/** The text of a script or of a decorated name. */
export function nameOf(node: Node): string {
  switch (node.kind) {
    case "number":
      return node.value.d === 1n ? `${node.value.n}` : `${node.value.n}/${node.value.d}`;
    case "variable":
    case "constant":
      return node.name;
    case "letters":
    case "word":
      return node.text;
    case "negative":
      return `-${nameOf(node.of)}`;
    case "sum":
      return node.terms.map(nameOf).join("+");
    case "product":
      return node.factors.map(nameOf).join("");
    case "list":
    case "bracket":
      return node.items.map(nameOf).join(",");
    default:
      return node.kind;
  }
}
