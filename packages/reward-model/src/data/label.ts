// A label: who prefers which of two responses, overall and by criterion, and why; and which of several counts.
import type { Preference } from "@posttrain/rollout";

/** In order of weight: people know best, what a verifier can check is checked, then the judge. */
export const labelSources = ["human", "verifier", "judge"] as const;
export type LabelSource = (typeof labelSources)[number];

export interface Label {
  readonly source: LabelSource;
  /** Whose word it is: the verifier's name, the judge's model, a person's name. */
  readonly by: string;
  readonly preference: Preference;
  /** By criterion, those that it says something of. */
  readonly criteria: Readonly<Record<string, Preference>>;
  /** What the source found or said. */
  readonly evidence: unknown;
}

export interface Decision {
  /** Undefined: nobody prefers either; all that there is are ties. */
  readonly label: Label | undefined;
  readonly criteria: Readonly<Record<string, Preference>>;
}

/** The first source, in order of weight, that prefers one; several people are asked in the order of their labels. Of each criterion likewise. */
export function decide(labels: readonly Label[]): Decision {
  const ordered = labelSources.flatMap((source) => labels.filter((label) => label.source === source));
  const names = new Set(ordered.flatMap(({ criteria }) => Object.keys(criteria)));
  const criteria = [...names].map((name) => {
    const said = ordered.flatMap((label) => label.criteria[name] ?? []);
    return [name, said.find((preference) => preference !== "tie") ?? "tie"] as const;
  });
  return {
    label: ordered.find(({ preference }) => preference !== "tie"),
    criteria: Object.fromEntries(criteria),
  };
}
