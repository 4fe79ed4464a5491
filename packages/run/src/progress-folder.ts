// The folder beside a result file that keeps what has been done for it until it is whole: made where it is not there, one writer at a time.
import { mkdir } from "node:fs/promises";
import { UserError } from "@posttrain/data";
import { asCannotWrite } from "./durable.js";
import { lockRun, type RunLock } from "./lock.js";

/** `folder` belongs to the result `output`. UserError `cannot_write`, and `output_locked` that ends with `advice`. */
export async function lockProgressFolder(
  folder: string,
  output: string,
  advice = "Wait for it, stop it, or give another output.",
): Promise<RunLock> {
  await mkdir(folder).catch((cause: NodeJS.ErrnoException) => {
    if (cause.code !== "EEXIST") throw asCannotWrite(output, cause);
  });
  return lockRun(
    folder,
    (holder) => new UserError("output_locked", `output ${output} is being written ${holder}. ${advice}`),
  );
}
