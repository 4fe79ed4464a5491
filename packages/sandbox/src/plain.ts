/**
 * Plain data between interpreters as TypeScript sees it: the tags of python/plain.py and child/plain.js. This side
 * only reads what came (never trusting its shape) and writes JSON values as arguments.
 */
import { LosslessNumber, pythonFloat } from "@posttrain/data";

export type Plain =
  | null
  | boolean
  | string
  | bigint
  | number
  | { readonly kind: "float"; readonly value: number }
  /** Python's Decimal and Fraction: n / d, exactly. */
  | { readonly kind: "ratio"; readonly n: bigint; readonly d: bigint; readonly text: string }
  | { readonly kind: "list" | "tuple" | "set"; readonly items: readonly Plain[] }
  | { readonly kind: "dict"; readonly entries: readonly (readonly [Plain, Plain])[] }
  /** `live`: an object that stayed where it is. */
  | { readonly kind: "other"; readonly text: string; readonly live?: true };

/** A value that no encoder of ours wrote. */
export class MalformedPlain extends Error {
  override readonly name = "MalformedPlain";
}

/**
 * Numbers as JSON writes them: digits alone are an int of any size, with a point or an exponent they are a float. JavaScript's own
 * numbers count as what they are written as: whole ones below 1e21 are ints.
 */
export function encodeJson(value: unknown): unknown {
  if (value === null || typeof value === "boolean" || typeof value === "string") return value;
  if (value instanceof LosslessNumber)
    return value.isInteger ? encodeInteger(BigInt(value.written)) : ["f", value.written];
  if (typeof value === "number") {
    if (!Number.isInteger(value) || Object.is(value, -0) || Math.abs(value) >= 1e21)
      return ["f", floatText(value)];
    return encodeInteger(BigInt(value));
  }
  if (typeof value === "bigint") return encodeInteger(value);
  if (Array.isArray(value)) return ["l", value.map(encodeJson)];
  if (typeof value === "object") {
    return ["d", Object.entries(value).map(([key, item]) => [key, encodeJson(item)])];
  }
  throw new TypeError(`no JSON value: ${typeof value}`);
}

function encodeInteger(value: bigint): unknown {
  const small = Number(value);
  if (Number.isSafeInteger(small)) return small;
  return ["I", value < 0n ? `-0x${(-value).toString(16)}` : `0x${value.toString(16)}`];
}

/** As Python writes it. */
export function floatText(value: number): string {
  if (Number.isNaN(value)) return "nan";
  if (!Number.isFinite(value)) return value > 0 ? "inf" : "-inf";
  return pythonFloat(value);
}

/** The value that JSON stands for, in the same form that `decodePlain` gives. */
export function plainOfJson(value: unknown): Plain {
  return decodePlain(encodeJson(value));
}

/** `known`: the mutable containers so far, in the order in which they opened. */
export function decodePlain(code: unknown, known: Plain[] = []): Plain {
  if (code === null || typeof code === "boolean" || typeof code === "string") return code;
  if (typeof code === "number") {
    if (!Number.isSafeInteger(code)) throw new MalformedPlain("a number that is no small integer");
    return code;
  }
  if (!Array.isArray(code)) throw new MalformedPlain("no tagged value");
  const [tag, first] = code as unknown[];
  switch (tag) {
    case "I":
    case "B":
      return integer(text(first));
    case "D":
      return decimal(text(first));
    case "F": {
      const [n, d] = [decodePlain(first), decodePlain(code[2])].map(wholeNumber);
      return ratio(n!, d!, `Fraction(${n}, ${d})`);
    }
    case "f":
      return { kind: "float", value: float(text(first)) };
    case "l":
    case "s":
    case "q":
    case "z":
    case "t": {
      const kind = tag === "t" ? "tuple" : tag === "l" || tag === "q" ? "list" : "set";
      const items: Plain[] = [];
      const value: Plain = { kind, items };
      if (tag !== "t" && tag !== "z") known.push(value);
      for (const item of list(first)) items.push(decodePlain(item, known));
      return value;
    }
    case "d": {
      const entries: [Plain, Plain][] = [];
      const value: Plain = { kind: "dict", entries };
      known.push(value);
      for (const entry of list(first)) {
        const [key, item] = list(entry);
        entries.push([decodePlain(key, known), decodePlain(item, known)]);
      }
      return value;
    }
    case "R": {
      const value = typeof first === "number" ? known[first] : undefined;
      if (value === undefined) throw new MalformedPlain("no such container");
      return value;
    }
    case "y":
      known.push({ kind: "other", text: `bytes ${text(first)}` });
      return { kind: "other", text: `bytes ${text(first)}` };
    case "b":
      return { kind: "other", text: `bytes ${text(first)}` };
    case "o":
      return { kind: "other", text: `object of type ${String(code[3]).slice(0, 100)}`, live: true };
    case "M":
      throw new MalformedPlain("a change of what was not sent");
    default:
      return { kind: "other", text: JSON.stringify(code).slice(0, 200) };
  }
}

/** What an object in a value calls itself, if there is one. */
export function liveObject(value: Plain, seen: Set<Plain> = new Set()): string | undefined {
  if (typeof value !== "object" || value === null || seen.has(value)) return undefined;
  seen.add(value);
  if (value.kind === "other") return value.live ? value.text : undefined;
  const parts = value.kind === "dict" ? value.entries.flat() : "items" in value ? value.items : [];
  for (const part of parts) {
    const found = liveObject(part, seen);
    if (found !== undefined) return found;
  }
  return undefined;
}

function text(value: unknown): string {
  if (typeof value !== "string") throw new MalformedPlain("no text");
  return value;
}

function list(value: unknown): readonly unknown[] {
  if (!Array.isArray(value)) throw new MalformedPlain("no list");
  return value;
}

function integer(code: string): bigint {
  if (!/^-?0x[0-9a-f]+$/.test(code)) throw new MalformedPlain("no integer");
  return code.startsWith("-") ? -BigInt(code.slice(1)) : BigInt(code);
}

function wholeNumber(value: Plain): bigint {
  if (typeof value !== "number" && typeof value !== "bigint") throw new MalformedPlain("no integer");
  return BigInt(value);
}

function ratio(n: bigint, d: bigint, shown: string): Plain {
  if (d <= 0n) throw new MalformedPlain("no fraction");
  return { kind: "ratio", n, d, text: shown.slice(0, 200) };
}

/** Beyond, and for what is no number, a Decimal equals nothing. */
const MAX_DECIMAL = 10_000;

function decimal(code: string): Plain {
  const shown = `Decimal('${code.slice(0, 100)}')`;
  const [, sign, whole = "", fraction = "", exponent = "0"] =
    /^(-?)(\d+)(?:\.(\d+))?(?:E([-+]?\d{1,9}))?$/.exec(code) ?? [];
  const power = Number(exponent) - fraction.length;
  if (whole === "" || whole.length + fraction.length > MAX_DECIMAL || Math.abs(power) > MAX_DECIMAL)
    return { kind: "other", text: shown };
  const digits = BigInt(`${sign}${whole}${fraction}`);
  const scale = 10n ** BigInt(Math.abs(power));
  return power < 0 ? ratio(digits, scale, shown) : ratio(digits * scale, 1n, shown);
}

function float(code: string): number {
  if (code === "nan") return Number.NaN;
  if (code === "inf" || code === "-inf")
    return code === "inf" ? Number.POSITIVE_INFINITY : Number.NEGATIVE_INFINITY;
  const value = Number(code);
  if (code.trim() === "" || Number.isNaN(value)) throw new MalformedPlain("no float");
  return value;
}
