/** A place in the tokens, the caps that hold along the way, and what several parts of the parser look for there. */
import { MAX_DEPTH, MAX_NODES, Unreadable } from "./limits.js";
import { parseDecimal, type Rational, rational } from "./rational.js";
import type { Node } from "./syntax.js";
import type { Token } from "./tokens.js";

/** Commands in place of a bracket. */
export const BRACKETS: Readonly<Record<string, string>> = {
  lbrace: "{",
  rbrace: "}",
  "{": "{",
  "}": "}",
  langle: "(",
  rangle: ")",
  lparen: "(",
  rparen: ")",
  lbrack: "[",
  rbrack: "]",
  lvert: "|",
  rvert: "|",
  vert: "|",
  "|": "|",
  lVert: "|",
  rVert: "|",
  lfloor: "floor",
  rfloor: "/floor",
  lceil: "ceil",
  rceil: "/ceil",
  mid: "|",
};

/** "and" and "or" as words of their own; one letter only with blanks around it. */
const JOINTS = /^\s*,?\s*(?:and|or|和|或|與|与|или|et|ou|und|oder)\s*,?\s*$|^\s+[yoи]\s+$/i;
const OR = /^\W*(?:or|或|или|ou|oder|o|lor)\W*$/iu;

export interface ParseOptions {
  /** Math-Verify folds case; so `E` and `e` differ only there. */
  readonly foldCase?: boolean;
}

export function numberNode(text: string): Node {
  const [mantissa = "", exponent] = text.split(/[eE]/);
  const decimalComma = /^0,[0-9]+$/.test(mantissa) ? mantissa.replace(",", ".") : mantissa;
  const value = parseDecimal(decimalComma.replace(/[,\s'\\]/g, "").replace(/\.$/, ""));
  const decimal = decimalComma.includes(".");
  if (exponent === undefined) return { kind: "number", value, decimal };
  const shift = Number(exponent);
  if (Math.abs(shift) > 4000) throw new Unreadable(`the exponent ${exponent}`);
  const scale = 10n ** BigInt(Math.abs(shift));
  const scaled: Rational =
    shift >= 0 ? rational(value.n * scale, value.d) : rational(value.n, value.d * scale);
  return { kind: "number", value: scaled, decimal: true };
}

export abstract class Cursor {
  protected readonly tokens: Token[];
  protected readonly fold: boolean;
  protected at = 0;
  protected depth = 0;
  protected nodes = 0;
  /** Absolute values that are open: a bar closes the innermost. */
  protected bars = 0;
  protected matrix = 0;
  /** The word that stood last between the items of a list. */
  protected joint: "and" | "or" | undefined;

  constructor(tokens: Token[], options: ParseOptions) {
    this.tokens = tokens;
    this.fold = options.foldCase ?? false;
  }

  protected peek(ahead = 0): Token | undefined {
    return this.tokens[this.at + ahead];
  }

  protected symbol(text: string, ahead = 0): boolean {
    const token = this.peek(ahead);
    return token?.type === "symbol" && token.text === text;
  }

  protected command(text: string, ahead = 0): boolean {
    const token = this.peek(ahead);
    return token?.type === "command" && token.text === text;
  }

  protected letters(text: string): boolean {
    const token = this.peek();
    return token?.type === "letters" && token.text === text;
  }

  protected expect(text: string): void {
    if (!this.symbol(text)) throw new Unreadable(`no ${text}`);
    this.at++;
  }

  protected make(node: Node): Node {
    if (++this.nodes > MAX_NODES) throw new Unreadable(`more than ${MAX_NODES} parts`);
    return node;
  }

  protected deeper<T>(parse: () => T): T {
    if (++this.depth > MAX_DEPTH) throw new Unreadable(`nested deeper than ${MAX_DEPTH}`);
    const result = parse();
    this.depth--;
    return result;
  }

  /** The bracket that a token is: `(`, `)`, `[`, `]`, `{`, `}` (of sets), `|`, `floor` and so on. */
  protected bracket(ahead = 0): string | undefined {
    const token = this.peek(ahead);
    if (token?.type === "command") return BRACKETS[token.text];
    if (token?.type === "symbol" && "()[]|".includes(token.text)) return token.text;
    return undefined;
  }

  protected separator(): "," | ";" | undefined {
    const token = this.peek();
    if (token === undefined) return undefined;
    if (token.type === "symbol" && token.text === ",") return ",";
    if (token.type === "symbol" && token.text === ";") return ";";
    if (token.type === "command" && token.text === "\\" && this.matrix === 0) return ",";
    if (token.type === "command" && (token.text === "wedge" || token.text === "land" || token.text === "lor"))
      return ",";
    if (token.type === "letters" && /^(?:and|or)$/i.test(token.text)) return ",";
    if (token.type === "word" && JOINTS.test(token.text)) return ",";
    return undefined;
  }

  /** Whether the separator here is "and" or "or"; undefined for a mark. */
  protected jointHere(): "and" | "or" | undefined {
    const token = this.peek();
    if (token === undefined || token.type === "symbol" || token.text === "\\") return undefined;
    return OR.test(token.text.trim()) || /或|или/.test(token.text) ? "or" : "and";
  }

  protected letter(name: string): Node {
    const folded = this.fold && name !== "E" ? name.toLowerCase() : name;
    if (folded === "e") return this.make({ kind: "constant", name: "e" });
    if (folded === "i") return this.make({ kind: "constant", name: "i" });
    return this.make({ kind: "variable", name: this.fold ? name.toLowerCase() : name });
  }
}
