// Python starts without looking for installed packages (python/lazy_site.py). A program must not be able to tell, but for
// sys.path before it asks for one.
import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import type { Verdict } from "@posttrain/data";
import { closeSandboxes, gradeCode } from "@posttrain/sandbox";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { needsSandbox } from "./support.js";

const made = mkdtempSync(join(tmpdir(), "posttrain-site-"));
const folder = join(made, "venv"); // Which everybody may enter, other than what mkdtemp makes.
const path = process.env["PATH"];

beforeAll(() => {
  execFileSync("python3", ["-m", "venv", "--without-pip", folder]);
  const [version] = readdirSync(join(folder, "lib"));
  const packages = join(folder, "lib", version!, "site-packages");
  writeFileSync(join(packages, "third_party.py"), "answer = 42\n");
  writeFileSync(join(packages, "marked.pth"), "import sys; sys.marked = True\n");
  writeFileSync(join(packages, "elsewhere.pth"), `${folder}/include\n`);
  writeFileSync(join(folder, "include", "elsewhere.py"), "answer = 43\n");
  process.env["PATH"] = `${join(folder, "bin")}${delimiter}${path}`;
});

afterAll(async () => {
  process.env["PATH"] = path;
  await closeSandboxes();
  rmSync(made, { recursive: true });
});

const grade = (source: string, expression: string): Promise<Verdict> =>
  gradeCode({ mode: "asserts", language: "python", tests: `assert f() == ${expression}` }, source, {
    route: "native",
  });

/** What the user's own interpreter says to it. */
const usual = (source: string): string =>
  execFileSync(join(folder, "bin", "python3"), ["-I", "-c", `${source}\nprint(repr(f()))`], {
    encoding: "utf8",
  }).trim();

const sealedPass = { outcome: "pass", details: { sealed: true } };

describe("installed packages", needsSandbox, () => {
  test.each([
    ["a module", "from third_party import answer\ndef f(): return answer", "42"],
    ["a folder named by a .pth file", "import elsewhere\ndef f(): return elsewhere.answer", "43"],
    [
      "looked for, not imported",
      "import importlib.util as u\ndef f(): return [u.find_spec(n) is None for n in ('third_party', 'no_such', 'json.no_such')]",
      "[False, True, True]",
    ],
  ])("%s", async (_, source, expression) => {
    expect(usual(source)).toBe(expression);
    expect(await grade(source, expression)).toMatchObject(sealedPass);
  });

  test("the tests may import them too", async () => {
    const verdict = await gradeCode(
      { mode: "asserts", language: "python", tests: "import third_party\nassert f() == third_party.answer" },
      "def f(): return 42",
      { route: "native" },
    );
    expect(verdict).toMatchObject(sealedPass);
  });

  test("sys.path and sys.prefix are the usual ones after the first", async () => {
    const source = "import third_party, sys\ndef f(): return [sys.path, sys.prefix, sys.marked]";
    expect(await grade(source, usual(source))).toMatchObject(sealedPass);
  });

  test("nothing is looked for before", async () => {
    expect(
      await grade("import sys, json, re\ndef f(): return hasattr(sys, 'marked')", "False"),
    ).toMatchObject(sealedPass);
  });

  test("one that is not there is missed by its name", async () => {
    const verdict = await grade("import no_such_module\ndef f(): return 1", "1");
    expect(verdict.outcome).toBe("crash");
    expect(verdict.evidence).toContain("No module named 'no_such_module'");
  });
});

describe("built-ins that site sets", needsSandbox, () => {
  test("are there and look as usual", async () => {
    const source =
      "def f(): return [repr(x) for x in (exit, quit, help, copyright, credits)] + [type(license).__name__]";
    expect(await grade(source, usual(source))).toMatchObject(sealedPass);
  });

  test.each(["exit", "quit"])("%s ends a program", async (name) => {
    const source = `def f():\n    try:\n        ${name}(3)\n    except SystemExit as end:\n        return end.code`;
    expect(await grade(source, "3")).toMatchObject(sealedPass);
    expect((await grade(`def f(): return 1\n${name}()`, "1")).outcome).not.toBe("pass");
    // A test of the candidate's that leaves is no pass, beside it either.
    const beside = { mode: "asserts", language: "python", tests: `assert A() == A()\n${name}(0)` } as const;
    const verdict = await gradeCode(beside, "class A:\n    def __eq__(s, o): return True", {
      route: "native",
    });
    expect(verdict.outcome).toBe("infrastructure-error");
    expect(verdict.evidence).toContain("exit");
  });
});
