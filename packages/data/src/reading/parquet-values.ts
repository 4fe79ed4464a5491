/**
 * What a Parquet column holds as JSON that says the same: integers of any size and decimals by their digits, floats as Python writes them (1.0 stays a float),
 * dates and times as ISO 8601, lists, structs and maps as lists and objects, JSON as its value. What JSON has no word for (NaN, bytes) is an error.
 */
import type { FileMetaData, ParquetParsers, SchemaElement, SchemaTree } from "hyparquet";
import { parquetSchema } from "hyparquet";
import { isListLike, isMapLike } from "hyparquet/src/schema.js";
import { LosslessNumber, parseJson, pythonFloat } from "../lossless-json.js";
import { parseStrictJson } from "../strict-json.js";
import { UserError } from "../user-error.js";
import { absentKey } from "../writing/parquet-file.js";

/** Of a value as hyparquet gives it. Throws Error whose message follows the name of the column. */
export type ValueReader = (value: unknown) => unknown;

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Bytes that are no text. */
class NotText {
  constructor(readonly bytes: number) {}
}

function textOf(bytes: Uint8Array): string | NotText {
  try {
    return utf8.decode(bytes);
  } catch {
    return new NotText(bytes.length);
  }
}

/** What hyparquet calls on values of a column before they are put into rows: text of a dictionary is decoded once. */
export const parsers: Partial<ParquetParsers> = {
  stringFromBytes: (bytes) => bytes && textOf(bytes),
  timestampFromNanoseconds: (nanos) => nanos,
};

/** Annotations that hyparquet would read as doubles or dates: they are taken off the schema and read here. */
const ownTypes: ReadonlySet<unknown> = new Set([
  ...[
    "DECIMAL",
    "DATE",
    "TIME_MILLIS",
    "TIME_MICROS",
    "TIMESTAMP_MILLIS",
    "TIMESTAMP_MICROS",
    "JSON",
    "BSON",
  ],
  ...["INTERVAL", "TIMESTAMP", "TIME", "GEOMETRY", "GEOGRAPHY", "ENUM"],
]);

/** A column, what reads it, and whether a row whose value is null has none. */
export type ColumnReader = readonly [name: string, read: ValueReader, isAbsent: boolean];

/** The columns of a file with what reads them. Changes the schema of `metadata`. Throws UserError for columns that no row may have. */
export function plainColumns(metadata: FileMetaData, path: string): readonly ColumnReader[] {
  const kinds = new Map<SchemaElement, SchemaElement>();
  for (const element of metadata.schema) {
    if (element.name === "__proto__")
      throw new UserError(
        "unreadable_file",
        `${path} has a column __proto__, which no row may have: rename it.`,
      );
    const { converted_type: converted, logical_type: logical } = element;
    if (element.num_children || !(ownTypes.has(converted) || ownTypes.has(logical?.type))) continue;
    kinds.set(element, { ...element });
    delete element.converted_type;
    delete element.logical_type;
  }
  const absent = absentFields(metadata);
  return parquetSchema(metadata).children.map(({ element: { name } }, i, nodes) => [
    name,
    readerOf(nodes[i]!, { kinds, absent }),
    absent.has(name),
  ]);
}

interface Schema {
  /** Annotations that were taken off. */
  readonly kinds: ReadonlyMap<SchemaElement, SchemaElement>;
  /** Paths of fields whose null says that there is none, in files of our own writing. */
  readonly absent: ReadonlySet<string>;
}

function absentFields({ key_value_metadata: entries = [] }: FileMetaData): ReadonlySet<string> {
  const listed = entries.find(({ key }) => key === absentKey)?.value;
  return new Set(listed === undefined ? [] : (JSON.parse(listed) as string[]));
}

function readerOf(node: SchemaTree, schema: Schema): ValueReader {
  const single = singleReader(node, schema);
  return node.element.repetition_type === "REPEATED" ? listOf(single) : single;
}

/** Of one value where the column is a repeated one. */
function singleReader(node: SchemaTree, schema: Schema): ValueReader {
  const { element, children } = node;
  const [first] = children;
  let read: ValueReader;
  if (element.logical_type?.type === "VARIANT") read = variant;
  else if (first === undefined) read = leafReader(schema.kinds.get(element) ?? element);
  else if (isListLike(node)) {
    const item = first.children.length === 1 ? first.children[0]! : first;
    read = listOf(singleReader(item, schema));
  } else if (isMapLike(node)) {
    const value = readerOf(first.children[1]!, schema);
    read = (map) => objectOf(map, () => value);
  } else {
    const fields = new Map(children.map((child) => [child.element.name, readerOf(child, schema)]));
    const missing = new Set(
      children.filter(({ path }) => schema.absent.has(path.join("."))).map(({ element: { name } }) => name),
    );
    read = (struct) => objectOf(struct, (name) => fields.get(name)!, missing);
  }
  return (value) => (value === undefined || value === null ? null : read(value));
}

const listOf =
  (read: ValueReader): ValueReader =>
  (value) =>
    Array.from((value ?? []) as ArrayLike<unknown>, (item) => read(item));

function objectOf(
  value: unknown,
  readerFor: (name: string) => ValueReader,
  missing?: ReadonlySet<string>,
): unknown {
  if (Object.getPrototypeOf(value) !== Object.prototype)
    throw new Error("has a key __proto__, which no row may have: rename it.");
  const entries = Object.entries(value as object).flatMap(([name, inner]) =>
    (inner === null || inner === undefined) && missing?.has(name)
      ? []
      : [[name, readerFor(name)(inner)] as const],
  );
  return Object.fromEntries(entries);
}

