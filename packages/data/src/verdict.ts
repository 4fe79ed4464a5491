/**
 * What a grader says of one response. What the candidate did is its own: `fail`, `crash`, `timeout` and
 * `unparseable` teach 0, `pass` teaches 1. What the grader could not do (`infrastructure-error`) is nobody's
 * lesson: it is retried, then counted and masked, and never reads as wrong.
 */
export const outcomes = ["pass", "fail", "timeout", "crash", "unparseable", "infrastructure-error"] as const;

export type Outcome = (typeof outcomes)[number];

export interface Verdict {
  readonly outcome: Outcome;
  /** One paragraph for a person: what was compared or run, and what came. */
  readonly evidence: string;
  /**
   * What programs want to read of it: plain JSON, keys by kind of check. `fault` of an infrastructure-error names its cause where
   * trying again would say the same: "row" (its tests, its reference), "verifier", or "machine", which lacks something.
   */
  readonly details?: Readonly<Record<string, unknown>>;
}
