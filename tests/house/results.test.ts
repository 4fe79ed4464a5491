// The counts that `npm test` closes with, tried on a suite that holds every way in which a test can end.
import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";

test("passed, failed and skipped tests are counted, skips with reason and command", async () => {
  const folder = await mkdtemp(join(tmpdir(), "posttrain-results-"));
  const path = join(folder, "results.json");
  const args = [
    "node_modules/vitest/vitest.mjs",
    "run",
    "--config",
    "tests/house/fixtures/suite/vitest.config.ts",
  ];
  const env = { PATH: process.env["PATH"], POSTTRAIN_TEST_RESULTS: path };
  const output = await new Promise<string>((resolve) => {
    execFile(process.execPath, args, { env }, (_error, stdout, stderr) => resolve(stdout + stderr));
  });
  const suite = "tests/house/fixtures/suite/all-ends.case.ts";
  expect(JSON.parse(await readFile(path, "utf8")), output).toEqual({
    passed: 3, // passes; says something declared; runs
    failed: 3, // fails; says something; the file that does not load
    skipped: [
      { name: `${suite} > device > computes`, reason: "no device", command: "attach one" },
      { name: `${suite} > stops midway`, reason: "ran out of luck", command: "" },
    ],
  });
  expect(output).toContain("undeclared console output:\nconsole.warn: undeclared 1");
  await rm(folder, { recursive: true });
});
