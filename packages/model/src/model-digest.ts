// Which model a folder or an ONNX file holds, as one number: config.json and the files of weights, byte for byte.
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { fileDigest } from "@posttrain/run";
import { openModelFolder } from "./model-folder.js";

/** SHA-256 over the names and SHA-256s of config.json and the files of weights of a model folder, or of an ONNX file. UserError when it is none. */
export async function modelDigest(path: string): Promise<string> {
  const files = path.endsWith(".onnx")
    ? [join(dirname(path), "config.json"), path, `${path}_data`].filter(
        (file) => file === path || existsSync(file),
      )
    : [join(path, "config.json"), ...(await weightsOf(path))];
  const hash = createHash("sha256");
  for (const file of files) hash.update(`${basename(file)} ${await fileDigest(file)}\n`);
  return hash.digest("hex");
}

async function weightsOf(dir: string): Promise<readonly string[]> {
  const { tensors } = await openModelFolder(dir, "either");
  return [...new Set([...tensors.values()].map(({ file }) => file))].sort();
}
