/** Where things lie that child processes need: our own scripts beside src/ and dist/, and packages of npm. */
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

// src and dist are equally deep.
const packageRoot = fileURLToPath(new URL("..", import.meta.url));

export function ownFile(...parts: readonly string[]): string {
  return join(packageRoot, ...parts);
}

/** A package's folder, as Node would find it from here; import.meta.resolve is not there under test runners. */
export function packageFolder(name: string): string {
  for (let folder = packageRoot; ; folder = dirname(folder)) {
    const candidate = join(folder, "node_modules", name);
    if (existsSync(candidate)) return candidate;
    if (folder === dirname(folder)) throw new Error(`package ${name} is not installed beside ${packageRoot}`);
  }
}
