// What the page asks of a run folder, answered from its files.
import { readdir, readFile, stat } from "node:fs/promises";
import { basename, join, resolve } from "node:path";
import { loadTokenizer, readRegularFile, type Tokenizer, UserError } from "@posttrain/data";
import { checkpointSteps } from "@posttrain/run";
import { parse } from "yaml";
import type {
  DetailsAnswer,
  FiguresAnswer,
  GroupAnswer,
  GroupsAnswer,
  RejectsAnswer,
  RunAnswer,
  TokensAnswer,
} from "./api.js";
import { figuresOf } from "./figures.js";
import { followMetrics } from "./metrics.js";
import { followRejects } from "./rejects.js";
import { openRollouts, type Place, type Range } from "./rollouts.js";
import { newerSchema } from "./schemas.js";

export type RunAnswers = {
  readonly run: () => Promise<RunAnswer>;
  readonly figures: () => Promise<FiguresAnswer>;
  readonly groups: (query: URLSearchParams) => Promise<GroupsAnswer>;
  readonly group: (query: URLSearchParams) => Promise<GroupAnswer>;
  readonly tokens: (query: URLSearchParams) => Promise<TokensAnswer>;
  readonly rejects: (query: URLSearchParams) => Promise<RejectsAnswer>;
  readonly details: () => Promise<DetailsAnswer>;
};

const configFile = "config.yaml";
const checkpointSchema = "checkpoint@1";
/** Of a response, at a time. */
const tokensPage = 4096;

/** Looks at the folder. UserError `not_a_run`, `bad_config`, `newer_schema`. */
export async function openRunAnswers(dir: string): Promise<RunAnswers> {
  const config = await configOf(dir);
  const stage = typeof config["stage"] === "string" ? config["stage"] : "unknown stage";
  const newest = (await checkpointSteps(dir)).at(-1);
  if (newest !== undefined) await manifestOf(dir, newest);
  const metrics = followMetrics(dir);
  const rejects = followRejects(dir);
  const rollouts = openRollouts(dir);
  const tokenizer = onceItWorks(() => tokenizerOf(dir, config));
  return {
    run: async () => {
      const { series: _, ...now } = await metrics();
      return {
        dir: resolve(dir),
        stage,
        ...now,
        newestRollouts: (await rollouts.steps()).at(-1),
        rejected: await rejects.count(),
      };
    },
    figures: async () => figuresOf((await metrics()).series),
    groups: async (query) => {
      const filter = {
        steps: range(query, "step"),
        reward: range(query, "reward"),
        variance: range(query, "variance"),
        length: range(query, "length"),
        verdict: query.get("verdict") ?? undefined,
        prompt: query.get("prompt") ?? undefined,
      };
      const { next, ...found } = await rollouts.search(filter, placeOf(query.get("after")));
      return { ...found, next: next && `${next.step}:${next.index}` };
    },
    group: async (query) => {
      const step = whole(query, "step");
      const { summary, lines } = await rollouts.group(step, query.get("prompt") ?? "");
      let promptText = "";
      const samples: GroupAnswer["samples"][number][] = [];
      for (const line of lines) {
        const row = await rollouts.row(step, line);
        const { sample, completion: text, finish, rewards, reward, advantage, masked, verdict } = row;
        promptText = row.prompt;
        samples.push({
          ...{ sample, text, finish, rewards, reward, advantage, masked },
          tokens: row.completion_ids.length,
          verdict: verdict ?? undefined,
        });
      }
      return { summary, promptText, samples };
    },
    tokens: async (query) => {
      const step = whole(query, "step");
      const { lines } = await rollouts.group(step, query.get("prompt") ?? "");
      const at = lines[whole(query, "sample")];
      if (at === undefined) throw new UserError("no_such_sample", "The group has no such response.");
      const { completion_ids: ids, logprobs } = await rollouts.row(step, at);
      const from = whole(query, "from");
      const texts = await tokenizer().then(
        (loaded) => textsOf(loaded, ids.slice(0, from + tokensPage)),
        (error: Error) => error,
      );
      const note = texts instanceof Error ? `Tokens stand by their ids: ${texts.message}` : undefined;
      const own = ids.slice(from, from + tokensPage);
      return {
        tokens: own.map((id, i) => {
          const text = texts instanceof Error ? `${id} ` : (texts[from + i] as string);
          return [text, id, logprobs[from + i] ?? null];
        }),
        ...{ total: ids.length, from, note },
      };
    },
    rejects: (query) =>
      rejects.rows(query.get("file") ?? undefined, query.get("reason") ?? undefined, whole(query, "from")),
    details: async () => {
      const checkpoints: DetailsAnswer["checkpoints"][number][] = [];
      for (const step of await checkpointSteps(dir)) {
        const manifest = await manifestOf(dir, step);
        if (manifest !== undefined) checkpoints.push({ name: `checkpoint-${step}`, ...manifest });
      }
      return { config: await readFile(join(dir, configFile), "utf8"), checkpoints };
    },
  };
}

