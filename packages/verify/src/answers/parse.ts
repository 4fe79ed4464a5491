/**
 * LaTeX and plain text to a tree: a precedence parser over tokens. From loosest to tightest: lists (`;`, then `,` `and`
 * `or`), relations, unions, intersections, sums, products (written, juxtaposed, mixed numbers), signs, powers and
 * postfixes, atoms. Throws `Unreadable` for all else; the caller then compares text.
 */
import { MAX_ANSWER_LENGTH, MAX_DEPTH, MAX_ITEMS, MAX_NODES, Unreadable } from "./limits.js";
import { parseDecimal, type Rational, rational } from "./rational.js";
import { FUNCTIONS, type Node, type Relation, SYMBOLS } from "./syntax.js";
import { type Token, toAscii, tokenize } from "./tokens.js";

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

/** Commands in place of a bracket. */
const BRACKETS: Readonly<Record<string, string>> = {
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

const DECORATIONS =
  /^(?:vec|overrightarrow|overline|bar|hat|widehat|tilde|widetilde|underline|dot|ddot|mathcal|mathscr|mathfrak|overarc|wideparen)$/;
const MATRICES = /^(?:[pbvBV]?matrix\*?|smallmatrix|array)$/;
const ALIGNMENTS = /^(?:align|aligned|gather|gathered|equation|split|multline)\*?$/;
const SETS = /^(?:R|C|Q|Z|N|reals|Reals|emptyset|varnothing)$/;
const BOUND = /^(?:sum|prod|int|iint|oint|lim|bigcup|bigcap)$/;
const ROOTS = /^(?:sqrt|cbrt)$/;

interface ParseOptions {
  /** Math-Verify folds case; so `E` and `e` differ only there. */
  readonly foldCase?: boolean;
}

/** Parses a whole answer. Throws `Unreadable`. */
export function parseAnswer(text: string, options: ParseOptions = {}): Node {
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

function numberNode(text: string): Node {
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

class Parser {
  readonly #tokens: Token[];
  readonly #fold: boolean;
  #at = 0;
  #depth = 0;
  #nodes = 0;
  #bars = 0;
  #matrix = 0;

  constructor(tokens: Token[], options: ParseOptions) {
    this.#tokens = tokens;
    this.#fold = options.foldCase ?? false;
  }

  whole(): Node {
    while (this.#symbol(".") && this.#tokens.length > 1) this.#at++;
    const node = this.#list(() => false);
    while (this.#symbol(".") || this.#symbol("?") || this.#command("\\")) this.#at++;
    if (this.#at < this.#tokens.length)
      throw new Unreadable(`${JSON.stringify(this.#peek()?.text)} in this place`);
    return node;
  }

  #peek(ahead = 0): Token | undefined {
    return this.#tokens[this.#at + ahead];
  }

  #symbol(text: string, ahead = 0): boolean {
    const token = this.#peek(ahead);
    return token?.type === "symbol" && token.text === text;
  }

  #command(text: string, ahead = 0): boolean {
    const token = this.#peek(ahead);
    return token?.type === "command" && token.text === text;
  }

  #expect(text: string): void {
    if (!this.#symbol(text)) throw new Unreadable(`no ${text}`);
    this.#at++;
  }

  #make(node: Node): Node {
    if (++this.#nodes > MAX_NODES) throw new Unreadable(`more than ${MAX_NODES} parts`);
    return node;
  }

  #deeper<T>(parse: () => T): T {
    if (++this.#depth > MAX_DEPTH) throw new Unreadable(`nested deeper than ${MAX_DEPTH}`);
    const result = parse();
    this.#depth--;
    return result;
  }

  /** The bracket that a token is: `(`, `)`, `[`, `]`, `{`, `}` (of sets), `|`, `floor` and so on. */
  #bracket(ahead = 0): string | undefined {
    const token = this.#peek(ahead);
    if (token?.type === "command") return BRACKETS[token.text];
    if (token?.type === "symbol" && "()[]|".includes(token.text)) return token.text;
    return undefined;
  }

  #separator(): "," | ";" | undefined {
    const token = this.#peek();
    if (token === undefined) return undefined;
    if (token.type === "symbol" && token.text === ",") return ",";
    if (token.type === "symbol" && token.text === ";") return ";";
    if (token.type === "command" && token.text === "\\" && this.#matrix === 0) return ",";
    if (token.type === "command" && (token.text === "wedge" || token.text === "land" || token.text === "lor"))
      return ",";
    if (token.type === "letters" && /^(?:and|or)$/i.test(token.text)) return ",";
    if (
      token.type === "word" &&
      /^\s*,?\s*(?:and|or|和|或|與|与|и|или|et|ou|und|oder|y|o)\s*,?\s*$/i.test(token.text)
    )
      return ",";
    return undefined;
  }

  /** Items until `stop`, the end, or what no item begins with. */
  #list(stop: () => boolean): Node {
    const groups = this.#groups(stop);
    const flat = groups.flat();
    if (flat.length === 0) throw new Unreadable("nothing where a value belongs");
    if (flat.length === 1) return flat[0] as Node;
    if (groups.length > 1 && groups.some((group) => group.length > 1)) {
      // a=1,b=2; a=3,b=4: a list of tuples
      const items = groups.map(
        (group): Node =>
          group.length === 1
            ? (group[0] as Node)
            : this.#make({ kind: "bracket", open: "(", close: ")", items: group }),
      );
      return this.#make({ kind: "list", items });
    }
    return this.#make({ kind: "list", items: flat });
  }

  #groups(stop: () => boolean): Node[][] {
    const groups: Node[][] = [[]];
    let count = 0;
    for (;;) {
      let mark = this.#separator();
      while (mark !== undefined) {
        if (mark === ";" && (groups.at(-1)?.length ?? 0) > 0) groups.push([]);
        this.#at++;
        mark = this.#separator();
      }
      if (this.#command("ldots") || this.#command("dots") || this.#command("cdots")) {
        this.#at++;
        groups.at(-1)?.push(this.#make({ kind: "word", text: "..." }));
        continue;
      }
      if (this.#at >= this.#tokens.length || stop()) break;
      if (count++ > MAX_ITEMS) throw new Unreadable(`more than ${MAX_ITEMS} items`);
      const before = this.#at;
      groups.at(-1)?.push(this.#relation());
      // Items may follow one another without a mark only where the next is a bracket: (1,2)(3,4) never gets here.
      if (
        this.#at === before ||
        (this.#separator() === undefined && this.#at < this.#tokens.length && !stop())
      ) {
        if (this.#command("ldots") || this.#command("dots")) continue;
        break;
      }
    }
    return groups.filter((group) => group.length > 0);
  }

  #relation(): Node {
    return this.#deeper(() => {
      const sides = [this.#union()];
      const operators: Relation[] = [];
      for (;;) {
        const token = this.#peek();
        if (token === undefined || token.type === "word" || token.type === "letters") break;
        if (token.type === "command" && (token.text === "approx" || token.text === "simeq")) {
          // x = 1/3 \approx 0.33: the exact value counts; after a bare name the approximation does.
          this.#at++;
          const rest = this.#union();
          if (operators.length === 0 && isName(sides[0] as Node)) {
            operators.push("=");
            sides.push(rest);
          }
          continue;
        }
        const operator = RELATIONS[token.text];
        if (operator === undefined) break;
        this.#at++;
        operators.push(operator);
        sides.push(operator === "in" || operator === "=" ? this.#rightSide() : this.#union());
      }
      return operators.length === 0 ? (sides[0] as Node) : this.#make({ kind: "relation", operators, sides });
    });
  }

  /** `x = 1, 2`, `x = 1 or 2`: bare values after an equation belong to it when no relation follows them. */
  #rightSide(): Node {
    const first = this.#union();
    if (this.#separator() !== "," || this.#bars > 0) return first;
    const start = this.#at;
    const items = [first];
    while (this.#separator() === ",") {
      while (this.#separator() === ",") this.#at++;
      if (this.#at >= this.#tokens.length) break;
      const before = this.#at;
      const depth = this.#depth;
      let item: Node;
      try {
        item = this.#union();
      } catch (error) {
        if (!(error instanceof Unreadable)) throw error;
        this.#at = start;
        this.#depth = depth;
        return first;
      }
      const next = this.#peek();
      const relation = next !== undefined && next.type !== "word" && RELATIONS[next.text] !== undefined;
      if (relation || this.#at === before || next?.text === ";") {
        this.#at = start;
        return first;
      }
      items.push(item);
      if (items.length > MAX_ITEMS) throw new Unreadable(`more than ${MAX_ITEMS} items`);
    }
    if (items.length === 1) return first;
    return this.#make({ kind: "list", items });
  }

  #union(): Node {
    let left = this.#intersection();
    for (;;) {
      const name = this.#command("cup")
        ? "union"
        : this.#command("setminus") || this.#command("backslash")
          ? "minus"
          : undefined;
      const minus = name === undefined && this.#symbol("-") && isSet(left);
      if (name === undefined && !minus) return left;
      this.#at++;
      const right = this.#intersection();
      left = this.#make({ kind: "setOperation", name: name ?? "minus", items: [left, right] });
    }
  }

  #intersection(): Node {
    let left = this.#sum();
    while (this.#command("cap")) {
      this.#at++;
      left = this.#make({ kind: "setOperation", name: "intersection", items: [left, this.#sum()] });
    }
    return left;
  }

  #sum(): Node {
    return this.#deeper(() => {
      let left: Node | undefined;
      if (this.#command("pm") || this.#command("mp")) {
        const minusFirst = this.#command("mp");
        this.#at++;
        left = this.#make({ kind: "plusMinus", right: this.#product(), minusFirst });
      } else left = this.#product();
      for (;;) {
        if (this.#symbol("+")) {
          this.#at++;
          const right = this.#product();
          left = this.#make({
            kind: "sum",
            terms: left.kind === "sum" ? [...left.terms, right] : [left, right],
          });
        } else if (this.#symbol("-") && !isSet(left)) {
          this.#at++;
          const right: Node = this.#make({ kind: "negative", of: this.#product() });
          left = this.#make({
            kind: "sum",
            terms: left.kind === "sum" ? [...left.terms, right] : [left, right],
          });
        } else if (this.#command("pm") || this.#command("mp")) {
          const minusFirst = this.#command("mp");
          this.#at++;
          left = this.#make({ kind: "plusMinus", left, right: this.#product(), minusFirst });
        } else return left;
      }
    });
  }

  #product(): Node {
    let left = this.#unary();
    const factors: Node[] = [left];
    const flush = (): Node =>
      factors.length === 1 ? (factors[0] as Node) : this.#make({ kind: "product", factors: [...factors] });
    for (;;) {
      if (this.#symbol("*") || this.#command("cdot") || this.#command("times") || this.#command("ast")) {
        this.#at++;
        factors.push(this.#unary());
      } else if (this.#symbol("/") || this.#command("div") || (this.#symbol(":") && this.#bars === 0)) {
        const colon = this.#symbol(":");
        this.#at++;
        const bottom = this.#unary();
        const top = flush();
        if (colon && top.kind === "apply" && top.name === "ratio")
          left = this.#make({ ...top, args: [...top.args, bottom] });
        else if (colon && top.kind === "quotient" && top.colon === true) {
          // 1:2:3 compares three things.
          left = this.#make({ kind: "apply", name: "ratio", args: [top.top, top.bottom, bottom] });
        } else left = this.#make({ kind: "quotient", top, bottom, ...(colon ? { colon } : {}) });
        factors.splice(0, factors.length, left);
      } else if (this.#command("bmod") || this.#command("mod") || this.#letters("mod")) {
        this.#at++;
        left = this.#make({ kind: "apply", name: "mod", args: [flush(), this.#unary()] });
        factors.splice(0, factors.length, left);
      } else if (this.#command("pmod")) {
        this.#at++;
        left = this.#make({ kind: "apply", name: "call:pmod", args: [flush(), this.#argument()] });
        factors.splice(0, factors.length, left);
      } else if (this.#startsFactor()) {
        const mixed = this.#mixed(factors);
        if (mixed !== undefined) factors.splice(0, factors.length, mixed);
        else factors.push(this.#power());
      } else return flush();
    }
  }

  #letters(text: string): boolean {
    const token = this.#peek();
    return token?.type === "letters" && token.text === text;
  }

  /** `2\frac{1}{2}` and `2 1/2`: a whole number beside a fraction of whole numbers is a sum. */
  #mixed(factors: readonly Node[]): Node | undefined {
    const whole = factors.length === 1 ? factors[0] : undefined;
    if (whole?.kind !== "number" || whole.decimal || whole.value.d !== 1n) return undefined;
    const start = this.#at;
    const isFraction = (node: Node): boolean =>
      node.kind === "quotient" &&
      [node.top, node.bottom].every((part) => part.kind === "number" && part.value.d === 1n);
    const token = this.#peek();
    if (token?.type === "command" && /^[dtc]?frac$/.test(token.text)) {
      const fraction = this.#power();
      if (isFraction(fraction)) return this.#make({ kind: "sum", terms: [whole, fraction] });
      this.#at = start;
      return undefined;
    }
    const plain = token?.type === "number" && this.#symbol("/", 1) && this.#peek(2)?.type === "number";
    if (!plain) return undefined;
    const top = numberNode(token.text);
    const bottom = numberNode(this.#peek(2)?.text ?? "");
    this.#at += 3;
    return this.#make({ kind: "sum", terms: [whole, this.#make({ kind: "quotient", top, bottom })] });
  }

  #startsFactor(): boolean {
    const token = this.#peek();
    if (token === undefined) return false;
    const previous = this.#peek(-1);
    switch (token.type) {
      case "number":
        // Two numbers side by side are no product, but for a mixed number.
        return previous?.type !== "number" || (this.#symbol("/", 1) && this.#peek(2)?.type === "number");
      case "letters":
        return !/^(?:and|or|mod|percent|percentage|pct)$/i.test(token.text);
      case "word":
        return this.#separator() === undefined && !isPercentWord(token.text);
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
            (bracket === "|" && this.#bars === 0 && token.text !== "mid")
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
          (token.text === "|" && this.#bars === 0)
        );
    }
  }

  #unary(): Node {
    return this.#deeper(() => {
      if (this.#symbol("+")) {
        this.#at++;
        return this.#unary();
      }
      if (!this.#symbol("-")) return this.#power();
      this.#at++;
      // -2\frac12 is -(2 + 1/2), and -2^2 is -(2^2).
      const of = this.#unary();
      if (this.#startsFactor()) {
        const mixed = this.#mixed([of]);
        if (mixed !== undefined) return this.#make({ kind: "negative", of: mixed });
      }
      return this.#make({ kind: "negative", of });
    });
  }

  #power(): Node {
    return this.#deeper(() => this.#postfix(this.#atom()));
  }

  #postfix(atom: Node): Node {
    let node = atom;
    for (;;) {
      if (this.#symbol("^")) {
        this.#at++;
        if (this.#isDegree()) {
          node = this.#make({ kind: "degrees", of: node });
          continue;
        }
        if (this.#command("prime") || this.#symbol("'")) {
          this.#at++;
          node = this.#make({ kind: "apply", name: "call:prime", args: [node] });
          continue;
        }
        const exponent = this.#script();
        node = this.#raise(node, exponent);
      } else if (this.#symbol("_")) {
        this.#at++;
        node = this.#subscript(node, this.#script());
      } else if (this.#symbol("!")) {
        this.#at++;
        node = this.#make({ kind: "apply", name: "factorial", args: [node] });
      } else if (this.#symbol("%") || this.#percentWord()) {
        this.#at++;
        node = this.#make({ kind: "percent", of: node });
      } else if (this.#symbol("'")) {
        this.#at++;
        node = this.#make({ kind: "apply", name: "call:prime", args: [node] });
      } else if (this.#command("circ") || this.#command("degree")) {
        this.#at++;
        node = this.#make({ kind: "degrees", of: node });
      } else return node;
    }
  }

  #percentWord(): boolean {
    const token = this.#peek();
    return (token?.type === "letters" || token?.type === "word") && isPercentWord(token.text);
  }

  /** Behind `^`: `\circ`, `{\circ}`, `o`. */
  #isDegree(): boolean {
    if (this.#command("circ") || this.#command("degree")) {
      this.#at++;
      return true;
    }
    if (
      this.#symbol("{") &&
      (this.#command("circ", 1) || this.#command("degree", 1)) &&
      this.#symbol("}", 2)
    ) {
      this.#at += 3;
      return true;
    }
    return false;
  }

  /** x^2 on a run of letters raises its last letter. */
  #raise(base: Node, exponent: Node): Node {
    if (base.kind === "letters") {
      const last = base.factors.at(-1) as Node;
      const raised = this.#make({ kind: "power", base: last, exponent });
      return this.#make({ kind: "product", factors: [...base.factors.slice(0, -1), raised] });
    }
    return this.#make({ kind: "power", base, exponent });
  }

  #subscript(base: Node, script: Node): Node {
    const text = nameOf(script);
    if (base.kind === "number" && script.kind === "number" && base.value.d === 1n && base.value.n >= 0n) {
      const radix = Number(script.value.n);
      if (script.value.d === 1n && radix >= 2 && radix <= 36)
        return this.#make({ kind: "based", digits: `${base.value.n}`, base: radix });
    }
    if (base.kind === "variable") return this.#make({ kind: "variable", name: `${base.name}_${text}` });
    if (base.kind === "letters") {
      const last = base.factors.at(-1) as Node;
      const named = this.#subscript(last, script);
      return this.#make({ kind: "product", factors: [...base.factors.slice(0, -1), named] });
    }
    if (base.kind === "constant" && (base.name === "e" || base.name === "i")) {
      return this.#make({ kind: "variable", name: `${base.name}_${text}` });
    }
    return this.#make({ kind: "apply", name: `call:index_${text}`, args: [base] });
  }

  /** What stands behind `^` or `_`. */
  #script(): Node {
    if (this.#symbol("{")) return this.#argument();
    if (this.#symbol("-") || this.#symbol("+")) {
      const negative = this.#symbol("-");
      this.#at++;
      const of = this.#script();
      return negative ? this.#make({ kind: "negative", of }) : of;
    }
    return this.#deeper(() => this.#atom());
  }

  /** A braced group or, as in LaTeX, the next token; of a number or letters only its first character. */
  #argument(): Node {
    return this.#deeper(() => {
      const token = this.#peek();
      if (token === undefined) throw new Unreadable("an argument is missing");
      if (this.#symbol("{")) {
        this.#at++;
        const node = this.#list(() => this.#symbol("}"));
        this.#expect("}");
        return node;
      }
      if (token.type === "number" || token.type === "letters") {
        const first = token.text[0] ?? "";
        if (token.text.length > 1)
          this.#tokens[this.#at] = { ...token, text: token.text.slice(1), spaced: false };
        else this.#at++;
        return token.type === "number" ? this.#make(numberNode(first)) : this.#letter(first);
      }
      return this.#atom();
    });
  }

  #letter(name: string): Node {
    const folded = this.#fold && name !== "E" ? name.toLowerCase() : name;
    if (folded === "e") return this.#make({ kind: "constant", name: "e" });
    if (folded === "i") return this.#make({ kind: "constant", name: "i" });
    return this.#make({ kind: "variable", name: this.#fold ? name.toLowerCase() : name });
  }

  #atom(): Node {
    const token = this.#peek();
    if (token === undefined) throw new Unreadable("it ends where a value belongs");
    switch (token.type) {
      case "number":
        this.#at++;
        return this.#repeating(token) ?? this.#make(numberNode(token.text));
      case "letters":
        this.#at++;
        return this.#run(token.text);
      case "word":
        this.#at++;
        return this.#word(token.text);
      case "begin":
        return this.#environment();
      case "end":
        throw new Unreadable("\\end");
      case "symbol":
      case "command":
        return this.#bracketed() ?? this.#named(token);
    }
  }

  /** 0.1\overline{6}, 0.\dot{3}. */
  #repeating(token: Token): Node | undefined {
    const next = this.#peek();
    if (!token.text.includes(".") || next?.type !== "command" || !/^(?:overline|dot|bar)$/.test(next.text))
      return undefined;
    const start = this.#at;
    this.#at++;
    const period =
      this.#symbol("{") && this.#peek(1)?.type === "number" && this.#symbol("}", 2)
        ? this.#peek(1)?.text
        : undefined;
    if (period === undefined || !/^[0-9]+$/.test(period)) {
      this.#at = start;
      return undefined;
    }
    this.#at += 3;
    const [whole = "0", fraction = ""] = token.text.split(".");
    const scale = 10n ** BigInt(fraction.length);
    const nines = 10n ** BigInt(period.length) - 1n;
    const value = rational(BigInt(`${whole}${fraction}`) * nines + BigInt(period), scale * nines);
    return this.#make({ kind: "number", value, decimal: false });
  }

  /** A run of Latin letters: a function, a constant, one variable or several. */
  #run(text: string): Node {
    if (text.length > 1) {
      const lower = text.toLowerCase();
      if (lower === "pi") return this.#make({ kind: "constant", name: "pi" });
      if (lower === "inf" || lower === "infinity" || lower === "infty")
        return this.#make({ kind: "constant", name: "infinity" });
      if (FUNCTIONS.has(text) && this.#startsArgument()) return this.#function(text);
      if (FUNCTIONS.has(lower) && this.#startsArgument()) return this.#function(lower);
      if (text.length > 64) throw new Unreadable("a word of more than 64 letters");
      const factors = [...text].map((letter) => this.#letter(letter));
      return this.#make({ kind: "letters", text, factors });
    }
    const bracket = this.#bracket();
    if (bracket === "(" && this.#peek()?.spaced === false) {
      const call = this.#call(text);
      if (call !== undefined) return call;
    }
    return this.#letter(text);
  }

  #startsArgument(): boolean {
    return this.#startsFactor() || this.#symbol("^") || this.#symbol("_") || this.#symbol("-");
  }

  /** f(x), P(1,2): a call where the letter names functions or the bracket holds a list. */
  #call(name: string): Node | undefined {
    const start = this.#at;
    this.#at++;
    const groups = this.#deeper(() => this.#groups(() => this.#bracket() === ")"));
    const args = groups.flat();
    if (this.#bracket() !== ")" || args.length === 0) throw new Unreadable("a bracket that does not close");
    this.#at++;
    if (args.length > 1 || /^[fgh]$/i.test(name)) {
      return this.#make({ kind: "apply", name: `call:${this.#fold ? name.toLowerCase() : name}`, args });
    }
    this.#at = start;
    return undefined;
  }

  #word(raw: string): Node {
    const text = raw
      .replace(/\\[a-zA-Z]+|[{}$\\]/g, " ")
      .replace(/\s+/g, " ")
      .trim();
    if (text === "") {
      if (this.#startsFactor()) return this.#power();
      throw new Unreadable("empty text");
    }
    if (FUNCTIONS.has(text) && this.#startsArgument()) return this.#function(text);
    if (/^[a-zA-Z]$/.test(text))
      return this.#fold ? this.#make({ kind: "variable", name: text.toLowerCase() }) : this.#letter(text);
    if (/^[0-9]+(?:\.[0-9]+)?$/.test(text)) return this.#make(numberNode(text));
    return this.#make({ kind: "word", text });
  }

  #environment(): Node {
    const name = this.#peek()?.text ?? "";
    this.#at++;
    if (ALIGNMENTS.test(name)) {
      const node = this.#list(() => this.#peek()?.type === "end");
      if (this.#peek()?.type !== "end") throw new Unreadable(`\\begin{${name}} without an end`);
      this.#at++;
      return node;
    }
    if (!MATRICES.test(name)) throw new Unreadable(`the environment ${name}`);
    if (name === "array" && this.#symbol("{"))
      while (this.#at < this.#tokens.length && !this.#symbol("}", -1)) this.#at++;
    const rows: Node[][] = [[]];
    let cells = 0;
    this.#matrix++;
    const bars = this.#bars;
    this.#bars = 0;
    for (;;) {
      const token = this.#peek();
      if (token === undefined) throw new Unreadable(`\\begin{${name}} without an end`);
      if (token.type === "end") break;
      if (this.#command("\\")) {
        rows.push([]);
        this.#at++;
      } else if (this.#symbol("&") || this.#command("hline")) this.#at++;
      else {
        if (++cells > MAX_ITEMS) throw new Unreadable(`more than ${MAX_ITEMS} cells`);
        rows.at(-1)?.push(this.#relation());
        const ended = this.#symbol("&") || this.#command("\\") || this.#peek()?.type === "end";
        if (!ended) throw new Unreadable("a matrix of something else");
      }
    }
    this.#at++;
    this.#matrix--;
    this.#bars = bars;
    const filled = rows.filter((row) => row.length > 0);
    if (filled.length === 0 || filled.some((row) => row.length !== filled[0]?.length))
      throw new Unreadable("a ragged matrix");
    const matrix = this.#make({ kind: "matrix", rows: filled });
    return name.startsWith("v") ? this.#make({ kind: "apply", name: "det", args: [matrix] }) : matrix;
  }

  /** Round, square, curly, angle brackets, bars, floor and ceiling; a braced group too. */
  #bracketed(): Node | undefined {
    if (this.#symbol("{")) return this.#braces();
    const open = this.#bracket();
    if (open === undefined) return undefined;
    if (open === "|") return this.#absolute();
    if (open === "floor" || open === "ceil") {
      this.#at++;
      const of = this.#deeper(() => this.#sum());
      if (this.#bracket() !== `/${open}`) throw new Unreadable(`${open} that does not close`);
      this.#at++;
      return this.#make({ kind: "apply", name: open, args: [of] });
    }
    if (open !== "(" && open !== "[" && open !== "{" && open !== "]")
      throw new Unreadable(`${open} in this place`);
    this.#at++;
    const bars = this.#bars;
    this.#bars = 0;
    const closes = open === "{" ? ["}"] : [")", "]", "["];
    const groups = this.#deeper(() =>
      this.#groups(() => closes.includes(this.#bracket() ?? "") && !this.#opens()),
    );
    this.#bars = bars;
    const close = this.#bracket();
    if (close === undefined || !closes.includes(close)) throw new Unreadable("a bracket that does not close");
    this.#at++;
    const items = groups.flat();
    if (open === "{") {
      return this.#make(items.length === 0 ? { kind: "namedSet", name: "empty" } : { kind: "set", items });
    }
    if (items.length === 0) throw new Unreadable("empty brackets");
    if (items.length === 1 && open === "(" && close === ")") return items[0] as Node;
    if (items.length === 1 && open === "[" && close === "]") return items[0] as Node;
    // ]a,b[ is the French open interval.
    return this.#make({
      kind: "bracket",
      open: open === "]" ? "(" : open,
      close: close === "[" ? ")" : close,
      items,
    });
  }

  /** A `[` inside brackets begins something new unless it stands where an item has ended. */
  #opens(): boolean {
    if (this.#bracket() !== "[") return false;
    const previous = this.#peek(-1);
    return previous?.type === "symbol" && ",;([+-*/=".includes(previous.text);
  }

  #braces(): Node {
    this.#at++;
    if (this.#symbol("}")) {
      this.#at++;
      if (this.#startsFactor()) return this.#power();
      return this.#make({ kind: "namedSet", name: "empty" });
    }
    const node = this.#deeper(() => this.#list(() => this.#symbol("}")));
    this.#expect("}");
    return node;
  }

  #absolute(): Node {
    this.#at++;
    this.#bars++;
    const of = this.#deeper(() => this.#sum());
    if (this.#bracket() !== "|") throw new Unreadable("a bar that does not close");
    this.#at++;
    this.#bars--;
    return this.#make({ kind: "apply", name: "abs", args: [of] });
  }

  #named(token: Token): Node {
    const name = token.text;
    if (token.type === "symbol") throw new Unreadable(`${JSON.stringify(name)} where a value belongs`);
    this.#at++;
    if (/^[dtc]?frac$/.test(name)) {
      const top = this.#argument();
      const bottom = this.#argument();
      return this.#make({ kind: "quotient", top, bottom });
    }
    if (/^[dt]?binom$/.test(name))
      return this.#make({ kind: "apply", name: "binomial", args: [this.#argument(), this.#argument()] });
    if (ROOTS.test(name)) return this.#root(name);
    if (name === "pi") return this.#make({ kind: "constant", name: "pi" });
    if (name === "infty" || name === "infin") return this.#make({ kind: "constant", name: "infinity" });
    if (name === "imath") return this.#make({ kind: "constant", name: "i" });
    if (name === "mathbb" || name === "Bbb") return this.#namedSet();
    if (SETS.test(name)) {
      const set = /^(?:emptyset|varnothing)$/.test(name) ? "empty" : name[0]?.toUpperCase();
      return this.#make({ kind: "namedSet", name: set as "R" });
    }
    if (name === "max" || name === "min" || FUNCTIONS.has(name)) return this.#function(name);
    if (BOUND.test(name)) return this.#boundOperator(name);
    if (DECORATIONS.test(name)) {
      const of = this.#argument();
      const simple = of.kind === "variable" || of.kind === "letters";
      if (name === "vec" && simple) return this.#make({ kind: "variable", name: `vec ${nameOf(of)}` });
      return this.#make({ kind: "variable", name: `${name} ${nameOf(of)}` });
    }
    if (SYMBOLS.has(name))
      return this.#make({ kind: "variable", name: `\\${this.#fold ? name.toLowerCase() : name}` });
    throw new Unreadable(`the command \\${name}`);
  }

  #namedSet(): Node {
    const of = this.#argument();
    const name = nameOf(of).toUpperCase();
    if (/^[RCQZN]$/.test(name)) return this.#make({ kind: "namedSet", name: name as "R" });
    return this.#make({ kind: "variable", name: `bb ${name}` });
  }

  #root(name: string): Node {
    let degree: Node = { kind: "number", value: rational(name === "cbrt" ? 3n : 2n), decimal: false };
    if (this.#symbol("[")) {
      this.#at++;
      degree = this.#deeper(() => this.#sum());
      this.#expect("]");
    }
    const of = this.#symbol("(") ? this.#atom() : this.#argument();
    return this.#make({ kind: "apply", name: "root", args: [degree, of] });
  }

  /** \sin^2 x, \log_2 8, \sin^{-1} x, \ln x y; `sqrt(2)` and `sqrt 2` of plain text. */
  #function(name: string): Node {
    return this.#deeper(() => {
      if (ROOTS.test(name)) {
        const degree: Node = { kind: "number", value: rational(name === "cbrt" ? 3n : 2n), decimal: false };
        return this.#make({ kind: "apply", name: "root", args: [degree, this.#power()] });
      }
      let base: Node | undefined;
      let exponent: Node | undefined;
      while (this.#symbol("_") || this.#symbol("^")) {
        const up = this.#symbol("^");
        this.#at++;
        const script = this.#argument();
        if (up) exponent = script;
        else base = script;
      }
      const args = this.#functionArguments();
      let node: Node;
      if (name === "log" && base !== undefined)
        node = this.#make({ kind: "apply", name: "logBase", args: [base, ...args] });
      else if (name === "log") node = this.#make({ kind: "apply", name: "lg", args });
      else if (base !== undefined)
        node = this.#make({ kind: "apply", name: `call:${name}_`, args: [base, ...args] });
      else node = this.#make({ kind: "apply", name, args });
      if (exponent === undefined) return node;
      const inverse =
        exponent.kind === "negative" &&
        exponent.of.kind === "number" &&
        exponent.of.value.n === 1n &&
        exponent.of.value.d === 1n;
      if (inverse && /^(?:sin|cos|tan)$/.test(name))
        return this.#make({ kind: "apply", name: `arc${name}`, args });
      return this.#make({ kind: "power", base: node, exponent });
    });
  }

  #functionArguments(): Node[] {
    if (this.#symbol("(") || this.#bracket() === "(" || this.#bracket() === "[") {
      const start = this.#at;
      const inner = this.#bracketed() as Node;
      // \sin (x)^2 keeps the power outside of the bracket and inside of the argument.
      if (this.#symbol("^") || this.#symbol("!")) {
        this.#at = start;
        return [this.#power()];
      }
      return inner.kind === "bracket" ? [...inner.items] : [inner];
    }
    if (this.#symbol("-")) {
      this.#at++;
      return [this.#make({ kind: "negative", of: this.#power() })];
    }
    const factors = [this.#power()];
    while (this.#startsFactor() && !this.#startsFunction()) factors.push(this.#power());
    return [factors.length === 1 ? (factors[0] as Node) : this.#make({ kind: "product", factors })];
  }

  #startsFunction(): boolean {
    const token = this.#peek();
    const named = token?.type === "command" || token?.type === "letters";
    return (
      named &&
      (FUNCTIONS.has(token.text) || BOUND.test(token.text) || token.text === "(") &&
      !ROOTS.test(token.text)
    );
  }

  #boundOperator(name: string): Node {
    const empty: Node = { kind: "word", text: "" };
    let low: Node = empty;
    let high: Node = empty;
    while (this.#symbol("_") || this.#symbol("^")) {
      const up = this.#symbol("^");
      this.#at++;
      const script = this.#symbol("{") ? this.#bounds() : this.#argument();
      if (up) high = script;
      else low = script;
    }
    const body = this.#deeper(() => this.#product());
    return this.#make({ kind: "apply", name, args: [low, high, body] });
  }

  /** `k=1`, `x \to 0`, `1 \le i < j \le n` under a sum or a limit. */
  #bounds(): Node {
    this.#at++;
    const first = this.#relation();
    if (this.#command("to") || this.#command("rightarrow")) {
      this.#at++;
      const limit = this.#relation();
      this.#expect("}");
      return this.#make({ kind: "relation", operators: ["="], sides: [first, limit] });
    }
    this.#expect("}");
    return first;
  }
}

const isPercentWord = (text: string): boolean => /^\s*(?:percent|percentage|pct|per cent)\s*$/i.test(text);

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
function nameOf(node: Node): string {
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
