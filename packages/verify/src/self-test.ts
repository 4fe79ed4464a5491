/**
 * Runs the canaries on this machine: what stages do before they spend anything. What is not there is no failure; it is listed with
 * the command that would give it. What is there and grades a canary wrongly is one.
 */

import { type Outcome, shortened, UserError } from "@posttrain/data";
import type { Language, Route } from "@posttrain/sandbox";
import { nativeSelfTest, type Proof, refusal, unproven } from "@posttrain/sandbox";
import { type CanaryGroup, type CanaryKind, canaryGroups } from "./canaries.js";
import { type GradedResponse, openVerifiers, type Verifiers } from "./registry.js";

export interface CanaryResult {
  readonly kind: CanaryKind;
  readonly outcome: Outcome;
  readonly holds: boolean;
  readonly evidence: string;
  readonly seconds: number;
}

export interface CanaryGroupResult {
  readonly verifier: string;
  readonly variant: string;
  readonly language?: Language;
  readonly route?: Route;
  /** `proven`: every canary was graded as it must be. `missing`: this machine lacks something. */
  readonly state: "proven" | "failed" | "missing";
  readonly canaries: readonly CanaryResult[];
  /** What is missing, with the command that would give it. */
  readonly remedy?: string;
}

export interface SelfTestReport {
  /** Nothing that is available failed. */
  readonly ok: boolean;
  readonly groups: readonly CanaryGroupResult[];
  /** Of the native sandbox: its limits, languages that need one that is not proven, and what to do about it. */
  readonly sandbox: {
    readonly proven: boolean;
    readonly limits: readonly Proof[];
    readonly refused: readonly Language[];
    readonly remedy?: string;
  };
}

export interface SelfTestOptions {
  /** Only these verifiers; default: all. */
  readonly verifiers?: readonly string[];
  /** Only programs in these languages; default: all. */
  readonly languages?: readonly Language[];
  /** `used`: only the route that programs take here. Default: both. */
  readonly routes?: "both" | "used";
  readonly concurrency?: number;
  readonly signal?: AbortSignal;
  readonly onGroup?: (result: CanaryGroupResult, done: number, total: number) => void;
}

/** Never throws for anything that the machine lacks. */
export async function selfTest(options: SelfTestOptions = {}): Promise<SelfTestReport> {
  const { concurrency = 2, languages, signal, onGroup } = options;
  const wanted = canaryGroups.filter(
    ({ verifier, language }) =>
      (options.verifiers?.includes(verifier) ?? true) &&
      (language === undefined || (languages?.includes(language) ?? true)),
  );
  const native = wanted.some(({ language }) => language !== undefined) ? await nativeSelfTest() : undefined;
  const lacking = ({ language }: CanaryGroup): readonly Proof[] =>
    native === undefined || language === undefined ? [] : unproven(native.proofs, [language]);
  const used = (group: CanaryGroup): Route => (lacking(group).length > 0 ? "wasm" : "native");
  const groups = wanted.filter(
    (group) => options.routes !== "used" || group.route === undefined || group.route === used(group),
  );
  const results = new Array<CanaryGroupResult>(groups.length);
  const waiting = groups.map((group, place) => ({ group, place }));
  let done = 0;
  const opened = new Map<Route | undefined, Verifiers>();
  const verifiersFor = (route: Route | undefined): Verifiers => {
    const known = opened.get(route);
    if (known !== undefined) return known;
    const verifiers = openVerifiers({
      concurrency,
      ...(route !== undefined && { route }),
      ...(signal !== undefined && { signal }),
    });
    opened.set(route, verifiers);
    return verifiers;
  };
  const work = async (): Promise<void> => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      const { group, place } = next;
      const lacks = group.route === "native" ? lacking(group) : [];
      const result =
        lacks.length > 0
          ? missing(group, refusal(lacks, [group.language!]))
          : await tryGroup(group, verifiersFor(group.route));
      results[place] = result;
      onGroup?.(result, ++done, groups.length);
    }
  };
  try {
    await Promise.all(Array.from({ length: concurrency }, work));
  } finally {
    for (const verifiers of opened.values()) await verifiers.close();
  }
  return {
    ok: results.every(({ state }) => state !== "failed"),
    groups: results,
    sandbox: {
      proven: native?.layout !== undefined,
      limits: native?.proofs ?? [],
      refused: native?.refused ?? [],
      ...(native?.remedy !== undefined && { remedy: native.remedy }),
    },
  };
}

function head({ verifier, variant, language, route }: CanaryGroup) {
  return {
    verifier,
    variant,
    ...(language !== undefined && { language }),
    ...(route !== undefined && { route }),
  };
}

function missing(group: CanaryGroup, remedy: string): CanaryGroupResult {
  return { ...head(group), state: "missing", canaries: [], remedy };
}

async function tryGroup(group: CanaryGroup, verifiers: Verifiers): Promise<CanaryGroupResult> {
  const canaries: CanaryResult[] = [];
  for (const [kind, response] of group.responses) {
    const verdict = await verifiers.grade(response, group.row);
    if (canaries.length === 0 && lacksTool(verdict)) return missing(group, verdict.evidence);
    const { outcome, evidence, seconds } = verdict;
    canaries.push({ kind, outcome, holds: holds(kind, outcome), evidence, seconds });
  }
  const state = canaries.every((canary) => canary.holds) ? "proven" : "failed";
  return { ...head(group), state, canaries };
}

/** A language whose tool is not installed. */
function lacksTool({ outcome, details }: GradedResponse): boolean {
  return outcome === "infrastructure-error" && details?.["code"] === "no_toolchain";
}

function holds(kind: CanaryKind, outcome: Outcome): boolean {
  if (kind === "right") return outcome === "pass";
  if (kind === "wrong") return outcome === "fail";
  return outcome !== "pass" && outcome !== "infrastructure-error";
}

/** Canaries, before a model spends hours on responses. UserError `self_test_failed` names those that were graded wrongly. */
export async function proveGraders(verifiers: readonly string[]): Promise<void> {
  const { ok, groups } = await selfTest({ verifiers, languages: ["python"], routes: "used" });
  if (ok) return;
  const failed = groups.flatMap(({ verifier, variant, canaries }) =>
    canaries
      .filter(({ holds }) => !holds)
      .map(
        ({ kind, outcome, evidence }) =>
          `${verifier} ${variant}, ${kind}: ${outcome} (${shortened(evidence, 200)})`,
      ),
  );
  throw new UserError(
    "self_test_failed",
    `Nothing was asked: on this machine known answers are graded wrongly: ${failed.join("; ")}. posttrain verify --self_test shows all of it.`,
  );
}
