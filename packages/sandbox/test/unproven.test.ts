// Limits that do not hold, by taking away what holds them: the self-test sees it, and refuses what needs them and nothing else.
import { beforeEach, describe, expect, test, vi } from "vitest";
import type { ControlGroup } from "../src/cgroup.js";
import type { Language } from "../src/task.js";
import { needsSandbox } from "./support.js";

const taken = vi.hoisted(() => ({ filter: false, groups: false, node: false, argument: "" }));

const noGroup: ControlGroup = {
  command: (command, args) => ({ command, args: [...args] }),
  cpuSeconds: () => undefined,
  outOfMemory: () => undefined,
  kill: () => {},
  remove: async () => {},
};

vi.mock("../src/cgroup.js", async (original) => {
  const real = await original<typeof import("../src/cgroup.js")>();
  return {
    controlled: () => (taken.groups ? { cpu: false, memory: false } : real.controlled()),
    heldByGroup: (resource: "cpu" | "memory") => (taken.groups ? undefined : real.heldByGroup(resource)),
    openControlGroup: (bytes: number) => (taken.groups ? noGroup : real.openControlGroup(bytes)),
  };
});
vi.mock("../src/syscall-filter.js", async (original) => {
  const real = await original<typeof import("../src/syscall-filter.js")>();
  return { syscallFilter: () => (taken.filter ? undefined : real.syscallFilter()) };
});
vi.mock("../src/toolchains.js", async (original) => {
  const real = await original<typeof import("../src/toolchains.js")>();
  const nowhere = async () => ({ argv: ["/nowhere/node"], folders: [] });
  return { ...real, javascriptTool: () => (taken.node ? nowhere() : real.javascriptTool()) };
});
vi.mock("../src/bubblewrap.js", async (original) => {
  const real = await original<typeof import("../src/bubblewrap.js")>();
  return {
    ...real,
    bubblewrapLaunch: (...given: Parameters<typeof real.bubblewrapLaunch>) => {
      const launch = real.bubblewrapLaunch(...given);
      const isKept = (word: string): boolean => taken.argument === "" || !word.startsWith(taken.argument);
      return { ...launch, args: launch.args.filter(isKept) };
    },
  };
});

beforeEach(() => {
  vi.resetModules(); // The self-test runs once for each copy of its module.
  Object.assign(taken, { filter: false, groups: false, node: false, argument: "" });
});

/** A right program in each language, with its task. */
const right = {
  python: "print(7)",
  javascript: "console.log(7)",
  bash: "echo 7",
  cpp: '#include <cstdio>\nint main() { puts("7"); }',
} satisfies Partial<Record<Language, string>>;

async function outcomes(route: "native" | undefined, languages = Object.keys(right)) {
  const { closeSandboxes, gradeCode } = await import("../src/index.js");
  const options = route === undefined ? {} : { route };
  const rows = (languages as (keyof typeof right)[]).map(async (language) => {
    const task = { mode: "stdio", language, cases: [{ stdin: "", stdout: "7" }] } as const;
    return [language, await gradeCode(task, right[language], options)] as const;
  });
  const query = { mode: "query", language: "sql", setup: "", rows: [[7]] } as const;
  const verdicts = [
    ...(await Promise.all(rows)),
    ["sql", await gradeCode(query, "SELECT 7", options)] as const,
  ];
  await closeSandboxes();
  return Object.fromEntries(verdicts);
}

const selfTest = async () => (await import("../src/self-test.js")).nativeSelfTest();

const failed = async () => (await selfTest()).proofs.filter(({ holds }) => !holds).map(({ limit }) => limit);

describe("without", needsSandbox, () => {
  test("a filter of system calls and control groups: programs are refused, queries and WebAssembly are not", async () => {
    Object.assign(taken, { filter: true, groups: true });
    expect(await failed()).toEqual(["memory that no process has", "time of all processes"]);
    const { layout, refused, remedy } = await selfTest();
    expect(layout).toBeDefined();
    expect(refused).not.toContain("sql");
    expect(refused).toHaveLength(8);
    expect(remedy).toContain("Delegate=yes");
    const natively = await outcomes("native");
    for (const language of ["python", "javascript", "bash", "cpp"]) {
      expect(natively[language]).toMatchObject({
        outcome: "infrastructure-error",
        details: {
          fault: "machine",
          code: "no_sandbox",
          unproven: ["memory that no process has", "time of all processes"],
        },
      });
      expect(natively[language]!.evidence).toMatch(/memory that no process has \(GOT memfds.*Delegate=yes/);
    }
    expect(natively["sql"]).toMatchObject({ outcome: "pass" });
    const free = await outcomes(undefined, ["javascript", "bash"]);
    const passes = Object.keys(free).filter((language) => free[language]!.outcome === "pass");
    expect(passes).toEqual(["javascript", "sql"]);
    const { closeSandboxes, gradeCode, runProgram } = await import("../src/index.js");
    await expect(runProgram({ language: "python", source: "" })).rejects.toThrow(/time of all processes/);
    // What WebAssembly lacks too says both.
    const task = { mode: "stdio", language: "javascript", cases: [{ stdin: "", stdout: "" }] } as const;
    const verdict = await gradeCode(task, "new Intl.NumberFormat()");
    await closeSandboxes();
    expect(verdict).toMatchObject({ outcome: "infrastructure-error" });
    expect(verdict.evidence).toMatch(/WebAssembly.*not run natively here/s);
  });

  test("a filter alone: what belongs to no process counts in a control group", async () => {
    const { heldByGroup } = await import("../src/cgroup.js");
    Object.assign(taken, { filter: true });
    const isCounted = heldByGroup("memory") !== undefined && heldByGroup("cpu") !== undefined;
    expect(await failed()).toEqual(isCounted ? [] : expect.arrayContaining(["time of all processes"]));
  });

  test("control groups alone: the rest holds them, in other ways", async () => {
    Object.assign(taken, { groups: true });
    expect(await failed()).toEqual([]);
    const by = new Map((await selfTest()).proofs.map((proof) => [proof.limit, proof.by]));
    expect(by.get("memory that the kernel holds")).toContain("sockets");
    expect(by.get("time of all processes")).toContain("SIGCHLD");
    expect(by.get("memory that no process has")).toBe("system calls refused");
  });

  test("Node where programs can run it: its languages and those that reserve memory as it does are refused", async () => {
    Object.assign(taken, { node: true });
    expect(await failed()).toEqual(["memory of run-times that reserve more than they use"]);
    const natively = await outcomes("native");
    const passes = Object.keys(natively).filter((language) => natively[language]!.outcome === "pass");
    expect(passes).toEqual(["python", "bash", "cpp", "sql"]);
    expect(natively["javascript"]!.evidence).toContain("reserve more than they use");
  });

  test("a limit of processes: whatever may start one is refused", async () => {
    Object.assign(taken, { argument: "--nproc=" });
    expect(await failed()).toEqual(["processes"]);
    expect((await selfTest()).refused).toHaveLength(8);
  });

  test("a network of its own: nothing runs natively", async () => {
    Object.assign(taken, { argument: "--unshare-net" });
    expect(await failed()).toEqual(["no network"]);
    const { layout, refused } = await selfTest();
    expect(layout).toBeUndefined();
    expect(refused).toHaveLength(9);
  });
});
