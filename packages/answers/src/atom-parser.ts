/** Atoms and what hangs on them: numbers, names, words, brackets, matrices; powers, subscripts, factorials, percent signs. */
import { numberNode } from "./cursor.js";
import { BOUND, FunctionParser, ROOTS } from "./function-parser.js";
import { MAX_ITEMS, Unreadable } from "./limits.js";
import { isPercentWord, nameOf } from "./names.js";
import { rational } from "./rational.js";
import { FUNCTIONS, type Node, SYMBOLS } from "./syntax.js";
import type { Token } from "./tokens.js";

const DECORATIONS =
  /^(?:vec|overrightarrow|overline|bar|hat|widehat|tilde|widetilde|underline|dot|ddot|mathcal|mathscr|mathfrak|overarc|wideparen)$/;
const MATRICES = /^(?:[pbvBV]?matrix\*?|smallmatrix|array)$/;
const ALIGNMENTS = /^(?:align|aligned|gather|gathered|equation|split|multline)\*?$/;
const SETS = /^(?:R|C|Q|Z|N|reals|Reals|emptyset|varnothing)$/;

export abstract class AtomParser extends FunctionParser {
  protected abstract list(stop: () => boolean): Node;
  protected abstract groups(stop: () => boolean): Node[][];

  protected postfix(atom: Node): Node {
    let node = atom;
    for (;;) {
      if (this.symbol("^")) {
        this.at++;
        if (this.isDegree()) {
          node = this.make({ kind: "degrees", of: node });
          continue;
        }
        if (this.command("prime") || this.symbol("'")) {
          this.at++;
          node = this.make({ kind: "apply", name: "call:prime", args: [node] });
          continue;
        }
        const exponent = this.script();
        node = this.raise(node, exponent);
      } else if (this.symbol("_")) {
        this.at++;
        node = this.subscript(node, this.script());
      } else if (this.symbol("!")) {
        this.at++;
        node = this.make({ kind: "apply", name: "factorial", args: [node] });
      } else if (this.symbol("%") || this.percentWord()) {
        this.at++;
        node = this.make({ kind: "percent", of: node });
      } else if (this.symbol("'")) {
        this.at++;
        node = this.make({ kind: "apply", name: "call:prime", args: [node] });
      } else if (this.command("circ") || this.command("degree")) {
        this.at++;
        node = this.make({ kind: "degrees", of: node });
      } else return node;
    }
  }

  protected percentWord(): boolean {
    const token = this.peek();
    return (token?.type === "letters" || token?.type === "word") && isPercentWord(token.text);
  }

  /** Behind `^`: `\circ`, `{\circ}`, `o`. */
  protected isDegree(): boolean {
    if (this.command("circ") || this.command("degree")) {
      this.at++;
      return true;
    }
    if (this.symbol("{") && (this.command("circ", 1) || this.command("degree", 1)) && this.symbol("}", 2)) {
      this.at += 3;
      return true;
    }
    return false;
  }

  /** x^2 on a run of letters raises its last letter. */
  protected raise(base: Node, exponent: Node): Node {
    if (base.kind === "letters") {
      const last = base.factors.at(-1) as Node;
      const raised = this.make({ kind: "power", base: last, exponent });
      return this.make({ kind: "product", factors: [...base.factors.slice(0, -1), raised] });
    }
    return this.make({ kind: "power", base, exponent });
  }

  protected subscript(base: Node, script: Node): Node {
    const text = nameOf(script);
    if (base.kind === "number" && script.kind === "number" && base.value.d === 1n && base.value.n >= 0n) {
      const radix = Number(script.value.n);
      if (script.value.d === 1n && radix >= 2 && radix <= 36)
        return this.make({ kind: "based", digits: `${base.value.n}`, base: radix });
    }
    if (base.kind === "variable") return this.make({ kind: "variable", name: `${base.name}_${text}` });
    if (base.kind === "letters") {
      const last = base.factors.at(-1) as Node;
      const named = this.subscript(last, script);
      return this.make({ kind: "product", factors: [...base.factors.slice(0, -1), named] });
    }
    if (base.kind === "constant" && (base.name === "e" || base.name === "i")) {
      return this.make({ kind: "variable", name: `${base.name}_${text}` });
    }
    return this.make({ kind: "apply", name: `call:index_${text}`, args: [base] });
  }

