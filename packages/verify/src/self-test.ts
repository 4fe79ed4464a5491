/**
 * Runs the canaries on this machine: what stages do before they spend anything. What is not there is no failure; it is listed with
 * the command that would give it. What is there and grades a canary wrongly is one.
 */

import type { Outcome } from "@posttrain/data";
import type { Language, Route } from "@posttrain/sandbox";
import { nativeSelfTest } from "@posttrain/sandbox";
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

export interface SandboxLimit {
  readonly limit: string;
  readonly holds: boolean;
  readonly evidence: string;
}

export interface SelfTestReport {
  /** Nothing that is available failed. */
  readonly ok: boolean;
  readonly groups: readonly CanaryGroupResult[];
  /** Of the native sandbox: its limits, and what to do where they do not hold. */
  readonly sandbox: {
    readonly proven: boolean;
    readonly limits: readonly SandboxLimit[];
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
  const used: Route = native?.layout === undefined ? "wasm" : "native";
  const groups = wanted.filter(
    ({ route }) => options.routes !== "used" || route === undefined || route === used,
  );
  const sandboxRemedy = native?.remedy;
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
      const result =
        group.route === "native" && native?.layout === undefined
          ? missing(group, sandboxRemedy ?? "Install bubblewrap.")
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
      ...(sandboxRemedy !== undefined && { remedy: sandboxRemedy }),
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
