// posttrain env: one block to paste into a bug report. No host name, no user, no path of theirs, no value of a variable but our own.
import { existsSync, readFileSync, statSync } from "node:fs";
import { readFile, statfs } from "node:fs/promises";
import { arch, availableParallelism, cpus, freemem, release, totalmem, type } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { byteText } from "@posttrain/data";
import { addonFile, backends, cpuPaths, machineMemory, openDevice } from "@posttrain/kernels";
import { fileDigest } from "@posttrain/run";
import { nativeSelfTest } from "@posttrain/sandbox";
import { z } from "zod";
import { defineCommand } from "../command.js";
import { describeFailure } from "../failure.js";
import { plural } from "../format.js";
import { createOutput } from "../output.js";
import { visible } from "../visible.js";

export const command = defineCommand({
  options: z.strictObject({}),
  examples: [["npx posttrain env", "what a bug report needs to know of the machine"]],
  notes:
    "--json prints the same as one object. It says nothing of who you are: no host or user name, no paths, no other variables of the environment.",
  run: async (_options, context) => {
    const facts = await gather();
    const width = Math.max(...Object.keys(facts).map(({ length }) => length));
    const block = Object.entries(facts).map(([name, value]) => `${name.padEnd(width)}  ${value}`);
    const output = createOutput(context, process.stdout);
    // The block is the result: as it stands in a report, so not broken at the width of a terminal.
    if (!context.json) process.stdout.write(`${visible(block.join("\n"))}\n`);
    output.result({ json: facts });
  },
});

async function gather(): Promise<Readonly<Record<string, string>>> {
  const { paths, addon } = await kernels();
  const features = await cpuFeatures();
  return {
    posttrain: versionOf("posttrain") ?? "unknown",
    node: `${process.version}, V8 ${process.versions.v8}, module ABI ${process.versions.modules}, Node-API ${process.versions["napi"] ?? "unknown"}`,
    system: `${await systemName()}; ${type()} ${release()} ${arch()}, ${libc()}`,
    cpu: `${cpus()[0]?.model.trim() ?? "unknown"}, ${plural(cpus().length, "thread")} seen, ${availableParallelism()} for this process`,
    "cpu features": features.join(" ") || "none that kernels use",
    devices: devices(),
    "cpu paths": paths.join(", ") || "none: the addon does not load",
    "bf16 products": bf16Products(paths, features),
    "kernel threads": process.env["POSTTRAIN_THREADS"] ?? `${availableParallelism()} (one per core)`,
    memory: `${byteText(machineMemory())} for this process, ${byteText(totalmem())} in the machine, ${byteText(freemem())} free`,
    disk: await disk(),
    gpu: await gpu(),
    addon,
    packages: packages(),
    ...(await sandbox()),
    variables: variables(),
  };
}

async function systemName(): Promise<string> {
  const text = await readFile("/etc/os-release", "utf8").catch(() => "");
  return /^PRETTY_NAME="?([^"\n]*)/m.exec(text)?.[1] ?? process.platform;
}

function libc(): string {
  // A report names the host; only this one field of it is read.
  const report: NodeJS.ProcessReport & { excludeNetwork?: boolean } = process.report;
  report.excludeNetwork = true; // else it looks up names, which may take long
  const { header } = report.getReport() as unknown as { header: { glibcVersionRuntime?: string } };
  if (header.glibcVersionRuntime !== undefined) return `glibc ${header.glibcVersionRuntime}`;
  return process.platform === "linux" ? "another libc than glibc" : "the system's libc";
}

/** Of the CPU's flags those that kernels are written for, here or elsewhere. */
async function cpuFeatures(): Promise<readonly string[]> {
  const text = await readFile("/proc/cpuinfo", "utf8").catch(() => undefined);
  if (text === undefined) return ["unknown: no /proc/cpuinfo"];
  const flags = (/^(?:flags|Features)\s*:(.*)$/m.exec(text)?.[1] ?? "").trim().split(/\s+/);
  return flags.filter((flag) =>
    /^(avx|avx2|fma|f16c|avx512\w*|avx_vnni|amx_\w+|asimd\w*|sve\w*|bf16|i8mm)$/.test(flag),
  );
}

/** How bf16 is multiplied: by the unit made for it, or in its order of sums by fp32 multiply-adds. */
function bf16Products(paths: readonly string[], features: readonly string[]): string {
  if (paths.length === 0) return "none: the addon does not load";
  if (paths.includes("amx")) return "by AMX";
  const why = features.includes("amx_bf16")
    ? "this CPU has AMX, but the system does not grant it to this process"
    : "no AMX here";
  return `by fp32 multiply-adds in the order of AMX, the same bits at about fp32's rate: ${why}`;
}

async function kernels(): Promise<{ readonly paths: readonly string[]; readonly addon: string }> {
  const { variant, path: file } = addonFile();
  const build = existsSync(file)
    ? `build ${variant} of ${statSync(file).mtime.toISOString()}, ${byteText(statSync(file).size)}, SHA-256 ${(await fileDigest(file)).slice(0, 16)}`
    : `build ${variant} is not there`;
  try {
    const paths = cpuPaths();
    // Opening checks that addon, op table and ABI belong together.
    void openDevice({ threads: 1 }).close();
    return { paths, addon: `${build}; loads, ABI ${abiVersion() ?? "unknown"}` };
  } catch (error) {
    return {
      paths: [],
      addon: `${build}; ${withoutHome(describeFailure(error).text)}`,
    };
  }
}

