/**
 * The limits that a sandbox is trusted for: what holds each of them here, whose programs need it, and what would help where it
 * cannot be proven. What needs an unproven limit is refused, and nothing else is. Interpreters in WebAssembly need none of them:
 * what they would limit is not there.
 */
import { UserError } from "@posttrain/data";
import type { Layout } from "./bubblewrap.js";
import { heldByGroup } from "./cgroup.js";
import { syscallFilter } from "./syscall-filter.js";
import { type Language, languages } from "./task.js";

export interface Proof {
  readonly limit: string;
  readonly holds: boolean;
  readonly evidence: string;
  /** What holds it here, if it holds. */
  readonly by: string;
  /** Programs in these languages do not run natively unless it holds. */
  readonly neededBy: readonly Language[];
  /** What would help where it does not hold. */
  readonly remedy: string;
}

interface Kind {
  readonly by: (layout: Layout) => string;
  readonly neededBy: readonly Language[];
  readonly remedy: string;
}

/** A query calls no system: it opens no file, starts nothing, and SQLite's authorizer refuses what could. */
const programs = languages.filter((language) => language !== "sql");
const runTimes: readonly Language[] = ["javascript", "typescript", "java", "go", "rust"];

const namespaces =
  "Namespaces must be allowed: sysctl -w kernel.unprivileged_userns_clone=1 (and kernel.apparmor_restrict_unprivileged_userns=0 on Ubuntu); in a container, docker run --security-opt seccomp=unconfined --cap-add SYS_ADMIN.";
const kernelLimits =
  "The kernel's limits for a process must hold (prlimit): Linux 4.7 or newer, not an emulation of it.";
const group =
  "A control group would hold it: run as root where /sys/fs/cgroup can be written, or by systemd-run --user --scope -p Delegate=yes.";

const everyLook = "sums over /proc, every 50 ms";
const mounts = (): string => "mounts of its own";
const filtered = (): string | undefined =>
  syscallFilter() === undefined ? undefined : "system calls refused";
const inGroup = (resource: "cpu" | "memory", else_: string) => (): string => heldByGroup(resource) ?? else_;

const of = (by: Kind["by"], neededBy: readonly Language[], remedy: string): Kind => ({
  by,
  neededBy,
  remedy,
});

const kinds = {
  "no host files": of(mounts, languages, namespaces),
  "read-only root": of(mounts, languages, namespaces),
  "another user": of(
    (layout) => (layout === "drop" ? "a user number that nobody else has" : "a user namespace"),
    languages,
    namespaces,
  ),
  "no network": of(() => "a network namespace", languages, namespaces),
  "the whole process group dies": of(() => "a namespace of processes", languages, namespaces),
  output: of(() => "its reader", languages, "This is a defect of posttrain: please report it."),
  time: of(() => "RLIMIT_CPU and a timer", languages, kernelLimits),
  memory: of(
    () => "RLIMIT_AS",
    languages.filter((language) => language === "rust" || !runTimes.includes(language)),
    kernelLimits,
  ),
  "memory of run-times that reserve more than they use": of(() => "RLIMIT_DATA", runTimes, kernelLimits),
  "memory of all processes": of(inGroup("memory", everyLook), programs, group),
  "memory that no process has": of(
    () => [filtered(), heldByGroup("memory")].filter(Boolean).join(", "),
    programs,
    group,
  ),
  "memory that the kernel holds": of(
    inGroup("memory", "sockets counted at their largest, every 50 ms"),
    programs,
    group,
  ),
  "time of all processes": of(
    inGroup("cpu", `${everyLook}, and SIGCHLD that is never ignored`),
    programs,
    group,
  ),
  processes: of(() => "RLIMIT_NPROC", programs, kernelLimits),
  "file size": of(() => "RLIMIT_FSIZE", programs, kernelLimits),
  "all files together": of(() => "the size of /tmp", programs, namespaces),
  "number of files": of(() => "a count of /tmp, every 50 ms", programs, namespaces),
} satisfies Readonly<Record<string, Kind>>;

export type Limit = keyof typeof kinds;

export function proofOf(
  limit: Limit,
  layout: Layout,
  found: { readonly holds: boolean; readonly evidence: string; readonly remedy?: string },
): Proof {
  const { by, neededBy, remedy } = kinds[limit];
  return { limit, by: by(layout), neededBy, remedy, ...found };
}

/** A tool without which nothing can be proven. */
export function missingTool(name: string): Proof {
  return {
    limit: name,
    holds: false,
    evidence: "not installed",
    by: "",
    neededBy: languages,
    remedy: "Run: apt-get install bubblewrap util-linux.",
  };
}

/** The unproven limits that keep programs in these languages from running. */
export function unproven(proofs: readonly Proof[], wanted: readonly Language[]): readonly Proof[] {
  return proofs.filter(({ holds, neededBy }) => !holds && neededBy.some((one) => wanted.includes(one)));
}

/** Languages whose programs do not run natively here. */
export function refusedLanguages(proofs: readonly Proof[]): readonly Language[] {
  return languages.filter((language) => unproven(proofs, [language]).length > 0);
}

export function remediesOf(proofs: readonly Proof[]): string {
  return [...new Set(proofs.map(({ remedy }) => remedy))].join(" ");
}

/** Why programs in these languages do not run natively, and what would help. */
export function refusal(missing: readonly Proof[], wanted: readonly Language[]): string {
  const said = missing.map(({ limit, evidence }) => `${limit} (${evidence})`);
  return `Programs in ${[...new Set(wanted)].join(" and ")} are not run natively here: the sandbox could not prove ${said.join("; ")}. ${remediesOf(missing)}`;
}

/** A program needs limits that this machine could not prove. */
export class UnprovenLimits extends UserError {
  readonly limits: readonly string[];

  constructor(missing: readonly Proof[], wanted: readonly Language[]) {
    const inWasm: readonly Language[] = ["python", "javascript", "typescript", "sql"];
    const tail = wanted.every((one) => inWasm.includes(one))
      ? " WebAssembly needs none of it, and nothing to install."
      : "";
    super("no_sandbox", `${refusal(missing, wanted)}${tail}`);
    this.limits = missing.map(({ limit }) => limit);
  }
}
