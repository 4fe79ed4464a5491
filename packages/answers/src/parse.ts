/**
 * LaTeX and plain text to a tree: a precedence parser over tokens. From loosest to tightest: lists (`;`, then `,` `and`
 * `or`), relations, unions, intersections, sums, products (written, juxtaposed, mixed numbers), signs, powers and
 * postfixes, atoms. Throws `Unreadable` for all else; the caller then compares text.
 */
import { AtomParser } from "./atom-parser.js";
import { BRACKETS, numberNode, type ParseOptions } from "./cursor.js";
import { MAX_ANSWER_LENGTH, MAX_ITEMS, Unreadable } from "./limits.js";
import { isName, isPercentWord, isSet } from "./names.js";
import type { Node, Relation } from "./syntax.js";
import { toAscii, tokenize } from "./tokens.js";

const RELATIONS: Readonly<Record<string, Relation>> = {
  "=": "=",
  "<": "<",
  ">": ">",
  "<=": "<=",
  ">=": ">=",
  "!=": "!=",
  le: "<=",
  leq: "<=",
  leqslant: "<=",
  ge: ">=",
  geq: ">=",
  geqslant: ">=",
  lt: "<",
  gt: ">",
  ne: "!=",
  neq: "!=",
  in: "in",
  notin: "notin",
};

/** Parses a whole answer. Throws `Unreadable`. */
function parseAnswer(text: string, options: ParseOptions = {}): Node {
  if (text.length > MAX_ANSWER_LENGTH) throw new Unreadable(`longer than ${MAX_ANSWER_LENGTH} characters`);
  const source = toAscii(text)
    .replace(/\{\s*,\s*\}/g, ",\\!")
    .replace(/([0-9])\s*,\s*\\!\s*(?=[0-9]{3}(?![0-9]))/g, "$1")
    .replace(/(?<!\\)\\[!;: ]/g, " ");
  const parser = new Parser(tokenize(source), options);
  return parser.whole();
}

/** As `parseAnswer`, or undefined. */
export function tryParse(text: string, options: ParseOptions = {}): Node | undefined {
  try {
    return parseAnswer(text, options);
  } catch (error) {
    if (error instanceof Unreadable) return undefined;
    throw error;
  }
}

class Parser extends AtomParser {
  whole(): Node {
    while (this.symbol(".") && this.tokens.length > 1) this.at++;
    const node = this.list(() => false);
    while (this.symbol(".") || this.symbol("?") || this.command("\\")) this.at++;
    if (this.at < this.tokens.length)
      throw new Unreadable(`${JSON.stringify(this.peek()?.text)} in this place`);
    return node;
  }

  /** Items until `stop`, the end, or what no item begins with. */
  protected list(stop: () => boolean): Node {
    const groups = this.groups(stop);
    const joint = this.joint;
    const flat = groups.flat();
    if (flat.length === 0) throw new Unreadable("nothing where a value belongs");
    if (flat.length === 1) return flat[0] as Node;
    if (groups.length > 1 && groups.some((group) => group.length > 1)) {
      // a=1,b=2; a=3,b=4: a list of tuples
      const items = groups.map(
        (group): Node =>
          group.length === 1
            ? (group[0] as Node)
            : this.make({ kind: "bracket", open: "(", close: ")", items: group }),
      );
      return this.make({ kind: "list", items });
    }
    return this.make({ kind: "list", items: flat, ...(joint === undefined ? {} : { joint }) });
  }

  protected groups(stop: () => boolean): Node[][] {
    const groups: Node[][] = [[]];
    let joint: "and" | "or" | undefined;
    let count = 0;
    for (;;) {
      let mark = this.separator();
      while (mark !== undefined) {
        if (mark === ";" && (groups.at(-1)?.length ?? 0) > 0) groups.push([]);
        joint = this.jointHere() ?? joint;
        this.at++;
        mark = this.separator();
      }
      if (this.command("ldots") || this.command("dots") || this.command("cdots")) {
        this.at++;
        groups.at(-1)?.push(this.make({ kind: "word", text: "..." }));
        continue;
      }
      if (this.at >= this.tokens.length || stop()) break;
      if (count++ > MAX_ITEMS) throw new Unreadable(`more than ${MAX_ITEMS} items`);
      const before = this.at;
      groups.at(-1)?.push(this.relation());
      // Items may follow one another without a mark only where the next is a bracket: (1,2)(3,4) never gets here.
      if (this.at === before || (this.separator() === undefined && this.at < this.tokens.length && !stop())) {
        if (this.command("ldots") || this.command("dots")) continue;
        break;
      }
    }
    this.joint = joint;
    return groups.filter((group) => group.length > 0);
  }

