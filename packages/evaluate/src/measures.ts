// What responses come to, in numbers under the names that papers have them: exact_match, pass@k and maj@k, IFEval's four.
import type { Outcome } from "@posttrain/data";
import { type Accuracy, wilson } from "@posttrain/data";
import { meanScore, passAtK } from "./pass-at-k.js";
import type { Graded } from "./respond.js";

export interface Metric {
  readonly name: string;
  readonly value: Accuracy | null;
}

/** The responses to one question, and what their majority says. */
export interface Answered {
  readonly samples: readonly Graded[];
  readonly majority?:
    | { readonly answer: string; readonly votes: number; readonly outcome: Outcome }
    | undefined;
}

export type Measure = (answered: readonly Answered[]) => readonly Metric[];

const isGraded = ({ verdict }: Graded): boolean => verdict.outcome !== "infrastructure-error";
const passes = ({ verdict }: Graded): boolean => verdict.outcome === "pass";

function shareOf(values: readonly boolean[]): Accuracy | null {
  return values.length === 0 ? null : wilson(values.filter(Boolean).length, values.length);
}

export const exactMatchMeasure: Measure = (answered) => [
  {
    name: "exact_match",
    value: shareOf(answered.flatMap(({ samples }) => samples.filter(isGraded).map(passes))),
  },
];

/** `ks` rising. A question with fewer than k graded samples has no pass@k. */
export function passMeasure(ks: readonly number[], withMajority: boolean): Measure {
  return (answered) => {
    const counts = answered.map(({ samples }) => {
      const graded = samples.filter(isGraded);
      return { total: graded.length, passed: graded.filter(passes).length };
    });
    const metrics: Metric[] = ks.map((k) => ({
      name: `pass@${k}`,
      value: meanScore(
        counts.filter(({ total }) => total >= k).map(({ total, passed }) => passAtK(total, passed, k)),
      ),
    }));
    if (!withMajority) return metrics;
    const most = Math.max(...answered.map(({ samples }) => samples.length));
    const voted = answered.filter(({ samples }) => samples.some(isGraded));
    return [
      ...metrics,
      {
        name: `maj@${most}`,
        value: shareOf(voted.map(({ majority }) => majority?.outcome === "pass")),
      },
    ];
  };
}

export const ifevalMeasure: Measure = (answered) => {
  const graded = answered.flatMap(({ samples }) => samples.filter(isGraded));
  const each = (key: string): readonly boolean[] =>
    graded.flatMap(({ verdict }) => {
      const list = verdict.details?.[key];
      return Array.isArray(list) ? list.map((one: { outcome?: unknown }) => one.outcome === "pass") : [];
    });
  return [
    { name: "prompt_level_strict_acc", value: shareOf(graded.map(passes)) },
    { name: "inst_level_strict_acc", value: shareOf(each("instructions")) },
    {
      name: "prompt_level_loose_acc",
      value: shareOf(graded.map(({ verdict }) => verdict.details?.["loose"] === "pass")),
    },
    { name: "inst_level_loose_acc", value: shareOf(each("loose_instructions")) },
  ];
};
