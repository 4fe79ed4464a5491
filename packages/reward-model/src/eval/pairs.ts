// Plain pairs, in every form that packages/data reads as preferences, and responses with verdicts, as `posttrain verify` writes them.
import {
  canonicalJson,
  isJsonObject,
  outcomes,
  type PreferenceRow,
  parsePreferenceRow,
  type RowPlace,
  rowError,
  type SftRow,
  type Verdict,
} from "@posttrain/data";
import { responsesOf } from "@posttrain/verify";
import {
  answerTo,
  type Candidate,
  came,
  type EvalItem,
  firstAgainst,
  givenScores,
  newItem,
  type Pair,
  promptOf,
  type Row,
} from "./item.js";

export const isPairs = (row: Row): boolean =>
  ("chosen" in row && "rejected" in row) || ("chosen_ids" in row && "rejected_ids" in row);
export const isVerified = (row: Row): boolean =>
  "verdicts" in row || "verdict" in row || ("labels" in row && "responses" in row);

export function parsePairs(row: Row, place: RowPlace): EvalItem {
  const parsed = parsePreferenceRow(row, place);
  const groups = ["subset", "category", "source"].flatMap((name) => {
    const value = row[name];
    return typeof value === "string" ? [[name === "category" ? "subset" : name, value] as const] : [];
  });
  return newItem(place, {
    candidates: [candidateOf(parsed, "chosen"), candidateOf(parsed, "rejected")],
    pairs: firstAgainst(1),
    groups: Object.fromEntries(groups),
    criteria: criteriaOf(row, place),
    given: givenScores(row, 2, place),
  });
}

function candidateOf(row: PreferenceRow, side: "chosen" | "rejected"): Candidate {
  if (row.kind === "tokens") {
    const inputIds = [...(row.prompt ?? []), ...row[side]];
    return {
      row: { format: "tokens", kind: "tokens", inputIds, labels: inputIds },
      length: row[side].length,
    };
  }
  if (row.kind === "text") {
    const whole: SftRow =
      row.prompt === undefined
        ? { format: "text", kind: "text", text: row[side] }
        : {
            format: "prompt-completion",
            kind: "prompt-completion",
            prompt: row.prompt,
            completion: row[side],
          };
    return { row: whole, length: [...row[side]].length };
  }
  const said = row[side].map(({ content }) => content ?? "").join("");
  return {
    row: {
      format: "messages",
      kind: "messages",
      messages: [...row.prompt, ...row[side]],
      untrained: new Set(),
      nameOf: (turn) => row.nameOf(side, turn),
      tools: row.tools,
      variables: row.variables,
    },
    length: [...said].length,
  };
}

/** `criteria`: by name which side is better in it, `chosen`, `rejected` or `tie` (which says nothing). */
function criteriaOf(row: Row, place: RowPlace): EvalItem["criteria"] {
  const { criteria } = row;
  if (criteria == null) return {};
  if (!isJsonObject(criteria))
    throw rowError("bad_row", place, `criteria: expected an object, came ${came(criteria)}.`);
  const found = Object.entries(criteria).map(([name, side]): readonly [string, readonly Pair[]] => {
    if (side === "chosen") return [name, [[0, 1]]];
    if (side === "rejected") return [name, [[1, 0]]];
    if (side === "tie" || side === null) return [name, []];
    throw rowError(
      "bad_row",
      place,
      `criteria.${name}: expected chosen, rejected or tie, came ${came(side)}.`,
    );
  });
  return Object.fromEntries(found);
}

export function parseVerified(row: Row, place: RowPlace): EvalItem {
  const found = responsesOf(row);
  if ("problem" in found) throw rowError("bad_row", place, found.problem);
  const count = found.texts.length;
  const prompt = promptOf(row, place);
  const values = valuesOf(row, count, place);
  const right = values.flatMap((value, i) => (value === 1 ? [i] : []));
  const wrong = values.flatMap((value, i) => (value === 0 ? [i] : []));
  return newItem(place, {
    candidates: found.texts.map((text) => answerTo(prompt, text)),
    pairs: right.flatMap((better) => wrong.map((worse) => [better, worse] as const)),
    groups: { prompt: canonicalJson([prompt.messages, prompt.tools ?? null, prompt.variables ?? null]) },
    values,
    given: givenScores(row, count, place),
  });
}

/** What the grader could not do judges nothing. */
function valuesOf(row: Row, count: number, place: RowPlace): readonly (number | null)[] {
  const column = ["verdicts", "verdict", "labels"].find((name) => row[name] != null) as string;
  const list: readonly unknown[] = Array.isArray(row[column]) ? row[column] : [row[column]];
  const values = list.map((label): number | null | undefined => {
    if (label === null || typeof label === "boolean") return label === null ? null : Number(label);
    if (label === 0 || label === 1) return label;
    const outcome = isJsonObject(label) ? (label as Partial<Verdict>).outcome : undefined;
    if (outcome === undefined || !outcomes.includes(outcome)) return undefined;
    return outcome === "infrastructure-error" ? null : Number(outcome === "pass");
  });
  if (values.length !== count || values.includes(undefined)) {
    throw rowError(
      "bad_row",
      place,
      `${column}: expected ${count} verdicts (objects with outcome, or true, false, null), one for each response, came ${came(row[column])}.`,
    );
  }
  return values as readonly (number | null)[];
}

/** Rows of one response each become one item where they have the same prompt. */
export function gatherPrompts(items: readonly EvalItem[]): readonly EvalItem[] {
  const gathered = new Map<string, EvalItem>();
  for (const item of items) {
    const key = item.groups["prompt"] as string;
    const before = gathered.get(key);
    gathered.set(key, before === undefined ? item : together(before, item));
  }
  return [...gathered.values()];
}

function together(a: EvalItem, b: EvalItem): EvalItem {
  const values = [...(a.values ?? []), ...(b.values ?? [])];
  const places = [...values.keys()];
  const better = places.filter((i) => values[i] === 1);
  const worse = places.filter((i) => values[i] === 0);
  return {
    ...a,
    candidates: [...a.candidates, ...b.candidates],
    pairs: better.flatMap((i) => worse.map((j) => [i, j] as const)),
    values,
    given: a.given && b.given && [...a.given, ...b.given],
  };
}
