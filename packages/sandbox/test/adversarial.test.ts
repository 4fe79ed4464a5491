// The corpus of adversarial.ts, by every route: none passes, none leaves a process or a file, none reaches the host.
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { closeSandboxes, gradeCode, nativeSelfTest, type Route } from "@posttrain/sandbox";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { skipUnless } from "../../../tests/support/skip.js";
import { type Hostile, hostile, taskFor } from "./adversarial.js";
import { gradeInTurn } from "./support.js";

const { layout, remedy } = await nativeSelfTest();
const long = process.env["POSTTRAIN_TEST_LONG"] === "1";
const limits = {
  cpuSeconds: 1,
  wallSeconds: 4,
  memoryMb: 512,
  processes: 16,
  outputBytes: 1 << 20,
  fileMb: 16,
};

let server: Server;
let visits = 0;
const folder = mkdtempSync(join(tmpdir(), "posttrain-canary-"));
const canary = join(folder, "canary");
writeFileSync(canary, "2\n", { mode: 0o644 });
let port = 0;

beforeAll(async () => {
  server = createServer((socket) => {
    visits++;
    socket.destroy();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  port = (server.address() as { port: number }).port;
});

afterAll(async () => {
  server.close();
  rmSync(folder, { recursive: true });
  await closeSandboxes();
});

async function gradeAll(programs: readonly Hostile[], route: Route) {
  return Promise.all(
    programs.map(async (program) => {
      const source = program.source.replaceAll("{port}", String(port)).replaceAll("{canary}", canary);
      const verdict = await gradeInTurn(taskFor(program), source, { route, limits });
      return { name: `${program.language} ${program.mode}: ${program.name}`, ...verdict };
    }),
  );
}

function survivors(): string[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => {
      try {
        return readFileSync(`/proc/${pid}/cmdline`, "latin1").includes("86437");
      } catch {
        return false;
      }
    });
}

function expectNothingHappened(): void {
  expect(survivors()).toEqual([]);
  expect(visits).toBe(0);
  expect(readFileSync(canary, "utf8")).toBe("2\n");
  const left = [...readdirSync(tmpdir()), ...readdirSync("/usr")].filter((name) =>
    name.startsWith("posttrain-hostile"),
  );
  expect(left).toEqual([]);
}

test("the corpus has at least 80 programs, each of its own", () => {
  expect(hostile.length).toBeGreaterThanOrEqual(80);
  expect(new Set(hostile.map(({ source, mode }) => mode + source)).size).toBe(hostile.length);
});

describe("native", skipUnless(layout !== undefined, "no sandbox could be proven", remedy ?? ""), () => {
  test("no hostile program passes, stays or gets out", async () => {
    const verdicts = await gradeAll(hostile, "native");
    expect(verdicts.filter(({ outcome }) => outcome === "pass")).toEqual([]);
    // What a candidate did is its own: nothing it does is the grader's failure.
    expect(verdicts.filter(({ outcome }) => outcome === "infrastructure-error")).toEqual([]);
    expectNothingHappened();
  });
});

describe("WebAssembly", () => {
  test("no hostile program passes, stays or gets out", async () => {
    const own = hostile.filter(({ language }) => ["python", "javascript", "typescript"].includes(language));
    // All of them in the long run; here those that know of this route, and every sixth other.
    const programs = long
      ? own
      : own.filter(({ source }, i) => i % 6 === 0 || /\bjs\b|pyodide|constructor/.test(source));
    const verdicts = await gradeAll(programs, "wasm");
    expect(verdicts.filter(({ outcome }) => outcome === "pass")).toEqual([]);
    expectNothingHappened();
  });

  test("a program after a hostile one finds a fresh interpreter", async () => {
    const task = { mode: "asserts", language: "python", tests: "assert f() == []\n" } as const;
    const leave =
      "import builtins, sys, json\nbuiltins.left = 1\nsys.left = 1\njson.left = 1\nopen('/tmp/left', 'w').write('x')\ndef f(): return 1";
    const look =
      "import builtins, sys, json, os\ndef f(): return [m.__name__ for m in (builtins, sys, json) if hasattr(m, 'left')] + [n for n in os.listdir('/tmp') if n == 'left']";
    // Nothing here waits, but on a busy machine.
    const options = { route: "wasm", limits: { ...limits, wallSeconds: 60 } } as const;
    for (let i = 0; i < 3; i++) {
      expect((await gradeCode(task, leave, options)).outcome).toBe("fail");
      expect(await gradeCode(task, look, options)).toMatchObject({ outcome: "pass" });
    }
  });
});