  /** What stands behind `^` or `_`. */
  protected script(): Node {
    if (this.symbol("{")) return this.argument();
    if (this.symbol("-") || this.symbol("+")) {
      const negative = this.symbol("-");
      this.at++;
      const of = this.script();
      return negative ? this.make({ kind: "negative", of }) : of;
    }
    return this.deeper(() => this.atom());
  }

  /** A braced group or, as in LaTeX, the next token; of a number or letters only its first character. */
  protected argument(): Node {
    return this.deeper(() => {
      const token = this.peek();
      if (token === undefined) throw new Unreadable("an argument is missing");
      if (this.symbol("{")) {
        this.at++;
        const node = this.list(() => this.symbol("}"));
        this.expect("}");
        return node;
      }
      if (token.type === "number" || token.type === "letters") {
        const first = token.text[0] ?? "";
        if (token.text.length > 1)
          this.tokens[this.at] = { ...token, text: token.text.slice(1), spaced: false };
        else this.at++;
        return token.type === "number" ? this.make(numberNode(first)) : this.letter(first);
      }
      return this.atom();
    });
  }

  protected atom(): Node {
    const token = this.peek();
    if (token === undefined) throw new Unreadable("it ends where a value belongs");
    switch (token.type) {
      case "number":
        this.at++;
        return this.repeating(token) ?? this.make(numberNode(token.text));
      case "letters":
        this.at++;
        return this.run(token.text);
      case "word":
        this.at++;
        return this.word(token.text);
      case "begin":
        return this.environment();
      case "end":
        throw new Unreadable("\\end");
      case "symbol":
      case "command":
        return this.bracketed() ?? this.named(token);
    }
  }

  /** 0.1\overline{6}, 0.\dot{3}. */
  protected repeating(token: Token): Node | undefined {
    const next = this.peek();
    if (!token.text.includes(".") || next?.type !== "command" || !/^(?:overline|dot|bar)$/.test(next.text))
      return undefined;
    const start = this.at;
    this.at++;
    const period =
      this.symbol("{") && this.peek(1)?.type === "number" && this.symbol("}", 2)
        ? this.peek(1)?.text
        : undefined;
    if (period === undefined || !/^[0-9]+$/.test(period)) {
      this.at = start;
      return undefined;
    }
    this.at += 3;
    const [whole = "0", fraction = ""] = token.text.split(".");
    const scale = 10n ** BigInt(fraction.length);
    const nines = 10n ** BigInt(period.length) - 1n;
    const value = rational(BigInt(`${whole}${fraction}`) * nines + BigInt(period), scale * nines);
    return this.make({ kind: "number", value, decimal: false });
  }

  /** A run of Latin letters: a function, a constant, one variable or several. */
  protected run(text: string): Node {
    if (text.length > 1) {
      const lower = text.toLowerCase();
      if (lower === "pi") return this.make({ kind: "constant", name: "pi" });
      if (lower === "inf" || lower === "infinity" || lower === "infty")
        return this.make({ kind: "constant", name: "infinity" });
      if (FUNCTIONS.has(text) && this.startsArgument()) return this.function(text);
      if (FUNCTIONS.has(lower) && this.startsArgument()) return this.function(lower);
      if (text.length > 64) throw new Unreadable("a word of more than 64 letters");
      const factors = [...text].map((letter) => this.letter(letter));
      return this.make({ kind: "letters", text, factors });
    }
    const bracket = this.bracket();
    if (bracket === "(" && this.peek()?.spaced === false) {
      const call = this.call(text);
      if (call !== undefined) return call;
    }
    return this.letter(text);
  }