function leafReader({
  type,
  converted_type: converted,
  logical_type: logical,
  scale = 0,
}: SchemaElement): ValueReader {
  if (converted === "DECIMAL" || logical?.type === "DECIMAL") {
    const places = logical?.type === "DECIMAL" ? logical.scale : scale;
    return (value) => decimal(value instanceof Uint8Array ? signed(value) : BigInt(value as number), places);
  }
  if (converted === "DATE" || logical?.type === "DATE")
    return (days) => isoOf(BigInt(days as number) * 86_400n, 0n, 1n).slice(0, 10);
  if (logical?.type === "TIMESTAMP" || converted?.startsWith("TIMESTAMP_")) {
    const [unit, isUtc] =
      logical?.type === "TIMESTAMP" ? [logical.unit, logical.isAdjustedToUTC] : [converted!.slice(10), true];
    return (value) => `${timeOf(BigInt(value as bigint), perSecond(unit))}${isUtc ? "Z" : ""}`;
  }
  if (logical?.type === "TIME" || converted?.startsWith("TIME_")) {
    const unit = logical?.type === "TIME" ? logical.unit : converted!.slice(5);
    return (value) => timeOf(BigInt(value as bigint), perSecond(unit)).slice(11);
  }
  if (type === "INT96") return (nanos) => timeOf(nanos as bigint, 1_000_000_000n);
  if (converted === "JSON" || logical?.type === "JSON")
    return (bytes) => jsonOf(text(textOf(bytes as Uint8Array)));
  if (ownTypes.has(converted) && converted !== "ENUM") {
    return () => {
      throw new Error(
        `holds ${converted}, which JSON has no word for: leave the column out, or write it as text.`,
      );
    };
  }
  switch (type) {
    case "INT32":
    case "INT64":
      return integer;
    case "FLOAT":
    case "DOUBLE":
      return float;
    case "BOOLEAN":
      return (value) => value;
    default:
      if (logical?.type === "FLOAT16") return float;
      return (value) => text(value instanceof Uint8Array ? textOf(value) : value);
  }
}

function text(value: unknown): string {
  if (typeof value === "string") return value;
  const bytes = value instanceof NotText ? `${value.bytes} bytes` : "a value";
  throw new Error(
    `holds ${bytes} that are no UTF-8 text: leave the column out, or write it as text (base64).`,
  );
}

function jsonOf(written: string): unknown {
  try {
    return parseStrictJson(written);
  } catch (error) {
    throw new Error(`${(error as Error).message.replace(/\.$/, "")}, though its type says JSON.`, {
      cause: error,
    });
  }
}

function integer(value: unknown): unknown {
  if (typeof value === "number") return value;
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : new LosslessNumber(String(value));
}

function float(value: unknown): unknown {
  const number = value as number;
  if (!Number.isFinite(number)) {
    throw new Error(`holds ${number}, which JSON has no word for: write null, or leave the column out.`);
  }
  return Number.isInteger(number) ? new LosslessNumber(pythonFloat(number)) : number;
}

/** Two's complement, the highest byte first. */
function signed(bytes: Uint8Array): bigint {
  const value = BigInt(`0x0${Buffer.from(bytes).toString("hex")}`);
  const bits = BigInt(8 * bytes.length);
  return bytes.length > 0 && (bytes[0]! & 0x80) !== 0 ? value - (1n << bits) : value;
}

function decimal(unscaled: bigint, places: number): unknown {
  const sign = unscaled < 0n ? "-" : "";
  const digits = (unscaled < 0n ? -unscaled : unscaled).toString().padStart(places + 1, "0");
  const whole = digits.slice(0, digits.length - places);
  return parseJson(`${sign}${whole}${places > 0 ? `.${digits.slice(digits.length - places)}` : ""}`);
}

const perSecond = (unit: string): bigint =>
  ({ MILLIS: 1000n, MICROS: 1_000_000n, NANOS: 1_000_000_000n })[unit as "MILLIS"] ?? 1000n;

function timeOf(value: bigint, units: bigint): string {
  const part = ((value % units) + units) % units;
  return isoOf((value - part) / units, part, units);
}

/** ISO 8601 without a zone; the fraction as far as it is not zero. */
function isoOf(seconds: bigint, part: bigint, units: bigint): string {
  const date = new Date(Number(seconds) * 1000);
  if (Number.isNaN(date.getTime())) throw new Error("holds a date that is none.");
  const whole = date.toISOString().slice(0, -5);
  if (part === 0n) return whole;
  return `${whole}.${part
    .toString()
    .padStart(units.toString().length - 1, "0")
    .replace(/0+$/, "")}`;
}

/** Values whose type each value says itself. */
function variant(value: unknown): unknown {
  if (value === undefined || value === null) return null;
  if (typeof value === "bigint") return integer(value);
  if (typeof value === "number") return Number.isInteger(value) ? value : float(value);
  if (value instanceof NotText || value instanceof Uint8Array) return text(value);
  if (value instanceof Date) return value.toISOString();
  if (Array.isArray(value)) return value.map(variant);
  return typeof value === "object" ? objectOf(value, () => variant) : value;
}
