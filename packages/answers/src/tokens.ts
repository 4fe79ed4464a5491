/**
 * Characters to tokens. First every character becomes ASCII or LaTeX (full-width forms, digits of other scripts,
 * superscripts, fractions, Unicode operators), then one pass cuts tokens. Both are linear.
 */
import { Unreadable } from "./limits.js";

export interface Token {
  readonly type: "number" | "letters" | "word" | "command" | "symbol" | "begin" | "end";
  readonly text: string;
  /** White space came before it. */
  readonly spaced: boolean;
}

/** The zeros of the decimal digits of Unicode that answers are written in. */
const ZEROS = [
  0x0660, 0x06f0, 0x07c0, 0x0966, 0x09e6, 0x0a66, 0x0ae6, 0x0b66, 0x0be6, 0x0c66, 0x0ce6, 0x0d66, 0x0de6,
  0x0e50, 0x0ed0, 0x0f20, 0x1040, 0x17e0, 0x1810, 0xff10, 0x1d7ce, 0x1d7d8, 0x1d7e2, 0x1d7ec, 0x1d7f6,
];

const SUPERSCRIPTS = "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁽⁾ⁿⁱ";
const SUPERSCRIPT_TEXT = "0123456789+-()ni";
const SUBSCRIPTS = "₀₁₂₃₄₅₆₇₈₉";

const REPLACEMENTS: Readonly<Record<string, string>> = {
  "×": "\\times ",
  "✕": "\\times ",
  "⋅": "\\cdot ",
  "·": "\\cdot ",
  "∙": "\\cdot ",
  "÷": "\\div ",
  "−": "-",
  "–": "-",
  "—": "-",
  "‐": "-",
  "‑": "-",
  "∕": "/",
  "⁄": "/",
  "≤": "\\le ",
  "≦": "\\le ",
  "⩽": "\\le ",
  "≥": "\\ge ",
  "≧": "\\ge ",
  "⩾": "\\ge ",
  "≠": "\\ne ",
  "≈": "\\approx ",
  "≡": "\\equiv ",
  "∞": "\\infty ",
  "√": " sqrt ",
  "∪": "\\cup ",
  "∩": "\\cap ",
  "∈": "\\in ",
  "∉": "\\notin ",
  "∅": "\\emptyset ",
  "±": "\\pm ",
  "∓": "\\mp ",
  "°": "^\\circ ",
  º: "^\\circ ",
  "′": "'",
  "’": "'",
  "‘": "'",
  "“": '"',
  "”": '"',
  π: "\\pi ",
  ℝ: "\\mathbb{R}",
  ℤ: "\\mathbb{Z}",
  ℚ: "\\mathbb{Q}",
  ℕ: "\\mathbb{N}",
  ℂ: "\\mathbb{C}",
  "∠": "\\angle ",
  "△": "\\triangle ",
  "½": "\\frac{1}{2}",
  "⅓": "\\frac{1}{3}",
  "⅔": "\\frac{2}{3}",
  "¼": "\\frac{1}{4}",
  "¾": "\\frac{3}{4}",
  "⅕": "\\frac{1}{5}",
  "⅖": "\\frac{2}{5}",
  "⅗": "\\frac{3}{5}",
  "⅘": "\\frac{4}{5}",
  "⅙": "\\frac{1}{6}",
  "⅚": "\\frac{5}{6}",
  "⅛": "\\frac{1}{8}",
  "⅜": "\\frac{3}{8}",
  "⅝": "\\frac{5}{8}",
  "⅞": "\\frac{7}{8}",
  "，": ",",
  "、": ",",
  "،": ",",
  "。": ".",
  "．": ".",
  "；": ";",
  "：": ":",
  "∶": ":",
  "٪": "%",
  "٫": ".",
  "٬": ",",
  "⟨": "\\langle ",
  "⟩": "\\rangle ",
  "⌊": "\\lfloor ",
  "⌋": "\\rfloor ",
  "⌈": "\\lceil ",
  "⌉": "\\rceil ",
  "…": "\\ldots ",
  "→": "\\to ",
  "⇒": "\\Rightarrow ",
};

const GREEK =
  "αalpha βbeta γgamma δdelta εepsilon ζzeta ηeta θtheta ικλlambda μmu νnu ξxi ρrho σsigma τtau φphi χchi ψpsi ωomega";