  protected relation(): Node {
    return this.deeper(() => {
      const sides = [this.union()];
      const operators: Relation[] = [];
      for (;;) {
        const token = this.peek();
        if (token === undefined || token.type === "word" || token.type === "letters") break;
        if (token.type === "command" && (token.text === "approx" || token.text === "simeq")) {
          // x = 1/3 \approx 0.33: the exact value counts; after a bare name the approximation does.
          this.at++;
          const rest = this.union();
          if (operators.length === 0 && isName(sides[0] as Node)) {
            operators.push("=");
            sides.push(rest);
          }
          continue;
        }
        const operator = RELATIONS[token.text];
        if (operator === undefined) break;
        this.at++;
        operators.push(operator);
        sides.push(operator === "in" || operator === "=" ? this.rightSide() : this.union());
      }
      return operators.length === 0 ? (sides[0] as Node) : this.make({ kind: "relation", operators, sides });
    });
  }

  /** `x = 1, 2`, `x = 1 or 2`: bare values after an equation belong to it when no relation follows them. */
  protected rightSide(): Node {
    const first = this.union();
    if (this.separator() !== "," || this.bars > 0) return first;
    const start = this.at;
    const items = [first];
    while (this.separator() === ",") {
      while (this.separator() === ",") this.at++;
      if (this.at >= this.tokens.length) break;
      const before = this.at;
      const depth = this.depth;
      let item: Node;
      try {
        item = this.union();
      } catch (error) {
        if (!(error instanceof Unreadable)) throw error;
        this.at = start;
        this.depth = depth;
        return first;
      }
      const next = this.peek();
      const relation = next !== undefined && next.type !== "word" && RELATIONS[next.text] !== undefined;
      if (relation || this.at === before || next?.text === ";") {
        this.at = start;
        return first;
      }
      items.push(item);
      if (items.length > MAX_ITEMS) throw new Unreadable(`more than ${MAX_ITEMS} items`);
    }
    if (items.length === 1) return first;
    return this.make({ kind: "list", items });
  }

  protected union(): Node {
    let left = this.intersection();
    for (;;) {
      const name = this.command("cup")
        ? "union"
        : this.command("setminus") || this.command("backslash")
          ? "minus"
          : undefined;
      const minus = name === undefined && this.symbol("-") && isSet(left);
      if (name === undefined && !minus) return left;
      this.at++;
      const right = this.intersection();
      left = this.make({ kind: "setOperation", name: name ?? "minus", items: [left, right] });
    }
  }

  protected intersection(): Node {
    let left = this.sum();
    while (this.command("cap")) {
      this.at++;
      left = this.make({ kind: "setOperation", name: "intersection", items: [left, this.sum()] });
    }
    return left;
  }

  protected sum(): Node {
    return this.deeper(() => {
      let left: Node | undefined;
      if (this.command("pm") || this.command("mp")) {
        const minusFirst = this.command("mp");
        this.at++;
        left = this.make({ kind: "plusMinus", right: this.product(), minusFirst });
      } else left = this.product();
      for (;;) {
        if (this.symbol("+")) {
          this.at++;
          const right = this.product();
          left = this.make({
            kind: "sum",
            terms: left.kind === "sum" ? [...left.terms, right] : [left, right],
          });
        } else if (this.symbol("-") && !isSet(left)) {
          this.at++;
          const right: Node = this.make({ kind: "negative", of: this.product() });
          left = this.make({
            kind: "sum",
            terms: left.kind === "sum" ? [...left.terms, right] : [left, right],
          });
        } else if (this.command("pm") || this.command("mp")) {
          const minusFirst = this.command("mp");
          this.at++;
          left = this.make({ kind: "plusMinus", left, right: this.product(), minusFirst });
        } else return left;
      }
    });
  }

