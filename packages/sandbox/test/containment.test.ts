// What holds the sandboxes themselves: each limit proven, cancellation, a killed parent, an event loop that is never
// blocked, and the locked WebAssembly process where the system offers it less than bubblewrap.
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { closeSandboxes, gradeCode, gradingPool, nativeSelfTest } from "@posttrain/sandbox";
import { afterAll, describe, expect, test } from "vitest";
import { skipUnless } from "../../../tests/support/skip.js";
import { gradeWasm } from "../src/grade-wasm.js";
import { withDefaults } from "../src/limits.js";
import { ownFile } from "../src/packages.js";
import { usageOf } from "../src/process-tree.js";
import { type Containment, canUnshare } from "../src/wasm.js";
import { needsSandbox } from "./support.js";

afterAll(closeSandboxes);

const spin = { mode: "asserts", language: "python", tests: "f()" } as const;

test("a limit that does not hold closes the native route, with a command; WebAssembly is what is left", async () => {
  const { layout, proofs, remedy } = await nativeSelfTest();
  expect(proofs.every(({ holds, optional }) => holds || optional)).toBe(layout !== undefined);
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
    const pool = gradingPool(2);
    let ticks = 0;
    const timer = setInterval(() => ticks++, 10);
    const verdicts = Promise.all(
      [1, 2, 3].map(() => pool.grade(spin, "def f():\n    while True: pass", { route })),
    );
    const begun = performance.now();
    await new Promise((resolve) => setTimeout(resolve, 1500));
    pool.cancel();
    expect((await verdicts).map(({ outcome, evidence }) => [outcome, evidence])).toEqual(
      Array(3).fill(["infrastructure-error", "Not graded: cancelled."]),
    );
    clearInterval(timer);
    expect(performance.now() - begun).toBeLessThan(60_000);
    // 150 and more on a quiet machine.
    expect(ticks).toBeGreaterThan(10);
  });

  test("a parent that is killed leaves nothing behind", options, async () => {
    const flags = [
      "--conditions=@posttrain/source",
      "--import",
      ownFile("../kernels/test/child/register.mjs"),
    ];
    const child = spawn(process.execPath, [...flags, ownFile("test/child-parent.ts"), route], {
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

const unshare = await canUnshare();

describe.each<[Containment, object]>([
  ["unshare", skipUnless(unshare, "no user namespaces", "sysctl -w kernel.unprivileged_userns_clone=1")],
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
    for (const source of hostile) expect((await grade(source)).outcome, source).not.toBe("pass");
    expect(visits).toBe(0);
    server.close();
    rmSync(folder, { recursive: true });
  });
});
