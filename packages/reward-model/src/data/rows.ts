// A comparison and its labels as a row that `posttrain reward` and `dpo` read.
import { createRecordIds } from "@posttrain/data";
import type { Preference } from "@posttrain/rollout";
import type { Comparison, Response } from "./candidates.js";
import { criteria } from "./criteria.js";
import type { Decision, Label } from "./label.js";

const said = ({ text, reasoning }: Response) =>
  [
    { role: "assistant", content: text, ...(reasoning !== undefined && { reasoning_content: reasoning }) },
  ] as const;
const origin = ({ origin: from, verdict }: Response) => ({
  origin: from,
  ...(verdict !== undefined && { verdict }),
});

/** Rows by what was decided; a tie has no sides: `first` and `second` stand in their places. Ids count repeats, as those of every file. */
export function createRows(): (
  comparison: Comparison,
  decision: Decision,
  labels: readonly Label[],
) => object {
  const recordId = createRecordIds();
  return ({ query, first, second }, { label, criteria: byCriterion }, labels) => {
    const isFirst = label?.preference === "first";
    const name = (preference: Preference): string => {
      if (preference === "tie" || label === undefined) return preference;
      return (preference === "first") === isFirst ? "chosen" : "rejected";
    };
    const named = (all: Readonly<Record<string, Preference>>) =>
      Object.fromEntries(Object.entries(all).map(([criterion, preference]) => [criterion, name(preference)]));
    const [better, worse] = label === undefined || isFirst ? [first, second] : [second, first];
    const [betterName, worseName] = label === undefined ? ["first", "second"] : ["chosen", "rejected"];
    const content = {
      schema: label === undefined ? "tie@1" : "preference@1",
      prompt: query.prompt,
      [betterName as string]: said(better),
      [worseName as string]: said(worse),
      ...(query.tools !== undefined && { tools: query.tools }),
      source: label?.source ?? "tie",
      criteria: named(byCriterion),
    };
    return {
      ...content,
      id: recordId(content),
      parents: [query.id],
      evidence: {
        [betterName as string]: origin(better),
        [worseName as string]: origin(worse),
        labels: labels.map(({ source, by, preference, criteria: own, evidence }) => ({
          ...{ source, by, preference: name(preference), criteria: named(own), evidence },
        })),
      },
    };
  };
}

/** A comparison for people to label: they fill in `preference` and `criteria`. */
export function rowToLabel({ id, query, first, second }: Comparison): object {
  return {
    id,
    prompt: query.prompt,
    first: first.text,
    second: second.text,
    preference: null,
    criteria: Object.fromEntries(criteria.map(({ name }) => [name, null])),
    by: null,
    note: null,
  };
}
