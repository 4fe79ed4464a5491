// Grades by the verifiers of packages/verify, as a grader of evaluate: the row of a question and a response to it.

import { type Verdict, withoutThinking } from "@posttrain/data";
import { checkInstructions } from "@posttrain/instructions";
import { type GradedResponse, gradeSaid, type Row, type Verifiers, withResponse } from "@posttrain/verify";
import type { Grader } from "./respond.js";

/** `doc` of the question is what the verifier reads; responses that it may hold are not looked at. */
export function verifierGrader(verifiers: Verifiers): Grader {
  return async ({ doc = {}, answer }, { text, finish }) => {
    const row = rowOf(doc, answer, text);
    const graded = await gradeSaid(verifiers, row, { text, finish });
    return graded.verifier === "ifeval" ? withLoose(graded, row, text) : graded;
  };
}

/** The row without what it says of other responses. A row of a plain question keeps its answer under the name that verifiers read. */
export function rowOf(doc: Row, answer: string, text: string): Row {
  const hasReference = doc["answer"] !== undefined || doc["ground_truth"] !== undefined || answer === "";
  const own = hasReference || doc["solution"] !== undefined ? doc : { ...doc, answer };
  return withResponse(own, text);
}

/** IFEval reports both: what the strict check said stays the verdict. */
async function withLoose(graded: GradedResponse, row: Row, text: string): Promise<Verdict> {
  const ids = row["instruction_id_list"];
  const kwargs = row["kwargs"];
  if (!Array.isArray(ids) || !Array.isArray(kwargs) || graded.outcome === "infrastructure-error")
    return graded;
  const requests = ids.map((id: unknown, i) => ({ id: String(id), kwargs: kwargs[i] as unknown }));
  const seen = withoutThinking(text);
  if (seen === undefined) {
    const none = requests.map(({ id }) => ({ id, outcome: graded.outcome, evidence: graded.evidence }));
    const details = {
      ...graded.details,
      instructions: none,
      loose: graded.outcome,
      loose_instructions: none,
    };
    return { ...graded, details };
  }
  const loose = await checkInstructions(seen, requests, "loose");
  return {
    ...graded,
    details: { ...graded.details, loose: loose.outcome, loose_instructions: loose.details.instructions },
  };
}