/** The backends of --device: of a library whether a device of it opens; why not, says `gpu`. */
function devices(): string {
  return backends()
    .map((backend) => {
      const found = look(backend);
      return found.why === undefined ? `${backend} (${found.path})` : `${backend} not: ${found.why}`;
    })
    .join("; ");
}

/** Opens a device and closes it again. */
function look(
  backend: string,
):
  | { readonly path: string; readonly description: string; readonly why?: undefined }
  | { readonly why: string } {
  try {
    const device = openDevice({ backend, threads: 1 });
    const { path, description } = device;
    void device.close();
    return { path, description };
  } catch (error) {
    return { why: withoutHome(describeFailure(error).text) };
  }
}

/** Of the seam between executor and backends, as its header says; the addon refuses a backend of another one. */
function abiVersion(): string | undefined {
  const header = join(packageFolder("@posttrain/kernels") ?? "", "native", "abi", "kernels.h");
  if (!existsSync(header)) return undefined;
  return /#define PT_ABI_VERSION (\d+)/.exec(readFileSync(header, "utf8"))?.[1];
}

async function disk(): Promise<string> {
  const { bavail, blocks, bsize } = await statfs(process.cwd());
  return `${byteText(bavail * bsize)} of ${byteText(blocks * bsize)} free where this runs`;
}

async function gpu(): Promise<string> {
  const text = await readFile("/proc/driver/nvidia/version", "utf8").catch(() => undefined);
  const version = text === undefined ? undefined : /\d+\.\d+(?:\.\d+)?/.exec(text)?.[0];
  const driver =
    text === undefined
      ? "no NVIDIA kernel module is loaded"
      : `NVIDIA kernel module ${version ?? "of unknown version"}`;
  const first = look("cuda");
  if (first.why !== undefined) return `not used: ${first.why.replace(/\.$/, "")}; ${driver}`;
  // "GPU 0 of 2"
  const count = Number(/GPU \d+ of (\d+)/.exec(first.description)?.[1] ?? 1);
  const others = Array.from({ length: count - 1 }, (_, i) => {
    const other = look(`cuda:${i + 1}`);
    return other.why ?? other.description;
  });
  return `used with --device cuda or auto: ${[first.description, ...others].join("; ")}; ${driver}`;
}

/** What was proven just now of the sandbox that programs run in natively, by what, and whose programs it refuses. */
async function sandbox(): Promise<Readonly<Record<string, string>>> {
  const { layout, proofs, refused, remedy } = await nativeSelfTest();
  const proven = new Map<string, string[]>();
  for (const { limit, holds, by } of proofs) if (holds) proven.set(by, [...(proven.get(by) ?? []), limit]);
  const missing = proofs.filter(({ holds }) => !holds);
  const user = layout === "drop" ? "each program as a user of its own" : "in a user namespace";
  return {
    sandbox: layout === undefined ? "programs run in WebAssembly only" : `bubblewrap, ${user}`,
    "limits proven": [...proven].map(([by, limits]) => `${limits.join(", ")}: ${by}`).join("; ") || "none",
    "limits not proven":
      missing.length === 0
        ? "none: programs run natively in every language whose tool is here"
        : `${missing.map(({ limit, evidence }) => `${limit} (${withoutPaths(evidence)})`).join("; ")}; so programs in ${refused.join(", ")} do not run natively. ${remedy}`,
  };
}

const libraries = ["tokenizers", "@huggingface/jinja", "zod", "yargs", "yaml"];

function packages(): string {
  return libraries.map((name) => `${name} ${versionOf(name) ?? "not found"}`).join(", ");
}

function versionOf(name: string): string | undefined {
  const dir = name === "posttrain" ? fileURLToPath(new URL("../..", import.meta.url)) : packageFolder(name);
  if (dir === undefined) return undefined;
  return (JSON.parse(readFileSync(join(dir, "package.json"), "utf8")) as { version?: string }).version;
}

/** The folder of an installed package: above the file that importing it would load. */
function packageFolder(name: string): string | undefined {
  let dir: string;
  try {
    dir = dirname(fileURLToPath(import.meta.resolve(name)));
  } catch {
    return undefined; // not where this package could import it: reported as not found
  }
  for (; dir !== dirname(dir); dir = dirname(dir)) {
    const file = join(dir, "package.json");
    if (!existsSync(file)) continue;
    if ((JSON.parse(readFileSync(file, "utf8")) as { name?: string }).name === name) return dir;
  }
  return undefined;
}

/** Those that change how kernels run. */
function variables(): string {
  const names = [
    "POSTTRAIN_CPU",
    "POSTTRAIN_THREADS",
    "POSTTRAIN_MEMORY",
    "POSTTRAIN_NATIVE_VARIANT",
    "POSTTRAIN_LIBCUDA",
    "CUDA_VISIBLE_DEVICES",
  ];
  const set = names.filter((name) => process.env[name] !== undefined);
  return set.map((name) => `${name}=${process.env[name]}`).join(" ") || "none of the kernels' is set";
}

function withoutPaths(text: string): string {
  return text.replaceAll(/\s*\n\s*/g, " ").replaceAll(/(?:\/[\w.-]+){2,}/g, "a path");
}

/** Paths in an error begin where the packages do: what lies above names people. */
function withoutHome(text: string): string {
  return text.replaceAll(/\/\S*?\/(?=packages\/|node_modules\/)/g, "");
}
