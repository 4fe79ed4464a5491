/**
 * Numbers in a template as Python has them, for the package writes JavaScript's: 1.0 as 1, 1e-06 as 0.000001, and a whole number beyond
 * 2^53 as another. What a row writes with a point or an exponent is a float, digits alone are an int of any size.
 */
import { randomUUID } from "node:crypto";
import { holdsLossless, LosslessNumber, pythonFloat } from "./lossless-json.js";

/** Of the package, which declares them without exporting them. */
export interface RuntimeValue {
  readonly type: string;
  readonly value: unknown;
}
export interface TemplateEnvironment {
  /** Returns what the value became. */
  set(name: string, value: unknown): RuntimeValue;
  setVariable(name: string, value: RuntimeValue): void;
}

type NumberValue = new (value: number | bigint) => RuntimeValue;
type TextValue = new (value: string) => RuntimeValue;

/** Stands for a number in JSON text while the package makes it. No template can know it. */
const MARK = randomUUID();
const MARKED = new RegExp(`"${MARK}([^"]*)"`, "g");

interface PythonNumbers {
  /** Sets a variable, with what it holds. */
  set(environment: TemplateEnvironment, name: string, value: unknown): void;
  /** What `write` makes of a value as JSON text, with its numbers as Python writes them. */
  written(value: RuntimeValue, write: (value: RuntimeValue) => RuntimeValue): RuntimeValue;
}

/** The package does not export its kinds of values: an environment makes one of each. */
export function createPythonNumbers(open: () => TemplateEnvironment): PythonNumbers {
  const kindOf = (value: unknown): unknown => open().set("it", value).constructor;
  const IntegerValue = kindOf(1) as NumberValue;
  const FloatValue = kindOf(0.5) as NumberValue;
  const StringValue = kindOf("") as TextValue;

  function numberOf(number: LosslessNumber): RuntimeValue {
    const value = Number(number.written);
    if (!number.isInteger) return new FloatValue(value);
    return new IntegerValue(Number.isSafeInteger(value) ? value + 0 : BigInt(number.written));
  }

  /** Puts numbers where the package took them for objects. */
  function replaceNumbers(source: unknown, made: RuntimeValue): RuntimeValue {
    if (source instanceof LosslessNumber) return numberOf(source);
    if (typeof source !== "object" || source === null) return made;
    const items = made.value as RuntimeValue[] | Map<string, RuntimeValue>;
    if (Array.isArray(items))
      for (const [i, item] of items.entries()) items[i] = replaceNumbers((source as unknown[])[i], item);
    else
      for (const [key, item] of items)
        items.set(key, replaceNumbers((source as Record<string, unknown>)[key], item));
    return made;
  }

  /** As the package would write it, where that is not as Python does. */
  function respelled({ type, value }: RuntimeValue): string | undefined {
    if (typeof value === "bigint") return String(value);
    if (type !== "FloatValue" || typeof value !== "number") return undefined;
    const written = pythonFloat(value);
    return written === JSON.stringify(value) ? undefined : written;
  }

  /** The value itself where nothing in it is to be respelled. */
  function marked(value: RuntimeValue): RuntimeValue {
    const text = respelled(value);
    if (text !== undefined) return new StringValue(MARK + text);
    const held = value.value;
    if (Array.isArray(held)) {
      const items = (held as RuntimeValue[]).map(marked);
      return items.every((item, i) => item === held[i]) ? value : copy(value, items);
    }
    if (!(held instanceof Map)) return value;
    const entries = [...(held as Map<string, RuntimeValue>)].map(
      ([key, item]) => [key, marked(item)] as const,
    );
    return entries.every(([key, item]) => item === held.get(key)) ? value : copy(value, new Map(entries));
  }

  return {
    set: (environment, name, value) => {
      const made = environment.set(name, value);
      if (holdsLossless(value)) environment.setVariable(name, replaceNumbers(value, made));
    },
    written: (value, write) => {
      const given = marked(value);
      const result = write(given);
      if (given === value || typeof result.value !== "string") return result;
      return new StringValue(result.value.replaceAll(MARKED, "$1"));
    },
  };
}

function copy(value: RuntimeValue, held: unknown): RuntimeValue {
  return new (value.constructor as new (held: unknown) => RuntimeValue)(held);
}
