/**
 * Whether a tokenizer's regular expression ends soon on every text. The library runs it by backtracking (Oniguruma), where `(a+)+$` tries
 * 2^n ways through n letters; past ten million tries the library ends the process. The ways of a pattern are
 * counted without running it: what is repeated must have one length and one way to match, of repeats without an end that something can follow in vain there may be
 * one in a row, and choices before such a place multiply to a small number. Then a match takes steps in proportion to the
 * text. The patterns of GPT-2, Llama, Qwen, DeepSeek, o200k and BLOOM are within that; what this does not know is refused.
 */

const maxLength = 8192;
const maxDepth = 50;
/** Ways through what may then fail, and as many times a longer repeat counts as one without an end. */
const maxWays = 64;
const longRepeat = 16;

/** What is known of a part of a pattern. */
interface Part {
  /** Characters that it matches: at least, at most. */
  readonly min: number;
  readonly max: number;
  /** Ways to match the same start of a text, repeats without an end apart. */
  readonly ways: number;
  /** Repeats without an end, in a row. */
  readonly endless: number;
  /** Whether something in it has to match: text, a border, what is ahead. */
  readonly canFail: boolean;
  /** What it repeats without an end: `\s` of `\s+`. */
  readonly scanned: readonly string[];
  /** Of these, what is walked over in vain where something behind it fails. */
  readonly inVain: readonly string[];
  /** What would still be tried where something that follows fails; the last repeat of a pattern never is. */
  readonly retried: { readonly ways: number; readonly endless: number };
}

const nothing: Part = {
  min: 0,
  max: 0,
  ways: 1,
  endless: 0,
  canFail: false,
  scanned: [],
  inVain: [],
  retried: { ways: 1, endless: 0 },
};

export interface PatternCost {
  /** The fewest characters that a match has. */
  readonly shortest: number;
  /** Sets of characters, as the pattern spells them, of which a long run takes the square of its length. */
  readonly inVain: readonly string[];
}

/** Throws Error with the reason where matching may take too long on a text without long runs. */
export function patternCost(pattern: string): PatternCost {
  if (pattern.length > maxLength) throw new Error(`it is longer than ${maxLength} characters`);
  const parser = new PatternParser(pattern);
  const { min, inVain, retried } = parser.whole();
  check(retried);
  return { shortest: min, inVain: [...new Set(inVain)] };
}

function check({ ways, endless }: Part["retried"]): void {
  if (endless > 1)
    throw new Error(
      "it has repeats without an end behind each other, each tried again for each place of the other",
    );
  if (ways > maxWays) throw new Error(`it has more than ${maxWays} ways to match the same text`);
}

/** Parts behind each other. */
function inRow(parts: readonly Part[]): Part {
  let row = nothing;
  for (const part of parts) {
    // What came before is tried again in full where this fails.
    const before = part.canFail ? { ways: row.ways, endless: row.endless } : row.retried;
    row = {
      min: row.min + part.min,
      max: row.max + part.max,
      ways: row.ways * part.ways,
      endless: row.endless + part.endless,
      canFail: row.canFail || part.canFail,
      scanned: [...row.scanned, ...part.scanned],
      inVain: [...row.inVain, ...part.inVain, ...(part.canFail ? row.scanned : [])],
      retried: {
        ways: before.ways * part.retried.ways,
        endless: before.endless + part.retried.endless,
      },
    };
  }
  return row;
}

/** One of several. */
function oneOf(parts: readonly Part[]): Part {
  if (parts.length === 1) return parts[0]!;
  const most = (of: (part: Part) => number): number => Math.max(...parts.map(of));
  return {
    min: Math.min(...parts.map(({ min }) => min)),
    max: most(({ max }) => max),
    ways: parts.reduce((sum, { ways }) => sum + ways, 0),
    endless: most(({ endless }) => endless),
    canFail: parts.some(({ canFail }) => canFail),
    scanned: parts.flatMap(({ scanned }) => scanned),
    inVain: parts.flatMap(({ inVain }) => inVain),
    // Each alternative is left before the next is tried: they add up, and the worst counts for what is endless.
    retried: {
      ways: most(({ retried }) => retried.ways),
      endless: most(({ retried }) => retried.endless),
    },
  };
}

function repeated(part: Part, written: string, from: number, to: number, possessive: boolean): Part {
  const many = to > 1;
  if (many && (part.ways > 1 || part.endless > 0 || part.min !== part.max || part.min === 0)) {
    throw new Error("it repeats what itself matches in more than one way or length");
  }
  const endless = to > longRepeat && to !== from;
  const times = endless || possessive ? 1 : to - from + 1;
  return {
    min: part.min * from,
    max: to === Number.POSITIVE_INFINITY ? to : part.max * to,
    ways: part.ways * times,
    endless: possessive ? 0 : part.endless + (endless ? 1 : 0),
    canFail: from > 0 && part.canFail,
    scanned: to > longRepeat ? [written] : part.scanned,
    inVain: part.inVain,
    retried: part.retried,
  };
}

/** One character of many, or a border: it matches in one way. */
const character: Part = { ...nothing, min: 1, max: 1, canFail: true };
const border: Part = { ...nothing, canFail: true };

class PatternParser {
  private at = 0;

  constructor(private readonly text: string) {}