  protected startsArgument(): boolean {
    return this.startsFactor() || this.symbol("^") || this.symbol("_") || this.symbol("-");
  }

  /** f(x), P(1,2): a call where the letter names functions or the bracket holds a list. */
  protected call(name: string): Node | undefined {
    const start = this.at;
    this.at++;
    const groups = this.deeper(() => this.groups(() => this.bracket() === ")"));
    const args = groups.flat();
    if (this.bracket() !== ")" || args.length === 0) throw new Unreadable("a bracket that does not close");
    this.at++;
    if (args.length > 1 || /^[fgh]$/i.test(name)) {
      return this.make({ kind: "apply", name: `call:${this.fold ? name.toLowerCase() : name}`, args });
    }
    this.at = start;
    return undefined;
  }

  protected word(raw: string): Node {
    const text = raw
      .replace(/\\[a-zA-Z]+|[{}$\\]/g, " ")
      .replace(/\s+/g, " ")
      .trim();
    if (text === "") {
      if (this.startsFactor()) return this.power();
      throw new Unreadable("empty text");
    }
    if (FUNCTIONS.has(text) && this.startsArgument()) return this.function(text);
    if (/^[a-zA-Z]$/.test(text))
      return this.fold ? this.make({ kind: "variable", name: text.toLowerCase() }) : this.letter(text);
    if (/^[0-9]+(?:\.[0-9]+)?$/.test(text)) return this.make(numberNode(text));
    return this.make({ kind: "word", text });
  }

  protected environment(): Node {
    const name = this.peek()?.text ?? "";
    this.at++;
    if (ALIGNMENTS.test(name)) {
      const node = this.list(() => this.peek()?.type === "end");
      if (this.peek()?.type !== "end") throw new Unreadable(`\\begin{${name}} without an end`);
      this.at++;
      return node;
    }
    if (!MATRICES.test(name)) throw new Unreadable(`the environment ${name}`);
    if (name === "array" && this.symbol("{"))
      while (this.at < this.tokens.length && !this.symbol("}", -1)) this.at++;
    const rows: Node[][] = [[]];
    let cells = 0;
    this.matrix++;
    const bars = this.bars;
    this.bars = 0;
    for (;;) {
      const token = this.peek();
      if (token === undefined) throw new Unreadable(`\\begin{${name}} without an end`);
      if (token.type === "end") break;
      if (this.command("\\")) {
        rows.push([]);
        this.at++;
      } else if (this.symbol("&") || this.command("hline")) this.at++;
      else {
        if (++cells > MAX_ITEMS) throw new Unreadable(`more than ${MAX_ITEMS} cells`);
        rows.at(-1)?.push(this.relation());
        const ended = this.symbol("&") || this.command("\\") || this.peek()?.type === "end";
        if (!ended) throw new Unreadable("a matrix of something else");
      }
    }
    this.at++;
    this.matrix--;
    this.bars = bars;
    const filled = rows.filter((row) => row.length > 0);
    if (filled.length === 0 || filled.some((row) => row.length !== filled[0]?.length))
      throw new Unreadable("a ragged matrix");
    const matrix = this.make({ kind: "matrix", rows: filled });
    return name.startsWith("v") ? this.make({ kind: "apply", name: "det", args: [matrix] }) : matrix;
  }

