// The config that a command runs with, for its head: what was said and where, then the defaults.
import type { z } from "zod";
import { glue } from "./format.js";
import { valueText } from "./options.js";
import type { Line } from "./output.js";
import type { Source, Sources } from "./settings.js";

/** In the order of the schema; a value from a file has its line: "learning_rate 1e-5 (line 12)". */
export function configLines(
  schema: z.ZodObject,
  options: Readonly<Record<string, unknown>>,
  sources: Sources,
): readonly Line[] {
  const groups = new Map<string, string[]>();
  const defaults: string[] = [];
  for (const name of Object.keys(schema.shape)) {
    const value = options[name];
    const source = sources.get(name);
    const text = `${name}${glue}${valueText(value)}`;
    if (source === undefined) {
      if (value !== undefined && valueText(value) !== "") defaults.push(text);
      continue;
    }
    const place = placeOf(source);
    const line = source.kind === "file" ? `${glue}(line${glue}${source.line})` : "";
    groups.set(place, [...(groups.get(place) ?? []), text + line]);
  }
  const given = [...groups].map(([place, texts]) => `${place}: ${texts.join(", ")}`);
  return [
    ...given.map((text, i): Line => [i === 0 ? "config" : "", text]),
    ...(defaults.length > 0 ? [["defaults", defaults.join(", ")] as const] : []),
  ];
}

function placeOf(source: Source): string {
  switch (source.kind) {
    case "flag":
      return "flags";
    case "environment":
      return "environment";
    case "file":
      return source.path;
  }
}
