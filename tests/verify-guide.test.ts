// docs/verify.md as a reader would follow it: every `sh` block, in order, in one folder; and the tables that it keeps of names.
import { execFile } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { verifierNames } from "@posttrain/verify";
import { expect, test } from "vitest";
import { testFolder } from "./support/tiny-run.js";

const root = fileURLToPath(new URL("..", import.meta.url));
const page = readFileSync(join(root, "docs/verify.md"), "utf8");
const blocks = [...page.matchAll(/^```sh\n(.*?)^```$/gms)].map(([, block]) => block as string);
const folder = testFolder();

test("the page's commands work, in order", async () => {
  mkdirSync(join(folder, "bin"));
  const shim = `#!/bin/sh\nshift\nexec "${process.execPath}" "${join(root, "packages/cli/bin/posttrain.mjs")}" "$@"\n`;
  writeFileSync(join(folder, "bin", "npx"), shim, { mode: 0o755 });
  const said: string[] = [];
  for (const block of blocks) {
    const { stdout, stderr } = await promisify(execFile)("bash", ["-euo", "pipefail", "-c", block], {
      cwd: folder,
      env: { ...process.env, PATH: `${join(folder, "bin")}:${process.env["PATH"]}` },
    });
    said.push(stdout + stderr);
  }
  expect(blocks).toHaveLength(6);
  const verdicts = readFileSync(join(folder, "verdicts.jsonl"), "utf8").trim().split("\n");
  const shown = JSON.parse(/^```json\n(.*?)^```$/ms.exec(page)![1]!) as Record<string, unknown>;
  const { verdict } = JSON.parse(verdicts[0]!) as { verdict: Record<string, unknown> };
  expect({ ...verdict, seconds: shown["seconds"] }).toEqual(shown); // but for how long it took
  expect(said[0]).toMatch(/^all +6 +3 +2 +0 +0 +1 +0 +50\.0 %/m);
  expect(said[2]).toMatch(/0 failed/);
  expect(said[3]).toMatch(/4 words, 3 allowed/);
  expect(said[4]).toMatch(/rewards\.py#accuracy_reward +2 +1 +1/);
  expect(said[5]).toMatch(/"split":"test"/);
});

test("every verifier is in the page's table", () => {
  const named = [...page.matchAll(/^\| (`.*?) \|/gm)].flatMap(([, cell]) =>
    [...cell!.matchAll(/`(\w+)`/g)].map(([, name]) => name),
  );
  expect(named).toEqual(expect.arrayContaining([...verifierNames]));
});
