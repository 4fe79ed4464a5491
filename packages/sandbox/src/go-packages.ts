/**
 * Go's standard library, compiled. Go ships none since 1.20 and would compile what a program imports each time, or write
 * to a cache that programs share; so the packages that imports name are compiled once, by `go list -export`, into
 * a cache of ours, and the compiler in the sandbox reads them there.
 */
import { execFile } from "node:child_process";
import { mkdir } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);

interface GoPackages {
  /** Lines that name each package's compiled file, for `go tool compile -importcfg`. */
  readonly importcfg: string;
  readonly folder: string;
}

const exported = new Map<string, string>();
let standard: Promise<ReadonlySet<string>> | undefined;
let queue: Promise<unknown> = Promise.resolve();

export async function goPackages(imports: readonly string[]): Promise<GoPackages> {
  const folder = join(process.env["XDG_CACHE_HOME"] ?? join(homedir(), ".cache"), "posttrain", "go-build");
  await mkdir(folder, { recursive: true });
  // go's own checks look at nothing but its settings: no module, no network, no other toolchain.
  const env = {
    ...process.env,
    GOCACHE: folder,
    GO111MODULE: "off",
    GOTOOLCHAIN: "local",
    GOPROXY: "off",
    CGO_ENABLED: "0",
  };
  const options = { env, cwd: folder, maxBuffer: 64 << 20 };
  standard ??= run("go", ["list", "std"], options).then(({ stdout }) => new Set(stdout.trim().split("\n")));
  const known = await standard;
  // runtime is what every program links. An import that is no package of the library is left to the compiler to refuse.
  const wanted = ["runtime", ...imports.filter((name) => known.has(name) && !name.startsWith("runtime/cgo"))];
  const turn = queue.then(async () => {
    const missing = wanted.filter((name) => !exported.has(name));
    if (missing.length === 0) return;
    const format = "{{if .Export}}{{.ImportPath}}={{.Export}}{{end}}";
    const { stdout } = await run("go", ["list", "-export", "-deps", "-f", format, ...missing], options);
    for (const line of stdout.trim().split("\n")) {
      const at = line.indexOf("=");
      if (at > 0) exported.set(line.slice(0, at), line.slice(at + 1));
    }
  });
  queue = turn.catch(() => {});
  await turn;
  const importcfg = [...exported].map(([name, file]) => `packagefile ${name}=${file}\n`).join("");
  return { importcfg, folder };
}
