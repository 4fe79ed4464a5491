// What came of comparisons, counted, and how far the sources of labels agree.
import type { Preference } from "@posttrain/rollout";
import { type Agreement, agreementOf } from "./agreement.js";
import type { Response } from "./candidates.js";
import { criterionNames } from "./criteria.js";
import { type Label, type LabelSource, labelSources } from "./label.js";

export interface NamedAgreement extends Agreement {
  readonly between: readonly [LabelSource, LabelSource];
  /** `overall`, or a criterion. */
  readonly on: string;
}

const mostReasons = 3;

export function newBooks() {
  const by: Record<LabelSource, number> = { human: 0, verifier: 0, judge: 0 };
  const said: (readonly Label[])[] = [];
  const reasons = new Set<string>();
  let [done, ties, unlabelled, failures, judged, consistent] = [0, 0, 0, 0, 0, 0];
  return {
    done: () => done,
    add: (labels: readonly Label[], failure: string | undefined, isConsistent: boolean | undefined): void => {
      done++;
      said.push(labels);
      if (labels.length === 0) unlabelled++;
      if (failure !== undefined) {
        failures++;
        if (reasons.size < mostReasons) reasons.add(failure);
      }
      if (isConsistent === undefined) return;
      judged++;
      if (isConsistent) consistent++;
    },
    decided: (source: LabelSource | undefined): void => {
      if (source === undefined) ties++;
      else by[source]++;
    },
    report: (merged: number) => ({
      preferences: { ...by, merged },
      rows: by.human + by.verifier + by.judge + merged,
      ...{ ties, unlabelled, judge_failures: failures, reasons: [...reasons] },
      judge_consistency: judged === 0 ? null : consistent / judged,
      agreement: agreements(said),
    }),
  };
}

/** Between each two sources, and between people, overall and by criterion. */
function agreements(all: readonly (readonly Label[])[]): readonly NamedAgreement[] {
  const sources = labelSources.flatMap((a, i) => labelSources.slice(i).map((b) => [a, b] as const));
  return sources.flatMap((between) =>
    ["overall", ...criterionNames].flatMap((on): readonly NamedAgreement[] => {
      const saidBy = (label: Label | undefined): Preference | undefined =>
        on === "overall" ? label?.preference : label?.criteria[on];
      const pairs = all.flatMap((labels): readonly (readonly [Preference, Preference])[] => {
        const a = labels.find(({ source }) => source === between[0]);
        const b = labels.find((label) => label.source === between[1] && label !== a);
        const [x, y] = [saidBy(a), saidBy(b)];
        return x === undefined || y === undefined ? [] : [[x, y]];
      });
      const agreement = agreementOf(pairs);
      return agreement === undefined ? [] : [{ between, on, ...agreement }];
    }),
  );
}

export function verdictCounts(responses: readonly Response[]): Readonly<Record<string, number>> {
  const counts: Record<string, number> = {};
  for (const { verdict } of responses) {
    const outcome = verdict?.outcome ?? "none";
    counts[outcome] = (counts[outcome] ?? 0) + 1;
  }
  return counts;
}
