/**
 * The Parquet schema of rows that are JSON: found by looking at all of them once. Integers, floats, texts, truth values, lists and objects become columns of their own
 * kind; what has several kinds in one place, integers beyond 64 bits and empty things become JSON texts that are marked as such. Nothing changes: a field that some objects lack
 * is null in the file, and its path is listed in the file's metadata.
 */
import type { SchemaElement } from "hyparquet";
import { asDouble, isJsonNumber, isJsonObject, LosslessNumber, stringifyJson } from "../lossless-json.js";

/** What was seen in one place. */
export interface Shape {
  seen: number;
  nulls: number;
  kinds: Set<"boolean" | "integer" | "float" | "text" | "list" | "object" | "json">;
  item?: Shape;
  fields?: Map<string, Shape>;
}

export const newShape = (): Shape => ({ seen: 0, nulls: 0, kinds: new Set() });

export function observe(shape: Shape, value: unknown): void {
  shape.seen++;
  if (value === null || value === undefined) shape.nulls++;
  else if (typeof value === "string") shape.kinds.add("text");
  else if (typeof value === "boolean") shape.kinds.add("boolean");
  else if (isJsonNumber(value)) shape.kinds.add(numberKind(value));
  else if (Array.isArray(value)) {
    shape.kinds.add("list");
    shape.item ??= newShape();
    for (const item of value) observe(shape.item, item);
  } else if (isJsonObject(value)) {
    shape.kinds.add("object");
    shape.fields ??= new Map();
    for (const [name, inner] of Object.entries(value)) {
      const field = shape.fields.get(name) ?? newShape();
      shape.fields.set(name, field);
      observe(field, inner);
    }
  } else shape.kinds.add("json");
}

function numberKind(value: number | LosslessNumber): "integer" | "float" | "json" {
  if (typeof value === "number" && !Number.isInteger(value)) return "float";
  if (value instanceof LosslessNumber && !value.isInteger) {
    const double = asDouble(value);
    return typeof double === "number" ? "float" : "json";
  }
  const digits = BigInt(String(value));
  return String(value) === "-0" || BigInt.asIntN(64, digits) !== digits ? "json" : "integer";
}

/** Makes a value of JSON what the writer takes for its column. */
type Encoder = (value: unknown) => unknown;

export interface Column {
  readonly name: string;
  readonly elements: readonly SchemaElement[];
  readonly encode: Encoder;
}

/** The columns of rows, and the paths of fields where null means that there is none. */
export function columnsOf(rows: Shape): {
  readonly columns: readonly Column[];
  readonly absent: readonly string[];
} {
  const absent: string[] = [];
  const columns = [...(rows.fields ?? [])].map(([name, shape]): Column => {
    const isMissing = shape.seen < rows.seen;
    // Null and nothing both: only JSON tells them apart.
    const { elements, encode } =
      isMissing && shape.nulls > 0 ? jsonColumn(name) : columnOf(name, shape, [], absent);
    if (isMissing) absent.push(name);
    return { name, elements, encode: (value) => (value === undefined ? null : encode(value)) };
  });
  return { columns, absent };
}

interface Encoded {
  readonly elements: readonly SchemaElement[];
  readonly encode: Encoder;
}

function jsonColumn(name: string): Encoded {
  return {
    elements: [{ name, type: "BYTE_ARRAY", logical_type: { type: "JSON" }, repetition_type: "OPTIONAL" }],
    encode: (value) => Buffer.from(stringifyJson(value)),
  };
}

function columnOf(name: string, shape: Shape, above: readonly string[], absent: string[]): Encoded {
  const path = [...above, name];
  const own: string[] = [];
  const found = shape.kinds.size > 1 ? undefined : plainColumn(name, shape, path, own);
  if (found === undefined) return jsonOrNull(name);
  absent.push(...own);
  return found;
}

/** Null stays null. */
function jsonOrNull(name: string): Encoded {
  const { elements, encode } = jsonColumn(name);
  return { elements, encode: (value) => (value === null ? null : encode(value)) };
}

/** Undefined where the values need JSON. */
function plainColumn(
  name: string,
  shape: Shape,
  path: readonly string[],
  absent: string[],
): Encoded | undefined {
  const leaf = (
    type: SchemaElement["type"],
    encode: Encoder,
    more: Partial<SchemaElement> = {},
  ): Encoded => ({
    elements: [{ name, type: type!, repetition_type: "OPTIONAL", ...more }],
    encode: (value) => (value === null ? null : encode(value)),
  });
  const [kind] = shape.kinds;
  switch (kind) {
    case undefined:
    case "text":
      return leaf("BYTE_ARRAY", (value) => value, { converted_type: "UTF8" });
    case "boolean":
      return leaf("BOOLEAN", (value) => value);
    case "integer":
      return leaf("INT64", (value) => BigInt(String(value)));
    case "float":
      return leaf("DOUBLE", asDouble);
    case "list":
      return listColumn(name, shape.item!, path, absent);
    case "object":
      return structColumn(name, shape, path, absent);
    default:
      return undefined;
  }
}

function listColumn(
  name: string,
  item: Shape,
  path: readonly string[],
  absent: string[],
): Encoded | undefined {
  if (item.kinds.size === 0) return undefined;
  const { elements, encode } = columnOf("element", item, [...path, "list"], absent);
  return {
    elements: [
      { name, repetition_type: "OPTIONAL", converted_type: "LIST", num_children: 1 },
      { name: "list", repetition_type: "REPEATED", num_children: 1 },
      ...elements,
    ],
    encode: (value) => (value === null ? null : (value as readonly unknown[]).map(encode)),
  };
}

function structColumn(
  name: string,
  shape: Shape,
  path: readonly string[],
  absent: string[],
): Encoded | undefined {
  const fields = [...shape.fields!];
  if (fields.length === 0) return undefined;
  const children = fields.map(([field, inner]) => {
    const isMissing = inner.seen < shape.seen - shape.nulls;
    if (isMissing && inner.nulls > 0) return undefined;
    if (isMissing) absent.push([...path, field].join("."));
    return [field, columnOf(field, inner, path, absent)] as const;
  });
  if (children.some((child) => child === undefined)) return undefined;
  const sound = children as readonly (readonly [string, Encoded])[];
  return {
    elements: [
      { name, repetition_type: "OPTIONAL", num_children: sound.length },
      ...sound.flatMap(([, { elements }]) => elements),
    ],
    encode: (value) =>
      value === null
        ? null
        : Object.fromEntries(
            sound.map(([field, { encode }]) => {
              const inner = (value as Readonly<Record<string, unknown>>)[field];
              return [field, inner === undefined ? null : encode(inner)];
            }),
          ),
  };
}
