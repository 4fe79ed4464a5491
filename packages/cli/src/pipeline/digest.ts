// What a file or folder holds, as a SHA-256: of a file its bytes, of a model's folder what commands read of it, of any other folder all its files.
import { createHash } from "node:crypto";
import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { fileDigest } from "@posttrain/run";

/** A checkpoint's own books, and what people write beside a model: nothing that is computed with. */
const besideTheModel = /^(manifest\.json|trainer_state\.json|posttrain-card\.json|.*\.md|\..*)$/;

/** Of a model's folder without its subfolders (trainer/), else of everything below. Undefined where nothing is there. */
export async function contentDigest(path: string): Promise<string | undefined> {
  const found = await stat(path).catch(() => undefined);
  if (found === undefined) return undefined;
  if (!found.isDirectory()) return fileDigest(path);
  const top = await readdir(path);
  const isModel = top.includes("config.json");
  const entries = await readdir(path, { recursive: !isModel, withFileTypes: true });
  const files = entries
    .filter((entry) => !entry.isDirectory() && !(isModel && besideTheModel.test(entry.name)))
    .map((entry) => join(entry.parentPath, entry.name))
    .sort();
  const hash = createHash("sha256");
  for (const file of files) hash.update(`${file.slice(path.length + 1)} ${await fileDigest(file)}\n`);
  return hash.digest("hex");
}
