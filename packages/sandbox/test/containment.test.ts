// What holds the sandboxes themselves: each limit proven, cancellation, a killed parent, an event loop that is never
// blocked, and the locked WebAssembly process where the system offers it less than bubblewrap.
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { closeSandboxes, gradeCode, nativeSelfTest } from "@posttrain/sandbox";
import PQueue from "p-queue";
import { afterAll, describe, expect, test } from "vitest";
import { skipUnless } from "../../../tests/support/skip.js";
import { gradeWasm } from "../src/grade-wasm.js";
import { withDefaults } from "../src/limits.js";
import { ownFile } from "../src/packages.js";
import { usageOf } from "../src/process-tree.js";
import { type Containment, canUnshare, openWasm } from "../src/wasm.js";
import { gradeInTurn, needsSandbox } from "./support.js";

afterAll(closeSandboxes);

const needsNamespaces = skipUnless(
  await canUnshare(),
  "no user namespaces",
  "sysctl -w kernel.unprivileged_userns_clone=1",
);

const spin = { mode: "asserts", language: "python", tests: "f()" } as const;

test("a limit that does not hold closes the native route, with a command; WebAssembly is what is left", async () => {
  const { layout, proofs, remedy } = await nativeSelfTest();
  expect(proofs.every(({ holds }) => holds)).toBe(remedy === undefined);
  if (layout === undefined) {
    const verdict = await gradeCode(spin, "def f(): pass", { route: "native" });
    expect(verdict.outcome).toBe("infrastructure-error");
    expect(verdict.evidence).toContain(remedy!.slice(0, 20));
  } else {
    expect(new Set(proofs.map(({ limit }) => limit))).toEqual(
      new Set([
        "no host files",
        "read-only root",
        "another user",
        "processes",
        "file size",
        "all files together",
        "no network",
        "number of files",
        "memory",
        "memory of run-times that reserve more than they use",
        "memory of all processes",
        "memory that no process has",
        "memory that the kernel holds",
        "time",
        "time of all processes",
        "output",
        "the whole process group dies",
      ]),
    );
  }
  expect(await gradeCode(spin, "def f(): pass")).toMatchObject({ outcome: "pass" });
});

describe.each([["native", needsSandbox] as const, ["wasm", {}] as const])("%s", (route, options) => {
  test("a cancelled program ends at once, and the event loop was free all along", options, async () => {
    const controller = new AbortController();
    let ticks = 0;
    const timer = setInterval(() => ticks++, 10);
    const verdicts = Promise.all(
      [1, 2, 3].map(() =>
        gradeInTurn(spin, "def f():\n    while True: pass", { route, signal: controller.signal }),
      ),
    );
    await new Promise((resolve) => setTimeout(resolve, 1500));
    // 150 and more on a quiet machine; none while something waits for the programs.
    await expect.poll(() => ticks, { timeout: 60_000 }).toBeGreaterThan(10);
    const begun = performance.now();
    controller.abort();
    expect((await verdicts).map(({ outcome, evidence }) => [outcome, evidence])).toEqual(
      Array(3).fill(["infrastructure-error", "Not graded: cancelled."]),
    );
    clearInterval(timer);
    expect(performance.now() - begun).toBeLessThan(60_000);
  });
});

const { layout } = await nativeSelfTest();

describe.each<[kind: "native" | Containment, options: object]>([
  ["native", needsSandbox],
  [layout ?? "userns", needsSandbox],
  ["unshare", needsNamespaces],
  ["process", {}],
])("in %s", (kind, options) => {
  test("a program that never ends dies with a parent that is killed", options, async () => {
    const flags = ["--import", ownFile("../kernels/test/child/register.mjs")];
    const child = spawn(process.execPath, [...flags, ownFile("test/child-parent.ts"), kind], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    const pids: number[] = JSON.parse(
      await new Promise((resolve) => child.stdout.once("data", (data) => resolve(String(data)))),
    );
    expect(pids.length).toBeGreaterThan(0);
    child.kill("SIGKILL");
    const patience = performance.now() + 60_000;
    while (pids.some((pid) => usageOf(pid) !== undefined) && performance.now() < patience) {
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    expect(pids.filter((pid) => usageOf(pid) !== undefined)).toEqual([]);
  });
});

test("a process that answered at length is put back, and serves the next program", async () => {
  const interpreter = await openWasm("python", "query", "process", withDefaults(), undefined);
  expect(await interpreter.receive()).toBe("ready");
  interpreter.send(JSON.stringify({ setup: "", query: `select '${"a".repeat(200)}'` }));
  expect(await interpreter.receive()).toContain("aaa");
  interpreter.stop("done");
  // One that is replaced is ended by a signal, or says why by its exit code.
  expect(await interpreter.exit).toMatchObject({ code: 0, stopped: "done" });
});

test("a process that serves many programs gathers no listeners", async () => {
  const warnings: string[] = [];
  const note = ({ message }: Error): unknown => warnings.push(message);
  process.on("warning", note);
  const task = { mode: "asserts", language: "javascript", tests: "assert.equal(f(), 1)" } as const;
  for (let i = 0; i < 12; i++) {
    expect(await gradeCode(task, "const f = () => 1", { route: "wasm" })).toMatchObject({ outcome: "pass" });
  }
  await new Promise((resolve) => setImmediate(resolve)); // A warning comes at the next turn.
  process.off("warning", note);
  expect(warnings).toEqual([]);
});

describe.each<[Containment, object]>([
  ["unshare", needsNamespaces],
  ["process", {}],
])("the locked process, inside %s only", (containment, options) => {
  test("lets nothing out and takes no more than its limits", options, async () => {
    let visits = 0;
    const server = createServer(() => visits++);
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const { port } = server.address() as { port: number };
    const folder = mkdtempSync(join(tmpdir(), "posttrain-canary-"));
    writeFileSync(join(folder, "canary"), "1");
    const limits = withDefaults({ cpuSeconds: 1, memoryMb: 256 });
    const grade = (source: string) =>
      gradeWasm(
        { mode: "asserts", language: "python", tests: "assert f() == 1" },
        source,
        containment,
        limits,
        {},
      );
    expect((await grade("def f(): return 1")).outcome).toBe("pass");
    const hostile = [
      "import js\ndef f(): return 1",
      "import pyodide_js\ndef f(): return 1",
      `def f(): return int(open('${folder}/canary').read())`,
      `import socket\ndef f():\n    socket.create_connection(('127.0.0.1', ${port}), 1).send(b'x')\n    return 1`,
      `from pyodide.http import open_url\ndef f():\n    open_url('http://127.0.0.1:${port}')\n    return 1`,
      "from pyodide.code import run_js\ndef f(): return run_js('1')",
      "def f():\n    while True: pass",
      "def f(): return len(bytearray(1 << 30))",
    ];
    const queue = new PQueue({ concurrency: 2 });
    const graded = await queue.addAll(
      hostile.map((source) => async () => [source, (await grade(source)).outcome] as const),
    );
    expect(graded.filter(([, outcome]) => outcome === "pass")).toEqual([]);
    expect(visits).toBe(0);
    server.close();
    rmSync(folder, { recursive: true });
  });
});
