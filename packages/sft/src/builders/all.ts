// Area all: several areas, each made as by itself beside the output, and mixed by their weights.
import { existsSync } from "node:fs";
import { join } from "node:path";
import { dataDigest, mixRows, UserError } from "@posttrain/data";
import type { TeacherCounters } from "@posttrain/rollout";
import { lockProgressFolder, openRowFile, readFinished, writeFinished } from "@posttrain/run";
import { type AreaName, areaNames } from "./areas.js";
import { type BuildReport, type BuildRun, buildArea, isWhole } from "./build.js";
import type { BuildConfig } from "./config.js";

/** UserError for options, files and rows, and for a role that cannot be reached or has spent its budget; what was done until then is kept. */
export function build(config: BuildConfig, run: BuildRun): Promise<BuildReport> {
  const { area } = config;
  return area === "all" ? buildAll(config, run) : buildArea({ ...config, area }, run);
}

async function buildAll(config: BuildConfig, run: BuildRun): Promise<BuildReport> {
  const { output, rows, seed } = config;
  const parts = partsOf(config);
  const folder = `${output}.progress`;
  if (existsSync(output) && !existsSync(folder)) {
    throw new UserError(
      "output_used",
      `output ${output} already exists. Remove it or give another name, so that nothing is overwritten.`,
    );
  }
  const lock = await lockProgressFolder(folder, output);
  try {
    const made: (Part & { readonly data: string; readonly report: BuildReport })[] = [];
    for (const part of parts) {
      const { area, seeds } = part;
      const data = join(folder, `${area}.jsonl`);
      const { areas: _, ...own } = config;
      // Of the mix it is never less than its share, rounded up.
      const share = Math.max(
        1,
        Math.ceil((rows * part.weight) / parts.reduce((sum, { weight }) => sum + weight, 0)),
      );
      const report = await buildArea(
        { ...own, area, rows: share, output: data, seeds: seeds.length === 0 ? undefined : [...seeds] },
        run,
      );
      made.push({ ...part, data, report });
    }
    const decides = {
      ...{ area: "all", rows, seed },
      areas: parts.map(({ area, weight }) => `${area}=${weight}`),
      files: await Promise.all(made.map(({ data }) => dataDigest(data))),
    };
    const before = await readFinished<BuildReport>(folder, output, decides, isWhole);
    if (before !== undefined) return { ...before, end: "nothing" };
    const mix = await mixRows(
      made.map(({ data, weight }) => ({ data, weight })),
      { seed, rows },
    );
    const file = await openRowFile(join(folder, "output.partial"), output);
    try {
      const counted: Counted = {
        tasks: Object.fromEntries(
          made.flatMap(({ area, report: { tasks } }) =>
            Object.keys(tasks).map((task) => [`${area} ${task}`, 0]),
          ),
        ),
        difficulty: {},
      };
      for await (const { value } of mix.rows) {
        run.signal?.throwIfAborted();
        await file.write(value as object);
        count(counted, value as Row);
      }
      await file.commit();
      const report: BuildReport = {
        end: made.every(({ report: { end }, weight }) => end !== "used up" || weight === 0)
          ? "complete"
          : "used up",
        ...{ rows: mix.parts.reduce((sum, { taken }) => sum + taken, 0), ...counted },
        steps: made.flatMap(({ area, report: { steps } }) =>
          steps.map((one) => ({ ...one, step: `${area} ${one.step}` })),
        ),
        unanswered: made.reduce((sum, { report: { unanswered } }) => sum + unanswered, 0),
        reasons: made.flatMap(({ report: { reasons } }) => reasons).slice(0, 3),
        asked: askedOf(made.map(({ report: { asked } }) => asked)),
        dropped_file: join(folder, "AREA.jsonl.progress", "dropped.jsonl"),
        ...(made.some(({ report: { review_file: file } }) => file !== undefined) && {
          review_file: join(folder, "AREA.jsonl.progress", "review.jsonl"),
        }),
      };
      await writeFinished(folder, decides, report);
      return report;
    } finally {
      await file.discard();
    }
  } finally {
    await lock.release();
  }
}

interface Part {
  readonly area: AreaName;
  readonly weight: number;
  readonly seeds: readonly string[];
}

/** UserError `bad_option`. */
function partsOf({ areas = [], seeds = [] }: BuildConfig): readonly Part[] {
  const bad = (what: string): UserError => new UserError("bad_option", what);
  const parts = areas.map((text): Part => {
    const [, name, weight = "1"] = /^([\w-]+)(?:=(\d+(?:\.\d+)?))?$/.exec(text) ?? [];
    const area = areaNames.find((known) => known === name);
    if (area === undefined || Number(weight) === 0)
      throw bad(
        `areas has ${JSON.stringify(text)}: expected AREA=WEIGHT, such as logic=3; areas: ${areaNames.join(", ")}.`,
      );
    const own = seeds.filter((one) => one.startsWith(`${area}=`)).map((one) => one.slice(area.length + 1));
    return { area, weight: Number(weight), seeds: own };
  });
  const twice = parts.find(({ area }, i) => parts.findIndex((other) => other.area === area) < i);
  if (twice !== undefined) throw bad(`areas has ${twice.area} twice.`);
  const stray = seeds.find((one) => !parts.some(({ area }) => one.startsWith(`${area}=`)));
  if (stray !== undefined)
    throw bad(
      `seeds has ${JSON.stringify(stray)}: of several areas each says whose it is, AREA=FILE, such as mathematics=problems.jsonl.`,
    );
  return parts;
}

interface Row {
  readonly area: string;
  readonly task: string;
  readonly difficulty?: number;
}

interface Counted {
  readonly tasks: Record<string, number>;
  readonly difficulty: Record<string, number>;
}

function count({ tasks, difficulty }: Counted, row: Row): void {
  const task = `${row.area} ${row.task}`;
  tasks[task] = (tasks[task] ?? 0) + 1;
  if (row.difficulty !== undefined) difficulty[row.difficulty] = (difficulty[row.difficulty] ?? 0) + 1;
}

function askedOf(all: readonly BuildReport["asked"][]): BuildReport["asked"] {
  const sums: Record<string, TeacherCounters> = {};
  for (const [role, one] of all.flatMap((asked) => Object.entries(asked))) {
    const before = sums[role];
    sums[role] =
      before === undefined
        ? one
        : {
            asked: before.asked + one.asked,
            cached: before.cached + one.cached,
            failed: before.failed + one.failed,
            promptTokens: before.promptTokens + one.promptTokens,
            completionTokens: before.completionTokens + one.completionTokens,
          };
  }
  return sums;
}
