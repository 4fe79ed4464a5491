// What something comes from, as a tree: a checkpoint from its data and its model, by its manifest; a pair from rows and the models that answered; a rollout from a prompt and its run; an evaluation's
// sample from its question. What is not found on disk is said by name.
import { readFile, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { createRecordIds, dataDigest, isJsonObject } from "@posttrain/data";
import { modelDigest } from "@posttrain/model";
import { checkpointSteps, fileDigest, verifyCheckpoint } from "@posttrain/run";
import { count, plural } from "../format.js";
import { type Place, type RowsOnDisk, rowsOf } from "./rows-on-disk.js";

export interface Node {
  /** "checkpoint", "data", "row", ... */
  readonly kind: string;
  /** Where it is; undefined: not found. */
  readonly place: string | undefined;
  readonly text: string;
  readonly from: readonly Node[];
}

const short = (digest: string): string => `${digest.slice(0, 12)}...`;
const missing = (kind: string, text: string): Node => ({ kind, place: undefined, text, from: [] });

/** A folder of a model: what its manifest says, if a run made it. `sha256`: what config and weights are known to have. */
export async function traceModel(
  dir: string,
  rows: RowsOnDisk,
  sha256?: string,
  seen: Set<string> = new Set(),
): Promise<Node> {
  const kind = "model";
  if (!(await stat(join(dir, "config.json")).catch(() => undefined)))
    return missing(kind, `${dir}${sha256 === undefined ? "" : `, SHA-256 ${short(sha256)}`}: not found`);
  if (sha256 !== undefined) {
    const now = await modelDigest(dir);
    if (now !== sha256)
      return missing(kind, `${dir}, SHA-256 ${short(sha256)}: another model is there now, ${short(now)}`);
  }
  if (seen.has(dir)) return { kind, place: dir, text: "as above", from: [] };
  seen.add(dir);
  const manifest = await verifyCheckpoint(dir).then(
    (checkpoint) => checkpoint.manifest,
    () => undefined,
  );
  if (manifest === undefined)
    return {
      kind,
      place: dir,
      text: "no run's checkpoint: what it was made from is not written beside it",
      from: [],
    };
  const from: Node[] = [];
  for (const parent of manifest.parents) {
    from.push(
      parent.kind === "model"
        ? await traceModel(parent.path, rows, parent.sha256, seen)
        : await traceData(parent.path, parent.sha256, rows, seen),
    );
  }
  const stage = typeof manifest.identity["stage"] === "string" ? ` of ${manifest.identity["stage"]}` : "";
  return {
    kind: "checkpoint",
    place: dir,
    text: `step ${count(manifest.step)}${stage}, ${manifest.created}`,
    from,
  };
}

/** A file of rows, whose rows may have parents of their own. */
async function traceData(path: string, sha256: string, rows: RowsOnDisk, seen: Set<string>): Promise<Node> {
  const kind = "data";
  const now = await dataDigest(path).catch(() => undefined);
  if (now !== sha256) {
    const moved = await fileWith(sha256, rows.files);
    if (moved !== undefined)
      return { ...(await rowsNode(moved, rows, seen)), text: `the run read it as ${path}` };
    return missing(
      kind,
      `${path}, SHA-256 ${short(sha256)}: ${now === undefined ? "not found" : `has changed since, now ${short(now)}`}`,
    );
  }
  return rowsNode(path, rows, seen);
}

async function fileWith(sha256: string, files: readonly string[]): Promise<string | undefined> {
  for (const file of files) if ((await fileDigest(file).catch(() => undefined)) === sha256) return file;
  return undefined;
}

async function rowsNode(path: string, rows: RowsOnDisk, seen: Set<string>): Promise<Node> {
  const places = await rowsOf(path);
  const parents = [...new Set(places.flatMap((place) => place.parents))];
  const models = new Map<string, string>();
  for (const { row } of places)
    for (const { model, weights } of originsOf(row))
      if (model !== undefined) models.set(model, weights ?? "");
  const from: Node[] = [...parentFiles(parents, rows, path)];
  for (const [dir, digest] of models) from.push(await traceModel(dir, rows, digest || undefined, seen));
  return { kind: "data", place: path, text: plural(places.length, "row"), from };
}

/** Parents of many rows, by the files in which they stand. */
function parentFiles(parents: readonly string[], rows: RowsOnDisk, own: string): readonly Node[] {
  const files = new Map<string, number[]>();
  const lost: string[] = [];
  for (const id of parents) {
    const [first] = rows.find(id).filter(({ file }) => file !== own);
    if (first === undefined) lost.push(id);
    else files.set(first.file, [...(files.get(first.file) ?? []), first.line]);
  }
  const found = [...files].map(([file, lines]): Node => {
    const sorted = lines.sort((a, b) => a - b);
    const shown = sorted.slice(0, 8).join(", ");
    return {
      kind: "rows",
      place: file,
      text: `${plural(lines.length, "row")}: line ${shown}${sorted.length > 8 ? ", ..." : ""}`,
      from: [],
    };
  });
  if (lost.length === 0) return found;
  const names = lost.slice(0, 4).map(short).join(", ");
  return [
    ...found,
    missing("rows", `${plural(lost.length, "parent")} not found: ${names}${lost.length > 4 ? ", ..." : ""}`),
  ];
}

interface From {
  readonly model?: string;
  readonly weights?: string;
  readonly file?: string;
  readonly line?: number;
}

/** Where the responses of a row come from: of each side of a pair. */
function originsOf(row: Readonly<Record<string, unknown>>): readonly From[] {
  const { evidence } = row;
  if (!isJsonObject(evidence)) return [];
  return Object.values(evidence as Record<string, unknown>).flatMap((side): readonly From[] => {
    const origin = isJsonObject(side) ? (side as Record<string, unknown>)["origin"] : undefined;
    if (!isJsonObject(origin)) return [];
    const { model, weights, file, line } = origin as Record<string, unknown>;
    return [
      {
        ...(typeof model === "string" && typeof weights === "string" && { model, weights }),
        ...(typeof file === "string" && { file, line: Number(line) }),
      },
    ];
  });
}

/** A row of any kind. */
export async function traceRow(place: Place, rows: RowsOnDisk): Promise<Node> {
  const { file, line, row, id, parents } = place;
  const at = `${file}:${line}`;
  if (row["schema"] === "rollout@1") return traceRollout(place, rows);
  if (isJsonObject(row["doc"]) && "doc_hash" in row) {
    const question = createRecordIds()(row["doc"]);
    const model = await modelOfSamples(file, rows);
    return {
      ...{ kind: "sample", place: at, text: `question ${String(row["doc_id"])}: ${beginning(row)}` },
      from: [rowsNamed("question", question, rows, at), ...model],
    };
  }
  // A response that generate wrote bears the id of its prompt.
  if (typeof row["sample"] === "number" && typeof row["text"] === "string")
    return { kind: "response", place: at, text: beginning(row), from: [rowsNamed("prompt", id, rows, at)] };
  const from: Node[] = [];
  for (const parent of parents) {
    const [found] = rows.find(parent).filter((one) => `${one.file}:${one.line}` !== at);
    from.push(
      found === undefined ? missing("row", `${short(parent)}: not found`) : await traceRow(found, rows),
    );
  }
  const asked = new Set<string>();
  for (const { model, weights, file: source, line: sourceLine } of originsOf(row)) {
    if (model !== undefined && !asked.has(model)) from.push(await traceModel(model, rows, weights));
    if (model !== undefined) asked.add(model);
    if (source === undefined) continue;
    const text = `${source}:${sourceLine}`;
    const there = await stat(source).catch(() => undefined);
    from.push(
      there === undefined
        ? missing("response", `${text}: not found`)
        : { kind: "response", place: text, text: "", from: [] },
    );
  }
  const kind = "chosen" in row && "rejected" in row ? "pair" : "row";
  return { kind, place: at, text: `${short(id)} ${beginning(row)}`, from };
}

function rowsNamed(kind: string, id: string, rows: RowsOnDisk, not: string): Node {
  const [found] = rows
    .find(id)
    .filter(({ file, line, row }) => `${file}:${line}` !== not && typeof row["sample"] !== "number");
  return found === undefined
    ? missing(kind, `${short(id)}: not found`)
    : { kind, place: `${found.file}:${found.line}`, text: `${short(id)} ${beginning(found.row)}`, from: [] };
}

/** Its prompt, and the run whose weights sampled it. */
async function traceRollout({ file, line, row }: Place, rows: RowsOnDisk): Promise<Node> {
  const at = `${file}:${line}`;
  const run = dirname(dirname(file));
  const [newest] = (await checkpointSteps(run).catch(() => [])).reverse();
  const step = Number(row["step"]);
  const from = [rowsNamed("prompt", String(row["prompt_id"]), rows, at)];
  const name = `weights of ${run} after ${plural(step - 1, "step")}`;
  if (newest === undefined)
    from.push(missing("run", `${name}: no checkpoint of it is there to say what it began from`));
  else {
    const begun = await traceModel(join(run, `checkpoint-${newest}`), rows);
    from.push({ kind: "run", place: run, text: `${name}; it began from`, from: begun.from });
  }
  return {
    kind: "rollout",
    place: at,
    text: `step ${step}, sample ${String(row["sample"])}, reward ${String(row["reward"])}: ${beginning(row)}`,
    from,
  };
}

/** The model that an evaluation asked: of the results beside its samples. */
async function modelOfSamples(file: string, rows: RowsOnDisk): Promise<readonly Node[]> {
  const date = /samples_.*_(\d{4}-\d\d-\d\dT[\d.-]+)\.jsonl$/.exec(file)?.[1];
  if (date === undefined) return [];
  const path = join(dirname(file), `results_${date}.json`);
  const text = await readFile(path, "utf8").catch(() => undefined);
  if (text === undefined) return [missing("model", `${path}, which names it: not found`)];
  const results = JSON.parse(text) as { model_name?: string; config?: { model_sha256?: string } };
  return results.model_name === undefined
    ? []
    : [await traceModel(results.model_name, rows, results.config?.model_sha256)];
}

/** The first text that a row has, on a line. */
function beginning(row: Readonly<Record<string, unknown>>): string {
  for (const column of [
    "completion",
    "text",
    "question",
    "prompt",
    "problem",
    "messages",
    "resps",
    "chosen",
  ]) {
    const text = textIn(row[column]);
    if (text === undefined) continue;
    const line = text.replaceAll(/\s+/g, " ").trim();
    return line.length > 60 ? `${line.slice(0, 57)}...` : line;
  }
  return "";
}

function textIn(value: unknown): string | undefined {
  if (typeof value === "string") return value;
  if (Array.isArray(value)) return value.map(textIn).find((text) => text !== undefined);
  return isJsonObject(value) ? textIn((value as Record<string, unknown>)["content"]) : undefined;
}

/** A node a line, what it comes from below it. */
export function drawn({ kind, place, text, from }: Node): readonly string[] {
  const own = [kind.padEnd(10), place ?? "", text].filter((part) => part !== "").join("  ");
  return [
    own,
    ...from.flatMap((child, i) => {
      const last = i === from.length - 1;
      return drawn(child).map(
        (line, j) => `${j === 0 ? (last ? "└─ " : "├─ ") : last ? "   " : "│  "}${line}`,
      );
    }),
  ];
}

export function isWhole({ place, from }: Node): boolean {
  return place !== undefined && from.every(isWhole);
}
