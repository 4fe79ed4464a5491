/**
 * The files that a name of data stands for: a file, several (commas between them), a folder, one split of it (FOLDER:train), a glob, or a dataset of
 * LLaMA-Factory's dataset_info.json (FILE:NAME, FOLDER:NAME). A mix of several is mixture.ts's.
 */
import { stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { UserError } from "../user-error.js";
import { contentOf } from "./contents.js";
import { readDatasetInfo } from "./dataset-info.js";
import { type RowAdapter, rowAdapter } from "./row-adapter.js";

/** Files whose rows are one dataset, in order. */
export interface RowSource {
  readonly name: string;
  readonly files: readonly string[];
  /** Renames columns and tags. */
  readonly adapter?: RowAdapter | undefined;
  /** Rows beyond this many are left alone (`num_samples`). */
  readonly most?: number | undefined;
}

const infoName = "dataset_info.json";
/** What lies beside data in folders, and is none. */
const notData: ReadonlySet<string> = new Set([
  ...[
    infoName,
    "dataset_infos.json",
    "dataset_dict.json",
    "state.json",
    "package.json",
    "package-lock.json",
    "tsconfig.json",
  ],
]);

/** Throws UserError: `missing_file`, `unreadable_file`, `bad_data` where the name is of several things or of none. */
export async function openSource(name: string): Promise<RowSource> {
  const kind = await kindOf(name);
  if (kind === "other") return { name, files: [name] };
  if (kind === "folder") return folderSource(name);
  const [, before = "", after = ""] = /^(.+):([^:/]+)$/.exec(name) ?? [];
  if (before !== "") {
    const isInfo = basename(before) === infoName;
    const info = isInfo ? before : join(before, infoName);
    if ((isInfo || (await kindOf(before)) === "folder") && (await kindOf(info)) === "other") {
      const found = await datasetSource(info, after, isInfo);
      if (found !== undefined) return found;
    }
    if ((await kindOf(before)) === "folder") return folderSource(before, after);
  }
  if (/[*?[\]{}]/.test(name)) {
    const files = await globbed(name);
    if (files.length > 0) return { name, files };
    throw new UserError(
      "missing_file",
      `${name} names no file: no path is like it. Check the pattern (it is taken from the current folder, and needs quotes in a shell).`,
    );
  }
  if (name.includes(",")) {
    const sources = await Promise.all(name.split(",").map((one) => openSource(one.trim())));
    const adapted = sources.find(({ adapter, most }) => adapter !== undefined || most !== undefined);
    if (adapted !== undefined)
      throw badData(
        `${name}: ${adapted.name} renames its columns, and cannot stand in a list. Name it alone, or mix (posttrain data mix).`,
      );
    return { name, files: sources.flatMap(({ files }) => files) };
  }
  return { name, files: [name] };
}

const badData = (text: string): UserError => new UserError("bad_data", text);

async function kindOf(path: string): Promise<"folder" | "other" | undefined> {
  const stats = await stat(path).catch(() => undefined);
  if (stats === undefined) return undefined;
  return stats.isDirectory() ? "folder" : "other";
}

/** In the order of their names: shards have their numbers with zeros in front. */
async function globbed(pattern: string, cwd = "."): Promise<readonly string[]> {
  const { glob } = await import("tinyglobby");
  const found = await glob(pattern, { cwd, expandDirectories: false });
  const byName = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);
  return found.map((file) => (cwd === "." ? file : join(cwd, file))).sort(byName);
}

const splitNames = {
  train: "train",
  training: "train",
  validation: "validation",
  valid: "validation",
  val: "validation",
  dev: "validation",
  test: "test",
  testing: "test",
  eval: "test",
  evaluation: "test",
} as const;
type SplitName = keyof typeof splitNames;

/** By its own name, or that of its folder: train-00000-of-00002.parquet, data/train/part.jsonl; a split of any other name by its shards. */
function splitOf(file: string): string | undefined {
  const words = [basename(file), basename(dirname(file))].flatMap((part) =>
    part.toLowerCase().split(/[-_. /]/),
  );
  const known = words.find((word): word is SplitName => Object.hasOwn(splitNames, word));
  return known === undefined ? /^(.+)-\d{5}-of-\d{5}\./.exec(basename(file))?.[1] : splitNames[known];
}

async function folderSource(folder: string, split?: string): Promise<RowSource> {
  const all = (await globbed("**/*", folder)).filter(
    (file) => contentOf(file) !== undefined && !notData.has(basename(file)),
  );
  const name = split === undefined ? folder : `${folder}:${split}`;
  if (all.length === 0) {
    const found = (await globbed("**/*", folder)).slice(0, 3).map((file) => basename(file));
    throw new UserError(
      "missing_file",
      `${folder} is a folder without a file of rows: expected .jsonl, .json, .csv, .tsv or .parquet (also .gz, .zst)${found.length > 0 ? `, found ${found.join(", ")}` : ""}.`,
    );
  }
  const bySplit = grouped(all);
  if (split === undefined) {
    if (bySplit.size > 1) {
      throw badData(
        `${folder} has several splits: ${[...bySplit.keys()].join(", ")}. Name the one that is meant, such as ${folder}:${bySplit.has("train") ? "train" : [...bySplit.keys()][0]}.`,
      );
    }
    return { name, files: refuseMissingShards(all) };
  }
  const wanted = Object.hasOwn(splitNames, split) ? splitNames[split as SplitName] : split;
  const files = bySplit.get(wanted);
  if (files !== undefined) return { name, files: refuseMissingShards(files) };
  throw new UserError(
    "missing_file",
    `${folder} has no split ${split}: its files are of ${[...bySplit.keys()].join(", ")}.`,
  );
}

function grouped(files: readonly string[]): Map<string, string[]> {
  const groups = new Map<string, string[]>();
  for (const file of files) {
    const split = splitOf(file) ?? "train";
    groups.set(split, [...(groups.get(split) ?? []), file]);
  }
  return groups;
}

/** UserError where a number of train-00000-of-00002 is not there. */
function refuseMissingShards(files: readonly string[]): readonly string[] {
  const there = new Set(files);
  for (const file of files) {
    const [, before, total, after] = /^(.*-)\d{5}(?=-of-(\d{5})(.*)$)/.exec(file) ?? [];
    if (before === undefined) continue;
    for (let shard = 0; shard < Number(total); shard++) {
      const other = `${before}${String(shard).padStart(5, "0")}-of-${total}${after}`;
      if (!there.has(other))
        throw new UserError(
          "missing_file",
          `${other} is not there, one of ${Number(total)} files that belong together. Copy it too.`,
        );
    }
  }
  return files;
}

/** A dataset of dataset_info.json; undefined where there is none of that name and it may be a split. */
async function datasetSource(info: string, dataset: string, mustBe: boolean): Promise<RowSource | undefined> {
  const entry = await readDatasetInfo(info, dataset, mustBe);
  if (entry === undefined) return undefined;
  const name = `${info}:${dataset}`;
  const path = join(dirname(info), entry.file_name, entry.subset ?? "");
  const source = await openSource(
    (await kindOf(path)) === "folder" && entry.split !== undefined ? `${path}:${entry.split}` : path,
  );
  return { name, files: source.files, adapter: rowAdapter(entry), most: entry.num_samples };
}
