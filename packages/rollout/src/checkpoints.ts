// Several checkpoints that are sampled from together.
import { UserError } from "@posttrain/data";
import { modelDigest, openModelFolder } from "@posttrain/model";

/** Digest -> folder, in their order. UserError for a folder of no language model, before any of them is asked, and for two checkpoints that are one: equal draws would give equal responses. */
export async function checkpointsByDigest(dirs: readonly string[]): Promise<ReadonlyMap<string, string>> {
  const models = new Map<string, string>();
  for (const dir of dirs) {
    await openModelFolder(dir);
    const digest = await modelDigest(dir);
    const other = models.get(digest);
    if (other !== undefined) {
      throw new UserError(
        "bad_option",
        `model_name_or_path has ${other} and ${dir}, which hold the same weights: their responses would be the same. Leave one out, or raise num_samples.`,
      );
    }
    models.set(digest, dir);
  }
  return models;
}
