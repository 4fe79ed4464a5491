// Which model a folder holds, as one number: config.json and the files of weights, byte for byte.
import { createHash } from "node:crypto";
import { basename, join } from "node:path";
import { fileDigest } from "@posttrain/run";
import { openModelFolder } from "./model-folder.js";

/** SHA-256 over the names and SHA-256s of config.json and the files of weights of a model folder. UserError when it is none. */
export async function modelDigest(dir: string): Promise<string> {
  const { tensors } = await openModelFolder(dir, "either");
  const weights = new Set([...tensors.values()].map(({ file }) => file));
  const hash = createHash("sha256");
  for (const file of [join(dir, "config.json"), ...[...weights].sort()]) {
    hash.update(`${basename(file)} ${await fileDigest(file)}\n`);
  }
  return hash.digest("hex");
}
