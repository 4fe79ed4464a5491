// Two runs of the same steps, thing by thing: metrics, rollouts, the checkpoint after them. What differs first is named with its two values.
import { readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { fileDigest } from "@posttrain/run";
import { plural } from "../format.js";

export interface Finding {
  readonly what: "metrics" | "rollouts" | "weights" | "checkpoint";
  /** What was found to be the same, or why nothing could be compared. */
  readonly compared: string;
  readonly isCompared: boolean;
  /** The first difference. */
  readonly differs?: string;
}

type Values = Readonly<Record<string, unknown>>;

/** Of the steps after `from` up to `step`. */
export async function compareSteps(
  run: string,
  again: string,
  from: number,
  step: number,
): Promise<readonly Finding[]> {
  return [
    await compareMetrics(run, again, from, step),
    ...(await compareRollouts(run, again, from, step)),
    ...(await compareCheckpoints(run, again, step)),
  ];
}

/** Times are no function of the run. */
const isTime = (name: string): boolean => /time|runtime|per_second/.test(name);

async function compareMetrics(run: string, again: string, from: number, step: number): Promise<Finding> {
  const inRange = ({ step: at }: Values): boolean => Number(at) > from && Number(at) <= step;
  const key = (line: Values): string => `${line["step"]} ${"loss" in line ? "training" : "evaluation"}`;
  const own = (await linesOf(join(run, "metrics.jsonl"))).filter(inRange);
  const other = new Map(
    (await linesOf(join(again, "metrics.jsonl"))).filter(inRange).map((line) => [key(line), line]),
  );
  let compared = 0;
  for (const line of own) {
    const same = other.get(key(line));
    // A run that was logged less often has fewer lines.
    if (same === undefined) continue;
    compared++;
    const names = [...new Set([...Object.keys(line), ...Object.keys(same)])].filter((name) => !isTime(name));
    const name = names.find((one) => !Object.is(line[one], same[one]));
    if (name !== undefined) {
      return different("metrics", `${name} of step ${line["step"]} is ${same[name]}, and was ${line[name]}`);
    }
  }
  return compared === 0
    ? nothing("metrics", "the run has no line of these steps in metrics.jsonl")
    : same("metrics", `${plural(compared, "line")} of metrics.jsonl: every number is the same but times`);
}

async function compareRollouts(
  run: string,
  again: string,
  from: number,
  step: number,
): Promise<readonly Finding[]> {
  let responses = 0;
  for (let at = from + 1; at <= step; at++) {
    const name = join("rollouts", `step-${String(at).padStart(6, "0")}.jsonl`);
    const other = await linesOf(join(again, name));
    if (other.length === 0) continue;
    const own = await linesOf(join(run, name));
    if (own.length === 0) return [nothing("rollouts", `the run has no ${name}`)];
    if (own.length !== other.length) {
      return [
        different("rollouts", `${name} has ${plural(other.length, "response")}, and had ${own.length}`),
      ];
    }
    for (const [i, line] of own.entries()) {
      const first = firstDifference(line, other[i] as Values);
      if (first !== undefined) return [different("rollouts", `${name}, line ${i + 1}: ${first}`)];
    }
    responses += own.length;
  }
  if (responses === 0) return [];
  return [
    same(
      "rollouts",
      `${plural(responses, "response")}: tokens, log-probabilities, rewards and advantages are the same`,
    ),
  ];
}

/** Weights, then every other file, such as the optimizer's moments and the queue of prompts: all but the manifest, which has a date. */
async function compareCheckpoints(run: string, again: string, step: number): Promise<readonly Finding[]> {
  const name = `checkpoint-${step}`;
  const [own, other] = [await filesIn(join(run, name)), await filesIn(join(again, name))];
  if (own.length === 0 || other.length === 0) {
    return [nothing("weights", `the run has no ${name}; loss and gradient norm of its steps stand for them`)];
  }
  const digestOf = (dir: string, file: string): Promise<string> =>
    fileDigest(join(dir, name, file)).catch(() => "none");
  const weights = "model.safetensors";
  const findings: Finding[] = [];
  const others = [...new Set([...own, ...other])].filter(
    (file) => file !== weights && file !== "manifest.json",
  );
  for (const file of [weights, ...others]) {
    const [was, is] = [await digestOf(run, file), await digestOf(again, file)];
    const what = file === weights ? "weights" : "checkpoint";
    if (was !== is)
      return [...findings, different(what, `${name}/${file} has the SHA-256 ${is}, and had ${was}`)];
    if (file === weights) findings.push(same(what, `${name}/${file}: SHA-256 ${is}`));
  }
  return [
    ...findings,
    same("checkpoint", `${plural(others.length, "other file")}, ${others.sort().join(", ")}`),
  ];
}

/** Files below a folder, by their path in it; none where it is not there. */
async function filesIn(dir: string): Promise<readonly string[]> {
  const names = await readdir(dir, { recursive: true }).catch(() => []);
  const files = await Promise.all(
    names.map(async (name) => ((await stat(join(dir, name))).isFile() ? [name] : [])),
  );
  return files.flat();
}

/** "logprobs[3] is -1.5, and was -1.25". */
function firstDifference(was: unknown, is: unknown, at = ""): string | undefined {
  if (Object.is(was, is)) return undefined;
  if (typeof was === "object" && was !== null && typeof is === "object" && is !== null) {
    for (const key of new Set([...Object.keys(was), ...Object.keys(is)])) {
      // How long a grader took.
      if (key === "seconds") continue;
      const place = Array.isArray(was) ? `${at}[${key}]` : at === "" ? key : `${at}.${key}`;
      const first = firstDifference((was as Values)[key], (is as Values)[key], place);
      if (first !== undefined) return first;
    }
    return undefined;
  }
  return `${at} is ${JSON.stringify(is)}, and was ${JSON.stringify(was)}`;
}

async function linesOf(path: string): Promise<readonly Values[]> {
  const text = await readFile(path, "utf8").catch(() => "");
  return text
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as Values);
}

const same = (what: Finding["what"], compared: string): Finding => ({ what, compared, isCompared: true });
const nothing = (what: Finding["what"], compared: string): Finding => ({ what, compared, isCompared: false });
const different = (what: Finding["what"], differs: string): Finding => ({
  ...{ what, differs, isCompared: true },
  compared: "not the same",
});
