// The two projects of vitest.config.ts: each file of tests runs once, and those that share a process keep nothing in it.
import { execFile } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { relative } from "node:path";
import { promisify } from "node:util";
import { beforeAll, expect, test } from "vitest";

interface Listed {
  readonly file: string;
  readonly projectName: string;
}
let listed: readonly Listed[];

beforeAll(async () => {
  const args = ["node_modules/vitest/vitest.mjs", "list", "--filesOnly", "--json"];
  const { stdout } = await promisify(execFile)(process.execPath, args);
  listed = (JSON.parse(stdout) as readonly Listed[]).map(({ file, projectName }) => ({
    file: relative(".", file),
    projectName,
  }));
});

test("every file of tests is in one of them", () => {
  const packages = readdirSync("packages").map((name) => `packages/${name}/test`);
  const found = ["tests", ...packages].flatMap((folder) =>
    readdirSync(folder, { recursive: true })
      .filter((name) => String(name).endsWith(".test.ts"))
      .map((name) => `${folder}/${name}`),
  );
  expect(listed.map(({ file }) => file).sort()).toEqual(found.sort());
});

// What the next file would find: another module in a module's place, another environment, folder or listener.
const kept =
  /\bvi\.(mock|doMock|stub\w+|resetModules|useFakeTimers)\(|process\.(chdir|on|once|umask)\(|process\.env\S* =[^=]/;

test("files that share a process keep nothing in it", () => {
  const keeping = (project: string): readonly string[] =>
    listed
      .filter(({ file, projectName }) => projectName === project && kept.test(readFileSync(file, "utf8")))
      .map(({ file }) => file);
  expect(keeping("sharing")).toEqual([]);
  // So that the pattern finds something: a file that replaces modules, one that sets the PATH.
  const packages = "packages/sandbox/test";
  expect(keeping("alone")).toEqual(
    expect.arrayContaining([`${packages}/unproven.test.ts`, `${packages}/site.test.ts`]),
  );
});
