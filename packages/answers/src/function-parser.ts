/** Functions with their arguments, roots, sums and limits, named sets. */
import { Cursor } from "./cursor.js";
import { nameOf } from "./names.js";
import { rational } from "./rational.js";
import { FUNCTIONS, type Node } from "./syntax.js";

export const BOUND = /^(?:sum|prod|int|iint|oint|lim|bigcup|bigcap)$/;
export const ROOTS = /^(?:sqrt|cbrt)$/;

export abstract class FunctionParser extends Cursor {
  protected abstract relation(): Node;
  protected abstract sum(): Node;
  protected abstract product(): Node;
  protected abstract power(): Node;
  protected abstract atom(): Node;
  protected abstract argument(): Node;
  protected abstract bracketed(): Node | undefined;
  protected abstract startsFactor(): boolean;

  protected namedSet(): Node {
    const of = this.argument();
    const name = nameOf(of).toUpperCase();
    if (/^[RCQZN]$/.test(name)) return this.make({ kind: "namedSet", name: name as "R" });
    return this.make({ kind: "variable", name: `bb ${name}` });
  }

  protected root(name: string): Node {
    let degree: Node = { kind: "number", value: rational(name === "cbrt" ? 3n : 2n), decimal: false };
    if (this.symbol("[")) {
      this.at++;
      degree = this.deeper(() => this.sum());
      this.expect("]");
    }
    const of = this.symbol("(") ? this.atom() : this.argument();
    return this.make({ kind: "apply", name: "root", args: [degree, of] });
  }

  /** \sin^2 x, \log_2 8, \sin^{-1} x, \ln x y; `sqrt(2)` and `sqrt 2` of plain text. */
  protected function(name: string): Node {
    return this.deeper(() => {
      if (ROOTS.test(name)) {
        const degree: Node = { kind: "number", value: rational(name === "cbrt" ? 3n : 2n), decimal: false };
        return this.make({ kind: "apply", name: "root", args: [degree, this.power()] });
      }
      let base: Node | undefined;
      let exponent: Node | undefined;
      while (this.symbol("_") || this.symbol("^")) {
        const up = this.symbol("^");
        this.at++;
        const script = this.argument();
        if (up) exponent = script;
        else base = script;
      }
      const args = this.functionArguments();
      let node: Node;
      if (name === "log" && base !== undefined)
        node = this.make({ kind: "apply", name: "logBase", args: [base, ...args] });
      else if (name === "log") node = this.make({ kind: "apply", name: "lg", args });
      else if (base !== undefined)
        node = this.make({ kind: "apply", name: `call:${name}_`, args: [base, ...args] });
      else node = this.make({ kind: "apply", name, args });
      if (exponent === undefined) return node;
      const inverse =
        exponent.kind === "negative" &&
        exponent.of.kind === "number" &&
        exponent.of.value.n === 1n &&
        exponent.of.value.d === 1n;
      if (inverse && /^(?:sin|cos|tan)$/.test(name))
        return this.make({ kind: "apply", name: `arc${name}`, args });
      return this.make({ kind: "power", base: node, exponent });
    });
  }

  protected functionArguments(): Node[] {
    if (this.symbol("(") || this.bracket() === "(" || this.bracket() === "[") {
      const start = this.at;
      const inner = this.bracketed() as Node;
      // \sin (x)^2 keeps the power outside of the bracket and inside of the argument.
      if (this.symbol("^") || this.symbol("!")) {
        this.at = start;
        return [this.power()];
      }
      return inner.kind === "bracket" ? [...inner.items] : [inner];
    }
    if (this.symbol("-")) {
      this.at++;
      return [this.make({ kind: "negative", of: this.power() })];
    }
    const factors = [this.power()];
    while (this.startsFactor() && !this.startsFunction()) factors.push(this.power());
    return [factors.length === 1 ? (factors[0] as Node) : this.make({ kind: "product", factors })];
  }

  protected startsFunction(): boolean {
    const token = this.peek();
    const named = token?.type === "command" || token?.type === "letters";
    return (
      named &&
      (FUNCTIONS.has(token.text) || BOUND.test(token.text) || token.text === "(") &&
      !ROOTS.test(token.text)
    );
  }

  protected boundOperator(name: string): Node {
    const empty: Node = { kind: "word", text: "" };
    let low: Node = empty;
    let high: Node = empty;
    while (this.symbol("_") || this.symbol("^")) {
      const up = this.symbol("^");
      this.at++;
      const script = this.symbol("{") ? this.bounds() : this.argument();
      if (up) high = script;
      else low = script;
    }
    const body = this.deeper(() => this.product());
    return this.make({ kind: "apply", name, args: [low, high, body] });
  }

  /** `k=1`, `x \to 0`, `1 \le i < j \le n` under a sum or a limit. */
  protected bounds(): Node {
    this.at++;
    const first = this.relation();
    if (this.command("to") || this.command("rightarrow")) {
      this.at++;
      const limit = this.relation();
      this.expect("}");
      return this.make({ kind: "relation", operators: ["="], sides: [first, limit] });
    }
    this.expect("}");
    return first;
  }
}