async function configOf(dir: string): Promise<Readonly<Record<string, unknown>>> {
  const path = join(dir, configFile);
  const text = await readRegularFile(path).catch(async (error: NodeJS.ErrnoException) => {
    throw error.code === "ENOENT" || error.code === "ENOTDIR" ? await notARun(dir) : error;
  });
  try {
    const config: unknown = parse(text.toString("utf8"));
    if (typeof config === "object" && config !== null) return config as Record<string, unknown>;
  } catch {
    // Said below.
  }
  throw new UserError(
    "bad_config",
    `${path} is no YAML mapping, expected the config that a run writes. Put back the file, or name another run.`,
  );
}

async function notARun(dir: string): Promise<UserError> {
  const say = (what: string): UserError =>
    new UserError("not_a_run", `${dir} ${what} Give the output_dir of posttrain sft, dpo, reward or grpo.`);
  const stats = await stat(dir).catch(() => undefined);
  if (stats === undefined) return say("is not there.");
  if (!stats.isDirectory()) return say("is a file, expected the folder of a run.");
  if (/^checkpoint-\d+$/.test(basename(resolve(dir)))) {
    return say(`is a checkpoint: its run is ${resolve(dir, "..")}.`);
  }
  const names = (await readdir(dir)).sort();
  if (names.length === 0) return say("is empty: no run has begun there yet.");
  const runs: string[] = [];
  for (const name of names) {
    const inside = await stat(join(dir, name, configFile)).catch(() => undefined);
    if (inside?.isFile()) runs.push(join(dir, name));
  }
  const listed = runs.length > 0 ? ` It holds runs: ${runs.slice(0, 5).join(", ")}.` : "";
  return say(`is no run: it has no ${configFile}.${listed}`);
}

type Checkpoint = Omit<DetailsAnswer["checkpoints"][number], "name">;

/** undefined: there is none by now. */
async function manifestOf(dir: string, step: number): Promise<Checkpoint | undefined> {
  const path = join(dir, `checkpoint-${step}`, "manifest.json");
  const text = await readRegularFile(path).catch(() => undefined);
  if (text === undefined) return undefined;
  let value: Record<string, unknown>;
  try {
    value = JSON.parse(text.toString("utf8")) as Record<string, unknown>;
  } catch {
    return { created: "", bytes: 0, accepted: [`${path} is no JSON`] };
  }
  if (value["schema"] !== checkpointSchema) throw newerSchema(path, value["schema"], checkpointSchema);
  const files = (value["files"] ?? {}) as Readonly<Record<string, { readonly bytes?: number }>>;
  const accepted = (value["accepted"] ?? []) as readonly {
    readonly step: number;
    readonly key: string;
    readonly before?: unknown;
    readonly now?: unknown;
  }[];
  return {
    created: String(value["created"]),
    bytes: Object.values(files).reduce((sum, { bytes = 0 }) => sum + bytes, 0),
    accepted: accepted.map(
      ({ step: since, key, before, now }) =>
        `${key}: ${JSON.stringify(before)} became ${JSON.stringify(now)} after step ${since}`,
    ),
  };
}

/** That of the newest checkpoint, else of the model that the run began with. */
async function tokenizerOf(dir: string, config: Readonly<Record<string, unknown>>): Promise<Tokenizer> {
  const newest = (await checkpointSteps(dir)).at(-1);
  const { model_name_or_path: model } = config;
  if (newest === undefined && typeof model !== "string") {
    throw new UserError(
      "no_tokenizer",
      `${dir} has no checkpoint, and its ${configFile} no model_name_or_path.`,
    );
  }
  return loadTokenizer(newest === undefined ? String(model) : join(dir, `checkpoint-${newest}`));
}

/** What failed is tried again. */
function onceItWorks<T>(load: () => Promise<T>): () => Promise<T> {
  let loaded: Promise<T> | undefined;
  return () => {
    loaded ??= load().catch((error) => {
      loaded = undefined;
      throw error;
    });
    return loaded;
  };
}

/** Each token's part of the text: whole characters, at the token that ends them. */
function textsOf(tokenizer: Tokenizer, ids: readonly number[]): readonly string[] {
  const stream = tokenizer.createDecodeStream();
  return ids.map((id, i) => stream.push(id) + (i === ids.length - 1 ? stream.flush() : ""));
}

function whole(query: URLSearchParams, name: string): number {
  const text = query.get(name) ?? "0";
  if (!/^\d{1,9}$/.test(text)) throw badQuery(name, text, "a whole number");
  return Number(text);
}

function range(query: URLSearchParams, name: string): Range {
  const bound = (of: string): number | undefined => {
    const text = query.get(of) ?? "";
    if (text === "") return undefined;
    const value = Number(text);
    if (!Number.isFinite(value)) throw badQuery(of, text, "a number");
    return value;
  };
  return [bound(`least_${name}`), bound(`most_${name}`)];
}

function placeOf(text: string | null): Place | undefined {
  if (text === null) return undefined;
  const [, step, index] = /^(\d{1,9}):(\d{1,9})$/.exec(text) ?? [];
  if (step === undefined) throw badQuery("after", text, "a place in the list");
  return { step: Number(step), index: Number(index) };
}

function badQuery(name: string, text: string, expected: string): UserError {
  return new UserError("bad_query", `${name} is ${JSON.stringify(text)}, expected ${expected}.`);
}