  whole(): Part {
    const part = this.alternatives(0);
    if (this.at < this.text.length) throw new Error(`it has an unexpected ) at ${this.at}`);
    return part;
  }

  private alternatives(depth: number): Part {
    if (depth > maxDepth) throw new Error(`it nests deeper than ${maxDepth} levels`);
    const parts = [this.row(depth)];
    while (this.take("|")) parts.push(this.row(depth));
    return oneOf(parts);
  }

  private row(depth: number): Part {
    const parts: Part[] = [];
    while (this.at < this.text.length && !"|)".includes(this.text[this.at]!)) parts.push(this.repeats(depth));
    return inRow(parts);
  }

  /** `*`, `+`, `?`, `{n,m}` with lazy `?` and possessive `+` behind them. */
  private repeats(depth: number): Part {
    const start = this.at;
    let part = this.atom(depth);
    const written = this.text.slice(start, this.at);
    for (;;) {
      const bounds = this.bounds();
      if (bounds === undefined) return part;
      const [from, to, braces] = bounds;
      const lazy = this.take("?");
      // Behind braces + is one more repeat.
      const possessive = !lazy && !braces && this.take("+");
      part = repeated(part, written, from, to, possessive);
    }
  }

  private bounds(): readonly [from: number, to: number, braces: boolean] | undefined {
    if (this.take("*")) return [0, Number.POSITIVE_INFINITY, false];
    if (this.take("+")) return [1, Number.POSITIVE_INFINITY, false];
    if (this.take("?")) return [0, 1, false];
    const braces = /^\{(\d*)(,?)(\d*)\}/.exec(this.text.slice(this.at, this.at + 24));
    if (!braces || (braces[1] === "" && braces[3] === "")) return undefined;
    this.at += braces[0].length;
    const from = Number(braces[1] ?? 0);
    const to = braces[2] === "" ? from : braces[3] === "" ? Number.POSITIVE_INFINITY : Number(braces[3]);
    return [from, to, true];
  }

  private atom(depth: number): Part {
    const letter = this.next();
    if (letter === "(") return this.group(depth);
    if (letter === "[") {
      this.set(depth);
      return character;
    }
    if (letter === "\\") return this.escape();
    return letter === "^" || letter === "$" ? border : character;
  }

  private group(depth: number): Part {
    let kind = "(";
    if (this.take("?")) {
      // From here to the end of the group around it; the pattern stays the same.
      const options = /^[imsaD]*(?:-[ims]+)?\)/.exec(this.text.slice(this.at, this.at + 16))?.[0];
      if (options !== undefined) {
        this.at += options.length;
        return nothing;
      }
      kind =
        /^(?:[:=!>]|<[=!]|<[A-Za-z_]\w*>|[imxsaD]*(?:-[imx]+)?:)/.exec(
          this.text.slice(this.at, this.at + 64),
        )?.[0] ?? "";
      if (kind === "") throw new Error(`it has a group of an unknown kind at ${this.at}`);
      // Under x white space is none of the pattern's.
      if (/^[^<]*x/.test(kind)) throw new Error("it is written with the option x");
      this.at += kind.length;
    }
    const inner = this.alternatives(depth + 1);
    if (!this.take(")")) throw new Error("a group in it has no end");
    if (!["=", "!", "<=", "<!", ">"].includes(kind)) return inner;
    // These are never entered again: what is tried inside counts by itself.
    check(inner.retried);
    if (kind === ">") return { ...inner, ways: 1, endless: 0, retried: nothing.retried };
    // Asked again at each place, whether it is there or not.
    const inVain = [...inner.scanned, ...inner.inVain];
    return {
      ...border,
      inVain,
      endless: inner.endless,
      retried: { ways: 1, endless: inner.retried.endless },
    };
  }

  private escape(): Part {
    const letter = this.next();
    if (/[1-9kgKRXyY]/.test(letter)) throw new Error(`it has \\${letter}, which may match in many ways`);
    if (/[bBAZzG]/.test(letter)) return border;
    if (letter === "p" || letter === "P" || letter === "x" || letter === "u" || letter === "o") this.braced();
    if (letter === "x" || letter === "u")
      this.at += /^[0-9A-Fa-f]{0,4}/.exec(
        this.text.slice(this.at, this.at + (letter === "u" ? 4 : 2)),
      )![0].length;
    return character;
  }

  private braced(): void {
    if (this.text[this.at] !== "{") return;
    const end = this.text.indexOf("}", this.at);
    if (end < 0) throw new Error("braces in it have no end");
    this.at = end + 1;
  }

  /** A set of characters, sets in it included. */
  private set(depth: number): void {
    if (depth > maxDepth) throw new Error(`it nests deeper than ${maxDepth} levels`);
    this.take("^");
    this.take("]");
    for (;;) {
      const letter = this.next();
      if (letter === "]") return;
      if (letter === "[") this.set(depth + 1);
      if (letter === "\\") this.next();
    }
  }

  private take(letter: string): boolean {
    const found = this.text[this.at] === letter;
    if (found) this.at++;
    return found;
  }

  private next(): string {
    const code = this.text.codePointAt(this.at);
    if (code === undefined) throw new Error("it ends in the middle of a set, group or escape");
    const letter = String.fromCodePoint(code);
    this.at += letter.length;
    return letter;
  }
}