const GREEK_COMMANDS = new Map(
  GREEK.split(" ").flatMap((entry) =>
    /^[α-ω][a-z]+$/.test(entry) ? [[entry[0] ?? "", `\\${entry.slice(1)} `]] : [],
  ),
);

/** The value of a decimal digit of any script, or undefined. */
function digitOf(codePoint: number): number | undefined {
  for (const zero of ZEROS) if (codePoint >= zero && codePoint < zero + 10) return codePoint - zero;
  return undefined;
}

/** Digits of every script, and full-width letters and signs, as ASCII; all else stays. */
export const toAsciiDigits = (text: string): string =>
  text.replace(/[\p{Nd}\uff01-\uff5e]/gu, (char) => {
    const code = char.codePointAt(0) ?? 0;
    const digit = digitOf(code);
    if (digit !== undefined) return String(digit);
    return code >= 0xff01 && code <= 0xff5e ? String.fromCharCode(code - 0xfee0) : char;
  });

/** Digits, operators and punctuation of other scripts as ASCII and LaTeX; what is ASCII already stays. */
export function toAscii(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: the range is ASCII.
  if (/^[\u0000-\u007f]*$/.test(text)) return text;
  let out = "";
  let raised: "^" | "_" | "" = "";
  const close = (): void => {
    if (raised !== "") out += "}";
    raised = "";
  };
  for (const char of text) {
    const code = char.codePointAt(0) ?? 0;
    const up = SUPERSCRIPTS.indexOf(char);
    const down = SUBSCRIPTS.indexOf(char);
    const sign = up >= 0 ? "^" : down >= 0 ? "_" : "";
    if (sign !== "") {
      if (raised !== sign) {
        close();
        out += `${sign}{`;
        raised = sign;
      }
      out += up >= 0 ? SUPERSCRIPT_TEXT[up] : down;
      continue;
    }
    close();
    if (code < 0x80) out += char;
    else if (REPLACEMENTS[char] !== undefined) out += REPLACEMENTS[char];
    else if (GREEK_COMMANDS.has(char)) out += GREEK_COMMANDS.get(char);
    else if (code >= 0xff01 && code <= 0xff5e) out += String.fromCharCode(code - 0xfee0);
    else if (/\s|\u200b|\ufeff/u.test(char)) out += " ";
    else out += digitOf(code) ?? char;
  }
  close();
  return out;
}

const TEXT_COMMANDS =
  /^(?:text|textbf|textit|textrm|textnormal|textsf|texttt|mbox|mathrm|mathbf|mathit|mathsf|operatorname|hbox)$/;
const IGNORED =
  /^(?:left|right|mleft|mright|big|Big|bigg|Bigg|bigl|bigr|Bigl|Bigr|displaystyle|textstyle|scriptstyle|limits|nolimits|rm|bf|it|boldsymbol|bm|quad|qquad|thinspace|space|enspace|hspace|phantom|mathop|mathstrut|hfill|boxed|fbox|Large|large|tag)$/;
const DIGIT = /[0-9]/;
const LETTER = /[a-zA-Z]/;

/** Where the brace that opens at `start` closes, or -1. */
export function closingBrace(text: string, start: number): number {
  let depth = 0;
  for (let i = start; i < text.length; i++) {
    const char = text[i];
    if (char === "\\") i++;
    else if (char === "{") depth++;
    else if (char === "}" && --depth === 0) return i;
  }
  return -1;
}

