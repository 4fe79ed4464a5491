// A folder of its own for each test.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { onTestFinished } from "vitest";

export async function newFolder(): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), "posttrain-run-"));
  onTestFinished(() => rm(dir, { recursive: true, force: true }));
  return dir;
}
