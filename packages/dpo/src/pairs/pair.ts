// A pair as a row: TRL's columns, both verdicts with their evidence, both responses' origins, and the rows that it comes from.
import { type ChatMessage, createRecordIds } from "@posttrain/data";
import type { NamedVerdict } from "@posttrain/verify";
import type { Prompt, Query } from "./queries.js";
import type { Origin, Response } from "./responses.js";
import type { Review } from "./reviews.js";

export const PAIR_SCHEMA = "preference@1";

/** Why a side stands where it stands. */
export interface SideEvidence {
  readonly verdict: NamedVerdict;
  readonly origin: Origin;
}

export interface Evidence {
  readonly chosen: SideEvidence;
  readonly rejected: SideEvidence;
  /** What people and machines said of it later. */
  readonly reviews?: readonly Review[];
}

export interface Pair {
  readonly schema: typeof PAIR_SCHEMA;
  readonly id: string;
  readonly prompt: Prompt;
  /** Text where the prompt is text, else the turn that answers. */
  readonly chosen: string | readonly ChatMessage[];
  readonly rejected: string | readonly ChatMessage[];
  readonly tools?: readonly unknown[];
  readonly parents: readonly string[];
  readonly evidence: Evidence;
}

export interface GradedSide {
  readonly response: Response;
  readonly verdict: NamedVerdict;
}

/** Makes rows; ids count repeats, as those of every file. */
export function createPairs(): (query: Query, chosen: GradedSide, rejected: GradedSide) => Pair {
  const recordId = createRecordIds();
  return ({ prompt, tools, parents }, chosen, rejected) => {
    const content = {
      schema: PAIR_SCHEMA,
      prompt,
      chosen: answer(prompt, chosen.response),
      rejected: answer(prompt, rejected.response),
      ...(tools !== undefined && { tools }),
    } as const;
    return {
      ...content,
      id: recordId(content),
      parents: [...new Set([...parents, ...chosen.response.parents, ...rejected.response.parents])],
      evidence: { chosen: side(chosen), rejected: side(rejected) },
    };
  };
}

const side = ({ response, verdict }: GradedSide): SideEvidence => ({ verdict, origin: response.origin });

function answer(prompt: Prompt, { text, reasoning }: Response): Pair["chosen"] {
  if (typeof prompt === "string") return text;
  return [
    { role: "assistant", content: text, ...(reasoning !== undefined && { reasoning_content: reasoning }) },
  ];
}
