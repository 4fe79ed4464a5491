// What a person names, as a tree of what it comes from.
import { stat } from "node:fs/promises";
import { join } from "node:path";
import { UserError } from "@posttrain/data";
import { newestCheckpoint } from "@posttrain/run";
import { type RowsOnDisk, rowsOf } from "./rows-on-disk.js";
import { type Node, traceModel, traceRow } from "./tree.js";

/** `id`: a folder of a model or a run, FILE:LINE, or a row's id or how it begins. UserError `no_such_row`, `not_a_checkpoint`, `bad_option`. */
export async function trace(
  id: string,
  rows: RowsOnDisk,
  search: readonly string[],
): Promise<readonly Node[]> {
  const [, file, line] = /^(.+):(\d+)$/s.exec(id) ?? [];
  if (file !== undefined && (await stat(file).catch(() => undefined))) {
    const found = (await rowsOf(file)).find((place) => place.line === Number(line));
    if (found !== undefined) return [await traceRow(found, rows)];
    throw new UserError("no_such_row", `${file} has no row on line ${line}.`);
  }
  const there = await stat(id).catch(() => undefined);
  if (there?.isDirectory()) {
    if (await stat(join(id, "config.json")).catch(() => undefined)) return [await traceModel(id, rows)];
    const { checkpoint } = await newestCheckpoint(id);
    if (checkpoint !== undefined) return [await traceModel(checkpoint.dir, rows)];
    throw new UserError(
      "not_a_checkpoint",
      `${id} is neither a model's folder nor a run with a sound checkpoint.`,
    );
  }
  if (there !== undefined)
    throw new UserError(
      "bad_option",
      `posttrain trace: ID is ${id}, a file: name one of its rows, as ${id}:1.`,
    );
  if (!/^[0-9a-f]{8,64}(#\d+)?$/.test(id))
    throw new UserError(
      "bad_option",
      `posttrain trace: ID is ${JSON.stringify(id)}: there is no such folder or file; expected a checkpoint's or a run's folder, FILE:LINE, or at least 8 hexadecimal digits of a row's id.`,
    );
  const places = rows.find(id);
  if (places.length > 0) return Promise.all(places.map((place) => traceRow(place, rows)));
  throw new UserError(
    "no_such_row",
    `No row with the id ${id} in the ${rows.files.length} files of rows that --search ${search.join(",")} leads to. It names other files and folders.`,
  );
}
