// Where a quickstart run lies: a folder of its own each time, so that nothing is overwritten and a second run never fails.
import { mkdir, readdir } from "node:fs/promises";
import { join } from "node:path";
import { UserError } from "@posttrain/data";

/** Makes PARENT/quickstart-N with the first free N. UserError `bad_output_dir`. */
export async function nextRunFolder(parent: string): Promise<string> {
  const make = (dir: string, options: { recursive: boolean }): Promise<unknown> =>
    mkdir(dir, options).catch((error: unknown) => {
      const taken = error instanceof Error && "code" in error && error.code === "EEXIST";
      if (taken && !options.recursive) return "taken";
      throw cannotUse(dir, error);
    });
  await make(parent, { recursive: true });
  for (let n = 1; ; n++) {
    const dir = join(parent, `quickstart-${n}`);
    if ((await make(dir, { recursive: false })) !== "taken") return dir;
  }
}

/** Makes `dir`, or takes it when it is empty. UserError `bad_output_dir`, `output_dir_used`. */
export async function newFolder(dir: string): Promise<string> {
  const entries = await mkdir(dir, { recursive: true })
    .then(() => readdir(dir))
    .catch((error: unknown) => {
      throw cannotUse(dir, error);
    });
  if (entries.length === 0) return dir;
  throw new UserError(
    "output_dir_used",
    `output_dir ${dir} already holds ${entries.length} entries. Give a new folder, or leave it out: then a new one is made under runs/.`,
  );
}

function cannotUse(dir: string, cause: unknown): UserError {
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new UserError(
    "bad_output_dir",
    `The folder ${dir} cannot be used: ${reason}. Give another with --output_dir.`,
    {
      cause,
    },
  );
}
