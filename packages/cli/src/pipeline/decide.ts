// What is to be done about a step: nothing, as it is done and nothing has changed; go on with it; or begin it, with what was made before set aside.
import { readdir, rename, rm, stat } from "node:fs/promises";
import { resolve } from "node:path";
import { canonicalJson, UserError } from "@posttrain/data";
import { differences, type Identity } from "@posttrain/run";
import { contentDigest } from "./digest.js";
import { findMade } from "./made.js";
import type { StepRecord } from "./manifest.js";
import type { Step } from "./pipeline.js";

export type Decision =
  | { readonly do: "skip"; readonly made: StepRecord["made"] }
  | {
      readonly do: "begin" | "go on";
      readonly why: string;
      /** What is there already, of an earlier run of the step. */
      readonly aside: readonly string[];
      /** What an interrupted process has left, which is begun anew. */
      readonly drop: readonly string[];
    }
  /** It was interrupted after its result was whole. */
  | { readonly do: "settle" };

/** `of`: what its result would be a function of now. UserError `output_used`, `output_missing`, `output_changed`. */
export async function decide(
  file: string,
  step: Step,
  record: StepRecord | undefined,
  of: Identity,
  isForced: boolean,
): Promise<Decision> {
  const begin = (why: string, aside: readonly string[]): Decision => ({ do: "begin", why, aside, drop: [] });
  if (record === undefined) {
    const used = await firstUsed([...step.outputs.values()]);
    if (used === undefined) return begin("not run yet", []);
    throw new UserError(
      "output_used",
      `${file}, line ${step.line}: step ${step.name} would write ${used}, which is there already, and this pipeline has not made it. Remove it, or give the step another place.`,
    );
  }
  const changed = changesOf(record.of, of);
  const earlier = await thatAreThere(leftovers(step, record));
  const moved = movedOutput(step, record);
  if (changed.length > 0 || moved !== undefined)
    return begin([...changed, ...(moved === undefined ? [] : [moved])].join(", "), earlier);
  if (record.aside !== undefined) return begin(endedAs(record), await thatAreThere(record.aside));
  if (record.state === "done") {
    if (isForced) return begin("asked for with --from", earlier);
    return { do: "skip", made: await checkMade(file, step, record) };
  }
  switch (step.kind.resumes) {
    case "checkpoint":
    case "journal":
      return { do: "go on", why: endedAs(record), aside: [], drop: [] };
    case "never": {
      const outputs = [...step.outputs.values()];
      const whole = step.kind.writes === "output" && (await thatAreThere(outputs)).length === outputs.length;
      return whole ? { do: "settle" } : { do: "go on", why: endedAs(record), aside: [], drop: earlier };
    }
  }
}

function endedAs({ exit_code: code }: StepRecord): string {
  return code === undefined ? "was interrupted" : `ended with exit code ${code}`;
}

/** Sentences: "learning_rate 1e-4, was 2e-4". */
function changesOf(before: Identity, now: Identity): readonly string[] {
  return differences(before, now).map(({ key, before: old, now: given }) => {
    const isDigest = [old, given].some(
      (value) => Array.isArray(value) && /^[0-9a-f]{64}/.test(String(value[0])),
    );
    return isDigest ? `${key} has changed` : `${key} ${shown(given)}, was ${shown(old)}`;
  });
}

const shown = (value: unknown): string => (value === undefined ? "not given" : canonicalJson(value));

function movedOutput(step: Step, record: StepRecord): string | undefined {
  const [option, path] = [...step.outputs][0] as [string, string];
  const before = record.outputs[option];
  return before !== undefined && resolve(before) === resolve(path)
    ? undefined
    : `${option} ${path}, was ${before}`;
}

/** Outputs of a step now and as it was run, and verify's journal, which belongs to its result. */
function leftovers(step: Step, record: StepRecord): readonly string[] {
  const paths = [...new Set([...step.outputs.values(), ...Object.values(record.outputs)])];
  return step.command === "verify" ? paths.flatMap((path) => [path, `${path}.progress`]) : paths;
}

async function thatAreThere(paths: readonly string[]): Promise<readonly string[]> {
  const there: string[] = [];
  for (const path of paths) if (await stat(path).catch(() => undefined)) there.push(path);
  return there;
}

/** An empty folder is free. */
async function firstUsed(paths: readonly string[]): Promise<string | undefined> {
  for (const path of await thatAreThere(paths)) {
    const names = await readdir(path).catch(() => undefined);
    if (names === undefined || names.length > 0) return path;
  }
  return undefined;
}

/** What a step that is done has made, which must be as it was. */
async function checkMade(
  file: string,
  step: Step,
  { made: before }: StepRecord,
): Promise<StepRecord["made"]> {
  const refuse = (code: string, what: string): never => {
    throw new UserError(
      code,
      `${file}, line ${step.line}: step ${step.name} ${what}. Put back what it was, or run it again with --from ${step.name}, which sets aside what is there.`,
    );
  };
  for (const [name, { path, sha256 }] of Object.entries(before)) {
    const now = await contentDigest(path);
    if (now === undefined) refuse("output_missing", `is done, but what it made is gone: ${name}, ${path}`);
    if (now !== sha256)
      refuse(
        "output_changed",
        `is done, but what it made was changed since: ${name}, ${path} (SHA-256 ${sha256.slice(0, 12)}..., now ${now?.slice(0, 12)}...)`,
      );
  }
  const others = [...step.wanted].filter((name) => !Object.hasOwn(before, name));
  if (others.length === 0) return before;
  const { made } = await findMade({ ...step, wanted: new Set(others) });
  const lost = others.find((name) => made[name] === undefined);
  if (lost !== undefined) refuse("output_missing", `is done, and has made no ${lost}`);
  return { ...made, ...before };
}

/** Moves what an earlier run of a step has left to names of their own; resolves to these. */
export async function setAside(paths: readonly string[]): Promise<readonly string[]> {
  const targets: string[] = [];
  for (const path of paths) {
    let n = 1;
    while (await stat(`${path}.superseded-${n}`).catch(() => undefined)) n++;
    await rename(path, `${path}.superseded-${n}`);
    targets.push(`${path}.superseded-${n}`);
  }
  return targets;
}

export async function drop(paths: readonly string[]): Promise<void> {
  for (const path of paths) await rm(path, { recursive: true, force: true });
}