/** Cuts tokens. `source` is ASCII and LaTeX but for letters of other scripts. */
export function tokenize(source: string): Token[] {
  const tokens: Token[] = [];
  let at = 0;
  let brackets = 0;
  let spaced = false;
  const push = (type: Token["type"], text: string): void => {
    tokens.push({ type, text, spaced });
    spaced = false;
  };
  while (at < source.length) {
    const char = source[at] ?? "";
    if (/\s/.test(char) || char === "~" || char === "$" || char === '"' || char === "\u0000") {
      spaced = true;
      at++;
    } else if (DIGIT.test(char) || (char === "." && DIGIT.test(source[at + 1] ?? ""))) {
      const end = numberEnd(source, at, brackets === 0);
      push("number", source.slice(at, end));
      at = end;
    } else if (LETTER.test(char)) {
      let end = at + 1;
      while (LETTER.test(source[end] ?? "")) end++;
      push("letters", source.slice(at, end));
      at = end;
    } else if (char === "\\") {
      at = command(source, at);
    } else if (char.codePointAt(0) !== undefined && (char.codePointAt(0) ?? 0) >= 0x80) {
      let end = at + 1;
      while ((source.codePointAt(end) ?? 0) >= 0x80) end++;
      push("word", source.slice(at, end));
      at = end;
    } else if ("(){}[]+-*/^_=<>!|,;:%&'.?".includes(char)) {
      if ("([".includes(char)) brackets++;
      else if (")]".includes(char)) brackets--;
      at += 1;
      const next = source[at] ?? "";
      if ((char === "<" || char === ">" || char === "!") && next === "=") {
        at++;
        push("symbol", `${char}=`);
      } else if (char === "*" && next === "*") {
        at++;
        push("symbol", "^");
      } else if (char === "=" && next === "=") {
        at++;
        push("symbol", "=");
      } else push("symbol", char);
    } else throw new Unreadable(`the character ${JSON.stringify(char)}`);
  }
  return tokens;

  function command(text: string, start: number): number {
    const next = text[start + 1] ?? "";
    if (!LETTER.test(next)) {
      if ("{}|".includes(next)) {
        if (next === "{") brackets++;
        else if (next === "}") brackets--;
        push("command", next);
      } else if (next === "%") push("symbol", "%");
      else if (next === "\\") push("command", "\\");
      else if ("([)]".includes(next)) spaced = true;
      else spaced = true;
      return start + 2;
    }
    let end = start + 1;
    while (LETTER.test(text[end] ?? "")) end++;
    // \quadx is \quad and x: nobody defined \quadx.
    const glued = /^(?:qquad|quad|cdot|times|pi|pm|cup|cap)(?=[a-zA-Z])/.exec(text.slice(start + 1, end));
    if (glued !== null && !/^(?:pitchfork|cupdot|capdot)/.test(text.slice(start + 1, end)))
      end = start + 1 + glued[0].length;
    const name = text.slice(start + 1, end);
    if (IGNORED.test(name)) {
      spaced ||= /quad|space/.test(name);
      return name === "right" && text[end] === "." ? end + 1 : end;
    }
    if (name === "begin" || name === "end") {
      const close = text[end] === "{" ? text.indexOf("}", end) : -1;
      if (close < 0) throw new Unreadable(`\\${name} without a name`);
      push(name, text.slice(end + 1, close));
      return close + 1;
    }
    if (TEXT_COMMANDS.test(name)) {
      let open = end;
      while (text[open] === " ") open++;
      const close = text[open] === "{" ? closingBrace(text, open) : -1;
      if (close >= 0) {
        push("word", text.slice(open + 1, close));
        return close + 1;
      }
    }
    push("command", name);
    return end;
  }
}

/**
 * Where the number at `start` ends. Thousands are joined by `,` outside brackets only, where every group has three
 * digits; by thin spaces and spaces, too. `0,5` is a decimal comma.
 */
function numberEnd(text: string, start: number, joinCommas: boolean): number {
  let end = start;
  while (DIGIT.test(text[end] ?? "")) end++;
  const head = end - start;
  if (head > 0 && head <= 3) {
    for (const mark of ["\\,", ",", " ", "'"]) {
      if (mark === "," && (!joinCommas || text[start] === "0")) continue;
      let next = end;
      while (
        text.startsWith(mark, next) &&
        /^[0-9]{3}(?![0-9])/.test(text.slice(next + mark.length, next + mark.length + 4))
      ) {
        next += mark.length + 3;
      }
      if (next === end) continue;
      // 1,234,5 is a list, and so is 1,234, 5.
      if (mark === "," && text[next] === "," && DIGIT.test(text[next + 1] ?? "")) continue;
      end = next;
      break;
    }
    // 0,125 has no thousands: a decimal comma.
    if (
      joinCommas &&
      text[start] === "0" &&
      end === start + 1 &&
      /^,[0-9]{3}(?![0-9,])/.test(text.slice(end, end + 5))
    )
      return end + 4;
  }
  if (text[end] === "." && DIGIT.test(text[end + 1] ?? "")) {
    end++;
    while (DIGIT.test(text[end] ?? "")) end++;
  } else if (text[end] === "." && /^\.(?:\\overline|\\dot|\\bar)/.test(text.slice(end, end + 10))) {
    end++;
  }
  const exponent = /^[eE][-+]?[0-9]{1,6}(?![0-9a-zA-Z.])/.exec(text.slice(end, end + 10));
  return exponent === null ? end : end + exponent[0].length;
}