  protected product(): Node {
    let left = this.unary();
    const factors: Node[] = [left];
    const flush = (): Node =>
      factors.length === 1 ? (factors[0] as Node) : this.make({ kind: "product", factors: [...factors] });
    for (;;) {
      if (this.symbol("*") || this.command("cdot") || this.command("times") || this.command("ast")) {
        this.at++;
        factors.push(this.unary());
      } else if (this.symbol("/") || this.command("div") || (this.symbol(":") && this.bars === 0)) {
        const colon = this.symbol(":");
        this.at++;
        const bottom = this.unary();
        const top = flush();
        if (colon && top.kind === "apply" && top.name === "ratio")
          left = this.make({ ...top, args: [...top.args, bottom] });
        else if (colon && top.kind === "quotient" && top.colon === true) {
          // 1:2:3 compares three things.
          left = this.make({ kind: "apply", name: "ratio", args: [top.top, top.bottom, bottom] });
        } else left = this.make({ kind: "quotient", top, bottom, ...(colon ? { colon } : {}) });
        factors.splice(0, factors.length, left);
      } else if (this.command("bmod") || this.command("mod") || this.letters("mod")) {
        this.at++;
        left = this.make({ kind: "apply", name: "mod", args: [flush(), this.unary()] });
        factors.splice(0, factors.length, left);
      } else if (this.command("pmod")) {
        this.at++;
        left = this.make({ kind: "apply", name: "call:pmod", args: [flush(), this.argument()] });
        factors.splice(0, factors.length, left);
      } else if (this.startsFactor()) {
        const mixed = this.mixed(factors);
        if (mixed !== undefined) factors.splice(0, factors.length, mixed);
        else factors.push(this.power());
      } else return flush();
    }
  }

  /** `2\frac{1}{2}` and `2 1/2`: a whole number beside a fraction of whole numbers is a sum. */
  protected mixed(factors: readonly Node[]): Node | undefined {
    const whole = factors.length === 1 ? factors[0] : undefined;
    if (whole?.kind !== "number" || whole.decimal || whole.value.d !== 1n) return undefined;
    const start = this.at;
    const isFraction = (node: Node): boolean =>
      node.kind === "quotient" &&
      [node.top, node.bottom].every((part) => part.kind === "number" && part.value.d === 1n);
    const token = this.peek();
    if (token?.type === "command" && /^[dtc]?frac$/.test(token.text)) {
      const fraction = this.power();
      if (isFraction(fraction)) return this.make({ kind: "sum", terms: [whole, fraction] });
      this.at = start;
      return undefined;
    }
    const plain = token?.type === "number" && this.symbol("/", 1) && this.peek(2)?.type === "number";
    if (!plain) return undefined;
    const top = numberNode(token.text);
    const bottom = numberNode(this.peek(2)?.text ?? "");
    this.at += 3;
    return this.make({ kind: "sum", terms: [whole, this.make({ kind: "quotient", top, bottom })] });
  }

  protected startsFactor(): boolean {
    const token = this.peek();
    if (token === undefined) return false;
    const previous = this.peek(-1);
    switch (token.type) {
      case "number":
        // Two numbers side by side are no product, but for a mixed number.
        return previous?.type !== "number" || (this.symbol("/", 1) && this.peek(2)?.type === "number");
      case "letters":
        return !/^(?:and|or|mod|percent|percentage|pct)$/i.test(token.text);
      case "word":
        return this.separator() === undefined && !isPercentWord(token.text);
      case "begin":
        return true;
      case "end":
        return false;
      case "command":
        if (token.text === "{" || token.text === "lbrace") return false;
        if (BRACKETS[token.text] !== undefined) {
          const bracket = BRACKETS[token.text] ?? "";
          return (
            ["(", "[", "floor", "ceil"].includes(bracket) ||
            (bracket === "|" && this.bars === 0 && token.text !== "mid")
          );
        }
        return (
          RELATIONS[token.text] === undefined &&
          !/^(?:approx|simeq|cup|cap|setminus|backslash|pm|mp|cdot|times|ast|div|bmod|mod|pmod|ldots|dots|cdots|to|rightarrow|Rightarrow|implies|iff|equiv|subset|subseteq|supset|wedge|land|lor|\\)$/.test(
            token.text,
          )
        );
      case "symbol":
        return (
          token.text === "(" ||
          token.text === "{" ||
          token.text === "[" ||
          (token.text === "|" && this.bars === 0)
        );
    }
  }

  protected unary(): Node {
    return this.deeper(() => {
      if (this.symbol("+")) {
        this.at++;
        return this.unary();
      }
      if (!this.symbol("-")) return this.power();
      this.at++;
      // -2\frac12 is -(2 + 1/2), and -2^2 is -(2^2).
      const of = this.unary();
      if (this.startsFactor()) {
        const mixed = this.mixed([of]);
        if (mixed !== undefined) return this.make({ kind: "negative", of: mixed });
      }
      return this.make({ kind: "negative", of });
    });
  }

  protected power(): Node {
    return this.deeper(() => this.postfix(this.atom()));
  }
}
