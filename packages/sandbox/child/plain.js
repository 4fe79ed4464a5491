// Plain data as JSON for JavaScript values: the tags of python/plain.py, and u undefined, B bigint, m Map.
// A number that is an integer within 2^53 stands for itself. Runs in Node and in QuickJS: no imports.
// What decode makes are fresh objects of this realm: no getter, proxy or prototype of the other side's survives.

class NotPlain extends Error {}
class TooDeep extends NotPlain {}
class Malformed extends Error {}

const maxDepth = 200;

function floatText(value) {
  if (Number.isNaN(value)) return "nan";
  if (!Number.isFinite(value)) return value > 0 ? "inf" : "-inf";
  return Object.is(value, -0) ? "-0.0" : String(value);
}

class Encoder {
  /** known: mutable containers that the other side sent, in its order. */
  constructor(known = [], refer = undefined) {
    this.known = known;
    this.position = new Map(known.map((value, i) => [value, i]));
    this.written = new Set();
    this.opened = [];
    this.refer = refer;
    this.depth = 0;
  }

  encode(value) {
    switch (typeof value) {
      case "boolean":
      case "string":
        return value;
      case "undefined":
        return ["u"];
      case "number":
        return Number.isSafeInteger(value) && !Object.is(value, -0) ? value : ["f", floatText(value)];
      case "bigint":
        return ["B", value < 0n ? `-0x${(-value).toString(16)}` : `0x${value.toString(16)}`];
      default:
        if (value === null) return null;
    }
    if (this.depth >= maxDepth) throw new TooDeep(`a value nested deeper than ${maxDepth}`);
    this.depth++;
    try {
      return this.container(value);
    } finally {
      this.depth--;
    }
  }

  container(value) {
    const at = this.position.get(value);
    if (at !== undefined && (at >= this.known.length || this.written.has(at))) return ["R", at];
    const code = () => this.content(value);
    if (at !== undefined) {
      this.written.add(at);
      return ["M", at, code()];
    }
    if (!isContainer(value)) {
      if (this.refer) return this.refer(value);
      throw new NotPlain(
        `a value of type ${typeof value === "function" ? "function" : value.constructor?.name}`,
      );
    }
    this.position.set(value, this.known.length + this.opened.length);
    this.opened.push(value);
    return code();
  }

  content(value) {
    if (Array.isArray(value) || ArrayBuffer.isView(value))
      return ["l", Array.from(value, (item) => this.encode(item))];
    if (value instanceof Map)
      return ["m", Array.from(value, ([key, item]) => [this.encode(key), this.encode(item)])];
    if (value instanceof Set) return ["s", Array.from(value, (item) => this.encode(item))];
    return ["d", Object.keys(value).map((key) => [key, this.encode(value[key])])];
  }

  changes() {
    return this.known.filter((_, i) => !this.written.has(i)).map((value) => this.encode(value));
  }
}

// An instance of a class crosses as the fields it has. These have none that say what they are.
const opaque = ["Promise", "RegExp", "Date", "WeakMap", "WeakSet", "WeakRef", "Error"];

function isContainer(value) {
  if (typeof value !== "object") return false;
  return !opaque.some((name) => value instanceof globalThis[name]);
}

function bigint(text) {
  if (typeof text !== "string" || !/^-?0x[0-9a-f]+$/.test(text)) throw new Malformed("no integer");
  return text.startsWith("-") ? -BigInt(text.slice(1)) : BigInt(text);
}

class Decoder {
  constructor(known = [], resolve = undefined) {
    this.known = [...known];
    this.resolve = resolve;
  }

  /** `field`: the key of an object that holds it. */
  decode(code, field = undefined) {
    if (code === null || typeof code === "boolean" || typeof code === "string" || typeof code === "number")
      return code;
    if (!Array.isArray(code)) throw new Malformed("no plain data");
    const [tag, first, second] = code;
    switch (tag) {
      case "u":
        return undefined;
      case "f":
        return first === "nan" ? Number.NaN : Number(String(first).replace("inf", "Infinity"));
      case "I": {
        // An integer of the data: a Number where one holds it, else a BigInt, as a Number would be another integer.
        const integer = bigint(first);
        const near = Number(integer);
        return Number.isFinite(near) && BigInt(near) === integer ? near : integer;
      }
      case "B":
        return bigint(first);
      case "l":
      case "d":
      case "m":
      case "s": {
        const value = tag === "l" ? [] : tag === "m" ? new Map() : tag === "s" ? new Set() : {};
        this.known.push(value);
        this.fill(value, tag, first);
        return value;
      }
      case "t":
        return first.map((item) => this.decode(item));
      case "R":
        return this.at(first);
      case "M": {
        const value = this.at(first);
        if (!Array.isArray(second)) throw new Malformed("no content");
        this.fill(value, second[0], second[1]);
        return value;
      }
      default:
        if (tag === "o" && this.resolve) return this.resolve(first, second, code[3], field);
        throw new Malformed("unknown tag");
    }
  }

  at(number) {
    if (!Number.isInteger(number) || this.known[number] === undefined)
      throw new Malformed("no such container");
    return this.known[number];
  }

  fill(value, tag, items) {
    const kind = Array.isArray(value) ? "l" : value instanceof Map ? "m" : value instanceof Set ? "s" : "d";
    if (kind !== tag || !Array.isArray(items)) throw new Malformed("a container changed its type");
    if (tag === "l") {
      const decoded = items.map((item) => this.decode(item));
      value.length = 0;
      for (const item of decoded) value.push(item);
    } else if (tag === "s") {
      const decoded = items.map((item) => this.decode(item));
      value.clear();
      for (const item of decoded) value.add(item);
    } else {
      const decoded = items.map(([key, item]) => [
        this.decode(key),
        this.decode(item, tag === "d" ? String(key) : undefined),
      ]);
      if (tag === "m") {
        value.clear();
        for (const [key, item] of decoded) value.set(key, item);
      } else {
        for (const key of Object.keys(value)) delete value[key];
        for (const [key, item] of decoded) {
          // An own property whatever its name: `__proto__` sets no prototype.
          Object.defineProperty(value, key, {
            value: item,
            enumerable: true,
            writable: true,
            configurable: true,
          });
        }
      }
    }
  }
}