  /** Round, square, curly, angle brackets, bars, floor and ceiling; a braced group too. */
  protected bracketed(): Node | undefined {
    if (this.symbol("{")) return this.braces();
    const open = this.bracket();
    if (open === undefined) return undefined;
    if (open === "|") return this.absolute();
    if (open === "floor" || open === "ceil") {
      this.at++;
      const of = this.deeper(() => this.sum());
      if (this.bracket() !== `/${open}`) throw new Unreadable(`${open} that does not close`);
      this.at++;
      return this.make({ kind: "apply", name: open, args: [of] });
    }
    if (open !== "(" && open !== "[" && open !== "{" && open !== "]")
      throw new Unreadable(`${open} in this place`);
    this.at++;
    const bars = this.bars;
    this.bars = 0;
    const closes = open === "{" ? ["}"] : [")", "]", "["];
    const groups = this.deeper(() =>
      this.groups(() => closes.includes(this.bracket() ?? "") && !this.opens()),
    );
    this.bars = bars;
    const close = this.bracket();
    if (close === undefined || !closes.includes(close)) throw new Unreadable("a bracket that does not close");
    this.at++;
    const items = groups.flat();
    if (open === "{") {
      return this.make(items.length === 0 ? { kind: "namedSet", name: "empty" } : { kind: "set", items });
    }
    if (items.length === 0) throw new Unreadable("empty brackets");
    if (items.length === 1 && open === "(" && close === ")") return items[0] as Node;
    if (items.length === 1 && open === "[" && close === "]") return items[0] as Node;
    // ]a,b[ is the French open interval.
    return this.make({
      kind: "bracket",
      open: open === "]" ? "(" : open,
      close: close === "[" ? ")" : close,
      items,
    });
  }

  /** A `[` inside brackets begins something new unless it stands where an item has ended. */
  protected opens(): boolean {
    if (this.bracket() !== "[") return false;
    const previous = this.peek(-1);
    return previous?.type === "symbol" && ",;([+-*/=".includes(previous.text);
  }

  protected braces(): Node {
    this.at++;
    if (this.symbol("}")) {
      this.at++;
      if (this.startsFactor()) return this.power();
      return this.make({ kind: "namedSet", name: "empty" });
    }
    const node = this.deeper(() => this.list(() => this.symbol("}")));
    this.expect("}");
    return node;
  }

  protected absolute(): Node {
    this.at++;
    this.bars++;
    const of = this.deeper(() => this.sum());
    if (this.bracket() !== "|") throw new Unreadable("a bar that does not close");
    this.at++;
    this.bars--;
    return this.make({ kind: "apply", name: "abs", args: [of] });
  }

  protected named(token: Token): Node {
    const name = token.text;
    if (token.type === "symbol") throw new Unreadable(`${JSON.stringify(name)} where a value belongs`);
    this.at++;
    if (/^[dtc]?frac$/.test(name)) {
      const top = this.argument();
      const bottom = this.argument();
      return this.make({ kind: "quotient", top, bottom });
    }
    if (/^[dt]?binom$/.test(name))
      return this.make({ kind: "apply", name: "binomial", args: [this.argument(), this.argument()] });
    if (ROOTS.test(name)) return this.root(name);
    if (name === "pi") return this.make({ kind: "constant", name: "pi" });
    if (name === "infty" || name === "infin") return this.make({ kind: "constant", name: "infinity" });
    if (name === "imath") return this.make({ kind: "constant", name: "i" });
    if (name === "mathbb" || name === "Bbb") return this.namedSet();
    if (SETS.test(name)) {
      const set = /^(?:emptyset|varnothing)$/.test(name) ? "empty" : name[0]?.toUpperCase();
      return this.make({ kind: "namedSet", name: set as "R" });
    }
    if (name === "max" || name === "min" || FUNCTIONS.has(name)) return this.function(name);
    if (BOUND.test(name)) return this.boundOperator(name);
    if (DECORATIONS.test(name)) {
      const of = this.argument();
      const simple = of.kind === "variable" || of.kind === "letters";
      if (name === "vec" && simple) return this.make({ kind: "variable", name: `vec ${nameOf(of)}` });
      return this.make({ kind: "variable", name: `${name} ${nameOf(of)}` });
    }
    if (SYMBOLS.has(name))
      return this.make({ kind: "variable", name: `\\${this.fold ? name.toLowerCase() : name}` });
    throw new Unreadable(`the command \\${name}`);
  }
}
