// Graders: a function from a question and a response to a verdict. Exact match is here; others are passed in.
import { type Verdict, withoutThinking } from "@posttrain/data";
import { type Extraction, extractAnswer, isExactMatch, referenceAnswer } from "./extract.js";
import type { Question } from "./questions.js";

export interface ModelResponse {
  readonly text: string;
  /** length: it did not end by itself. */
  readonly finish: "stop" | "length";
}

/** `infrastructure-error` counts neither way; any other outcome but `pass` counts as wrong. */
export type Grader = (
  question: Pick<Question, "answer"> & Partial<Pick<Question, "doc">>,
  response: ModelResponse,
) => Verdict | Promise<Verdict>;

/** Exact match of the extracted answer. A response or thinking that never ended has no answer, whatever stands in it. */
export function exactMatch(extraction: Extraction): Grader {
  return ({ answer }, { text, finish }) => {
    const reference = referenceAnswer(answer);
    const seen = finish === "length" ? undefined : withoutThinking(text);
    const extracted = seen === undefined ? undefined : extractAnswer(seen, extraction, reference);
    const details = { extracted: extracted ?? null, reference };
    if (extracted === undefined) {
      const unended = finish === "length" ? "it never ended" : "its thinking never ended";
      const why = seen === undefined ? unended : `it has none that extract ${extraction} finds`;
      return { outcome: "unparseable", evidence: `No answer was taken from the response: ${why}.`, details };
    }
    const same = isExactMatch(extracted, reference);
    const evidence = `The answer ${JSON.stringify(extracted)} ${same ? "is" : "is not"} ${JSON.stringify(reference)}.`;
    return { outcome: same ? "pass" : "fail", evidence, details };
  };
}
