// What many grades come to: of the task, and of each of its groups.
import { type Accuracy, wilson } from "@posttrain/data";
import { type Answered, exactMatchMeasure, type Measure, type Metric } from "./measures.js";
import type { Question } from "./questions.js";
import type { Graded } from "./respond.js";

export interface Score {
  readonly name: string;
  readonly responses: number;
  /** What the measure makes of them, the main one first. */
  readonly metrics: readonly Metric[];
  /** Share of passes over the responses that could be graded; null where none could. */
  readonly exactMatch: Accuracy | null;
  /** Share of responses that never ended: they reached max_new_tokens or the end of the context. They count as wrong too. */
  readonly unended: Accuracy;
  /** Ended, but with no answer in them. */
  readonly withoutAnswer: number;
  /** The grader failed, which says nothing of the response. */
  readonly ungraded: number;
}

export interface Summary {
  readonly all: Score;
  /** In the order in which they occur; none where no question names one. */
  readonly groups: readonly Score[];
}

/** `graded` belongs to `questions`, one response or all of them each; there is at least one question. */
export function summarize(
  task: string,
  questions: readonly Pick<Question, "group">[],
  graded: readonly (Graded | Answered)[],
  measure: Measure = exactMatchMeasure,
): Summary {
  const answered = graded.map((one): Answered => ("samples" in one ? one : { samples: [one] }));
  const groups = new Map<string, Answered[]>();
  for (const [i, { group = "other" }] of questions.entries()) {
    const own = groups.get(group) ?? [];
    groups.set(group, own);
    own.push(answered[i]!);
  }
  const named = questions.some(({ group }) => group !== undefined);
  return {
    all: scoreOf(task, answered, measure),
    groups: named ? [...groups].map(([name, own]) => scoreOf(name, own, measure)) : [],
  };
}

function scoreOf(name: string, answered: readonly Answered[], measure: Measure): Score {
  const graded = answered.flatMap(({ samples }) => samples);
  const outcomes = (outcome: string): number =>
    graded.filter(({ verdict }) => verdict.outcome === outcome).length;
  const ungraded = outcomes("infrastructure-error");
  const unended = graded.filter(({ finish }) => finish === "length").length;
  return {
    name,
    responses: graded.length,
    metrics: measure(answered),
    exactMatch: graded.length === ungraded ? null : wilson(outcomes("pass"), graded.length - ungraded),
    unended: wilson(unended, graded.length),
    withoutAnswer: graded.filter(
      ({ finish, verdict }) => finish === "stop" && verdict.outcome === "unparseable",
    ).length,
    ungraded,
  };
}
