// What verdicts look like on a terminal: a table by verifier, the slowest, the first that failed, and what could not be graded.

import { shortened } from "@posttrain/data";
import type { FileGrading, PlacedVerdict, SelfTestReport, VerifierSummary } from "@posttrain/verify";
import { columns } from "./columns.js";
import { count, duration, percent, plural } from "./format.js";

/** Milliseconds where seconds would read 0.0. */
function time(seconds: number): string {
  return seconds < 0.9995 ? `${(1000 * seconds).toFixed(seconds < 0.01 ? 1 : 0)} ms` : duration(seconds);
}

export function verdictTable({ verifiers, outcomes, responses }: FileGrading): string {
  const scored = verifiers.some(({ score }) => score !== undefined);
  const head = [
    "",
    "responses",
    "pass",
    "fail",
    "timeout",
    "crash",
    "unparseable",
    "not graded",
    "passed",
    ...(scored ? ["score"] : []),
    "mean",
    "median",
    "most",
  ];
  const cells = (
    name: string,
    total: number,
    of: VerifierSummary["outcomes"],
    rest: readonly string[],
  ): readonly string[] => [
    name,
    count(total),
    ...(["pass", "fail", "timeout", "crash", "unparseable", "infrastructure-error"] as const).map((outcome) =>
      count(of[outcome]),
    ),
    percent(of.pass, total - of["infrastructure-error"]),
    ...rest,
  ];
  const rows = verifiers.map(({ verifier, responses: total, outcomes: of, seconds, score }) =>
    cells(verifier, total, of, [
      ...(scored ? [score?.toFixed(3) ?? ""] : []),
      time(seconds.mean),
      time(seconds.median),
      time(seconds.most),
    ]),
  );
  if (rows.length > 1) rows.push(cells("all", responses, outcomes, []));
  return columns([head, ...rows]);
}

/** The first of some kind, a line and its evidence each. */
export function verdictList(title: string, verdicts: readonly PlacedVerdict[]): string {
  if (verdicts.length === 0) return "";
  const lines = verdicts.map(({ line, sample, verifier, outcome, seconds, evidence }) => {
    const place = `line ${line}${sample > 0 ? `, response ${sample + 1}` : ""}`;
    return `  ${place}: ${verifier}, ${outcome}, ${time(seconds)}\n    ${oneLine(evidence)}`;
  });
  return `\n${title}\n${lines.join("\n")}`;
}

const oneLine = (text: string): string => shortened(text, 300).replaceAll(/\s*\n\s*/g, " | ");

/** What is left out of the numbers, in words. */
export function gradingNotes({ unsealed, outcomes, responses, fromJournal }: FileGrading): readonly string[] {
  const left = outcomes["infrastructure-error"];
  return [
    ...(fromJournal > 0
      ? [`${plural(fromJournal, "verdict")} taken from the journal of an earlier run.`]
      : []),
    ...(unsealed > 0
      ? [
          `${count(unsealed)} of ${plural(responses, "verdict")} came from tests that ran beside the candidate (sealed: false); --unsealed refuse leaves them out.`,
        ]
      : []),
    ...(left > 0
      ? [`${plural(left, "response")} could not be graded: counted here, and nobody's failure.`]
      : []),
  ];
}

/** What is proven here, what failed its canary and how, and what would give the rest. */
export function selfTestTable({ groups, sandbox }: SelfTestReport): string {
  const rows = groups.map(({ verifier, variant, language = "", route = "", state, canaries }) => {
    const of = (kind: string): string => {
      const own = canaries.filter((canary) => canary.kind === kind);
      if (own.length === 0) return "";
      return own.every(({ holds }) => holds) ? "ok" : own.map(({ outcome }) => outcome).join(", ");
    };
    const seconds = canaries.reduce((sum, canary) => sum + canary.seconds, 0);
    return [
      verifier,
      language,
      variant,
      route,
      state === "missing" ? "not available" : state,
      of("right"),
      of("wrong"),
      of("hostile"),
      canaries.length === 0 ? "" : time(seconds),
    ];
  });
  const head = ["verifier", "language", "what", "route", "", "right", "wrong", "hostile", "time"];
  const parts = [columns([head, ...rows], 8)];
  if (sandbox.limits.length > 0) {
    const limits = sandbox.limits.map(({ limit, holds, by, evidence }) => [
      limit,
      holds ? "holds" : "NOT PROVEN",
      by,
      oneLine(evidence),
    ]);
    parts.push(`\nLimits of the native sandbox\n${columns(limits, 4)}`);
  }
  const failed = groups.flatMap((group) =>
    group.canaries
      .filter(({ holds }) => !holds)
      .map(
        ({ kind, outcome, evidence }) =>
          `  ${[group.verifier, group.language, group.variant, group.route].filter(Boolean).join(" ")}, ${kind}: ${outcome}\n    ${oneLine(evidence)}`,
      ),
  );
  if (failed.length > 0) parts.push(`\nFailed\n${failed.join("\n")}`);
  const remedies = new Map<string, string[]>();
  for (const { state, remedy = "", verifier, language } of groups) {
    if (state !== "missing") continue;
    const name = language ?? verifier;
    const names = remedies.get(remedy) ?? [];
    remedies.set(remedy, names.includes(name) ? names : [...names, name]);
  }
  if (remedies.size > 0) {
    const lines = [...remedies].map(([remedy, names]) => `  ${names.join(", ")}: ${oneLine(remedy)}`);
    parts.push(`\nNot available here\n${lines.join("\n")}`);
  }
  return parts.join("\n");
}
