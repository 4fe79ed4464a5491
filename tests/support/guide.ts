// A page of docs/ as a reader would follow it: every `sh` block, in order, in one folder.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { inShell } from "../../packages/cli/test/support/shell.js";

const root = fileURLToPath(new URL("../..", import.meta.url));

export function readGuide(name: string): { readonly page: string; readonly blocks: readonly string[] } {
  const page = readFileSync(join(root, "docs", name), "utf8");
  return { page, blocks: [...page.matchAll(/^```sh\n(.*?)^```$/gms)].map(([, block]) => block as string) };
}

/** What each block prints. A command that fails fails the test, with what it said. */
export async function followGuide(blocks: readonly string[], folder: string): Promise<readonly string[]> {
  const said: string[] = [];
  for (const block of blocks) {
    const { code, out, err } = await inShell(block, { cwd: folder });
    if (code !== 0) throw new Error(`exit code ${code} of\n${block}\n${out}${err}`);
    said.push(out + err);
  }
  return said;
}
