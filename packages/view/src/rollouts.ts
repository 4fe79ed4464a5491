// rollouts/step-<n>.jsonl of a run: groups of responses in numbers, found by what a person asks for, and single responses. Files are read when
// they are asked for, a bounded part at a time; what a file has in numbers is kept, up to a bound.
import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { openRegularFile, UserError } from "@posttrain/data";
import type { GroupSummary } from "./api.js";
import { type LineAt, readLineAt, readLines } from "./lines.js";
import { type RolloutRow, rolloutRow } from "./rollout-row.js";

export interface Group {
  readonly summary: GroupSummary;
  /** Its responses, in their file. */
  readonly lines: readonly LineAt[];
}

export type Range = readonly [least: number | undefined, most: number | undefined];

/** What groups are searched for; a group without the number has none of a range. */
export interface GroupFilter {
  readonly steps: Range;
  readonly reward: Range;
  readonly variance: Range;
  readonly length: Range;
  /** At least one response has it. */
  readonly verdict: string | undefined;
  readonly prompt: string | undefined;
}

/** Where a search goes on: at group `index` of a step, from the newest step to the oldest. */
export interface Place {
  readonly step: number;
  readonly index: number;
}

export interface Found {
  readonly groups: readonly GroupSummary[];
  readonly next: Place | undefined;
  readonly first: number | undefined;
  readonly last: number | undefined;
  /** The last step that was looked into. */
  readonly reached: number | undefined;
}

export interface Rollouts {
  /** Steps that have a file, ascending. */
  steps(): Promise<readonly number[]>;
  search(filter: GroupFilter, from: Place | undefined): Promise<Found>;
  /** UserError `no_such_group`. */
  group(step: number, prompt: string): Promise<Group>;
  row(step: number, line: LineAt): Promise<RolloutRow>;
}

const page = 50;
/** Groups that are kept in numbers. */
const keptGroups = 100_000;
const fileName = /^step-(\d+)\.jsonl$/;

interface Kept {
  readonly stamp: string;
  readonly groups: readonly Group[];
}

/** `searchBytes`: read for one search, but for the rest of the file that goes beyond it. */
export function openRollouts(dir: string, searchBytes = 64 * 1024 * 1024): Rollouts {
  const folder = join(dir, "rollouts");
  const kept = new Map<number, Kept>();
  let size = 0;
  const files = async (): Promise<ReadonlyMap<number, string>> => {
    const names = await readdir(folder).catch((error: NodeJS.ErrnoException) => {
      if (error.code === "ENOENT") return [];
      throw error;
    });
    const steps = names.flatMap((name): [number, string][] => {
      const step = fileName.exec(name)?.[1];
      return step === undefined ? [] : [[Number(step), name]];
    });
    return new Map(steps.sort(([a], [b]) => a - b));
  };
  const pathOf = async (step: number): Promise<string> => {
    const name = (await files()).get(step);
    if (name === undefined) throw noGroup(`${folder} has no rollouts of step ${step}.`);
    return join(folder, name);
  };
  /** Groups of a file, and how many bytes were read for them. */
  const groupsOf = async (
    step: number,
    path: string,
  ): Promise<{ readonly groups: readonly Group[]; readonly bytes: number }> => {
    const stats = await stat(path);
    const stamp = `${stats.ino} ${stats.size} ${stats.mtimeMs}`;
    const known = kept.get(step);
    kept.delete(step);
    if (known !== undefined) size -= known.groups.length;
    const groups = known?.stamp === stamp ? known.groups : await readGroups(path, step);
    kept.set(step, { stamp, groups });
    size += groups.length;
    for (const [oldest, { groups: its }] of kept) {
      if (size <= keptGroups || kept.size === 1) break;
      kept.delete(oldest);
      size -= its.length;
    }
    return { groups, bytes: known?.stamp === stamp ? 0 : stats.size };
  };
  // One search at a time: what a few pages ask for together takes no more memory.
  let last: Promise<unknown> = Promise.resolve();
  const inTurn = <T>(work: () => Promise<T>): Promise<T> => {
    const result = last.then(work);
    last = result.catch(() => undefined);
    return result;
  };
  const search = async (filter: GroupFilter, from: Place | undefined): Promise<Found> => {
    const all = await files();
    const steps = [...all.keys()];
    const wanted = steps
      .filter((step) => within(step, filter.steps) && step <= (from?.step ?? step))
      .reverse();
    const ends = { first: steps[0], last: steps.at(-1) };
    const groups: GroupSummary[] = [];
    let bytes = 0;
    let reached: number | undefined;
    for (const step of wanted) {
      if (bytes >= searchBytes) return { groups, next: { step, index: 0 }, ...ends, reached };
      const own = await groupsOf(step, join(folder, all.get(step) as string));
      bytes += own.bytes;
      reached = step;
      for (let index = step === from?.step ? from.index : 0; index < own.groups.length; index++) {
        const { summary } = own.groups[index] as Group;
        if (!fits(summary, filter)) continue;
        if (groups.length === page) return { groups, next: { step, index }, ...ends, reached };
        groups.push(summary);
      }
    }
    return { groups, next: undefined, ...ends, reached };
  };
  return {
    steps: async () => [...(await files()).keys()],
    search: (filter, from) => inTurn(() => search(filter, from)),
    group: (step, prompt) =>
      inTurn(async () => {
        const path = await pathOf(step);
        const { groups } = await groupsOf(step, path);
        const group = groups.find(({ summary }) => summary.prompt === prompt);
        if (group === undefined) throw noGroup(`${path} has no responses to prompt ${prompt}.`);
        return group;
      }),
    row: async (step, line) => {
      const path = await pathOf(step);
      return rolloutRow(await readLineAt(path, line), `${path}, byte ${line.start}`);
    },
  };
}

