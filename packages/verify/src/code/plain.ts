/**
 * Plain data between interpreters as TypeScript sees it: the tags of python/plain.py and child/plain.js. This side
 * only reads what came (never trusting its shape) and writes JSON values as arguments.
 */
export type Plain =
  | null
  | boolean
  | string
  | bigint
  | number
  | { readonly kind: "float"; readonly value: number }
  | { readonly kind: "list" | "tuple" | "set"; readonly items: readonly Plain[] }
  | { readonly kind: "dict"; readonly entries: readonly (readonly [Plain, Plain])[] }
  | { readonly kind: "other"; readonly text: string };

/** A value that no encoder of ours wrote. */
export class MalformedPlain extends Error {
  override readonly name = "MalformedPlain";
}

/** A number with a fraction or beyond 2^53 is a float, as JSON readers of both languages have it. */
export function encodeJson(value: unknown): unknown {
  if (value === null || typeof value === "boolean" || typeof value === "string") return value;
  if (typeof value === "number")
    return Number.isSafeInteger(value) && !Object.is(value, -0) ? value : ["f", floatText(value)];
  if (typeof value === "bigint") {
    return ["I", value < 0n ? `-0x${(-value).toString(16)}` : `0x${value.toString(16)}`];
  }
  if (Array.isArray(value)) return ["l", value.map(encodeJson)];
  if (typeof value === "object") {
    return ["d", Object.entries(value).map(([key, item]) => [key, encodeJson(item)])];
  }
  throw new TypeError(`no JSON value: ${typeof value}`);
}

function floatText(value: number): string {
  if (Number.isNaN(value)) return "nan";
  if (!Number.isFinite(value)) return value > 0 ? "inf" : "-inf";
  return Object.is(value, -0) ? "-0.0" : String(value);
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
      return integer(text(first));
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
    default:
      return { kind: "other", text: JSON.stringify(code).slice(0, 200) };
  }
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

function float(code: string): number {
  if (code === "nan") return Number.NaN;
  if (code === "inf" || code === "-inf")
    return code === "inf" ? Number.POSITIVE_INFINITY : Number.NEGATIVE_INFINITY;
  const value = Number(code);
  if (code.trim() === "" || Number.isNaN(value)) throw new MalformedPlain("no float");
  return value;
}