/** What a group's numbers need of a response. */
interface Counted extends Pick<RolloutRow, "prompt_id" | "line" | "reward" | "verdict"> {
  readonly at: LineAt;
  readonly excerpt: string;
  readonly tokens: number;
}

async function readGroups(path: string, step: number): Promise<readonly Group[]> {
  const handle = await openRegularFile(path);
  try {
    const groups: Group[] = [];
    let own: Counted[] = [];
    const finish = (): void => {
      if (own.length > 0) groups.push(groupOf(step, own));
      own = [];
    };
    let number = 0;
    await readLines(handle, path, 0, (text, at) => {
      const { prompt_id, line, reward, verdict, prompt, completion_ids } = rolloutRow(
        text,
        `${path}, line ${++number}`,
      );
      if (own[0] !== undefined && own[0].prompt_id !== prompt_id) finish();
      const excerpt = [...prompt.slice(-2 * excerptCharacters)].slice(-excerptCharacters).join("");
      own.push({ prompt_id, line, reward, verdict, at, excerpt, tokens: completion_ids.length });
    });
    finish();
    return groups;
  } finally {
    await handle.close();
  }
}

const excerptCharacters = 160;

function groupOf(step: number, own: readonly Counted[]): Group {
  const [{ prompt_id: prompt, line, excerpt }] = own as [Counted];
  const rewards = own.flatMap(({ reward }) => reward ?? []);
  const mean = rewards.reduce((sum, one) => sum + one, 0) / rewards.length;
  const squares = rewards.reduce((sum, one) => sum + (one - mean) ** 2, 0);
  const verdicts: Record<string, number> = {};
  for (const { verdict } of own) {
    const outcome = verdict?.outcome ?? "none";
    verdicts[outcome] = (verdicts[outcome] ?? 0) + 1;
  }
  return {
    lines: own.map(({ at }) => at),
    summary: {
      ...{ step, prompt, line, excerpt, verdicts },
      responses: own.length,
      reward: rewards.length > 0 ? mean : null,
      variance: rewards.length > 1 ? squares / (rewards.length - 1) : null,
      length: own.reduce((sum, { tokens }) => sum + tokens, 0) / own.length,
    },
  };
}

function fits(group: GroupSummary, filter: GroupFilter): boolean {
  return (
    within(group.reward, filter.reward) &&
    within(group.variance, filter.variance) &&
    within(group.length, filter.length) &&
    (filter.verdict === undefined || group.verdicts[filter.verdict] !== undefined) &&
    (filter.prompt === undefined || group.prompt === filter.prompt)
  );
}

function within(value: number | null, [least, most]: Range): boolean {
  if (least === undefined && most === undefined) return true;
  return value !== null && value >= (least ?? value) && value <= (most ?? value);
}

const noGroup = (text: string): UserError => new UserError("no_such_group", text);
