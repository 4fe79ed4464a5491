// Each rule of .dependency-cruiser.cjs, tried on a tree made to break it, beside imports that are allowed.
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";

const tree: Record<string, string> = {
  "packages/kernels/src/index.ts": 'export { load } from "./native.js";',
  "packages/kernels/src/native.ts":
    'import { createRequire } from "node:module"; export const load = createRequire;',
  "packages/kernels/src/other.ts":
    'import { createRequire } from "node:module"; export const load = createRequire;',
  "packages/data/src/index.ts":
    'import type { load } from "@posttrain/kernels"; export type T = typeof load;',
  "packages/data/src/rows.ts": "export const rows = 1;",
  "packages/model/src/index.ts":
    'export * from "@posttrain/kernels"; export * from "@posttrain/data"; import "../../data/src/rows.js";',
  "packages/train/src/index.ts": 'export type A = import("@posttrain/sft").A; import "@posttrain/model";',
  "packages/sft/src/index.ts":
    'export const A = await import("@posttrain/dpo"); export type A = 1; using model = await import("@posttrain/model");',
  "packages/dpo/src/index.ts": 'import "./loss.js"; import "../test/case.js";',
  "packages/dpo/src/loss.ts":
    'import { b } from "./b.js"; export const loss = b; export interface L { readonly b: typeof b }',
  "packages/dpo/src/b.ts": 'import { loss } from "./loss.js"; export const b = loss;',
  "packages/dpo/src/scope.ts":
    'import type { Tensor } from "./tensor.js"; export interface Scope { readonly t: Tensor }',
  "packages/dpo/src/tensor.ts":
    'import { type Scope } from "./scope.js"; export interface Tensor { readonly s: Scope }',
  "packages/dpo/test/case.ts": 'import "nowhere";',
  "packages/cli/src/index.ts": 'import "@posttrain/sft"; import "@posttrain/kernels";',
  "packages/extra/src/index.ts": 'import "@posttrain/data"; import "./own.js";',
  "packages/extra/src/own.ts": "export const own = 1;",
  "tests/across.test.ts": 'import "@posttrain/cli"; import "../packages/data/src/rows.js";',
};

const folder = mkdtempSync(join(tmpdir(), "posttrain-arrows-"));

beforeAll(() => {
  for (const [path, text] of Object.entries(tree)) {
    mkdirSync(join(folder, dirname(path)), { recursive: true });
    writeFileSync(join(folder, path), text);
  }
  mkdirSync(join(folder, "node_modules/@posttrain"), { recursive: true });
  for (const name of new Set(Object.keys(tree).flatMap((path) => /^packages\/(\w+)/.exec(path)?.[1] ?? []))) {
    const exports = { ".": { "@posttrain/source": "./src/index.ts", default: "./dist/index.js" } };
    writeFileSync(join(folder, "packages", name, "package.json"), JSON.stringify({ name, exports }));
    symlinkSync(`../../packages/${name}`, join(folder, "node_modules/@posttrain", name));
  }
});

afterAll(() => rmSync(folder, { recursive: true }));

test("every arrow that the design forbids is found, and no other", () => {
  const tool = resolve("node_modules/dependency-cruiser/bin/dependency-cruise.mjs");
  const args = [
    tool,
    "--config",
    resolve(".dependency-cruiser.cjs"),
    "--output-type",
    "json",
    "packages",
    "tests",
  ];
  const { stdout, stderr } = spawnSync(process.execPath, args, { cwd: folder, encoding: "utf8" });
  expect(stderr).toBe("");
  const { summary } = JSON.parse(stdout) as {
    summary: { violations: { rule: { name: string }; from: string; to: string }[] };
  };
  const found = summary.violations.map(({ rule, from, to }) => `${rule.name}: ${from} -> ${to}`);
  expect(found.sort()).toEqual([
    "addon-loads-in-one-file: packages/kernels/src/other.ts -> module",
    "arrows-of-data: packages/data/src/index.ts -> packages/kernels/src/index.ts",
    "arrows-of-sft: packages/sft/src/index.ts -> packages/dpo/src/index.ts",
    "arrows-of-train: packages/train/src/index.ts -> packages/sft/src/index.ts",
    "no-cycles: packages/dpo/src/b.ts -> packages/dpo/src/loss.ts",
    "no-deep-import-from-tests: tests/across.test.ts -> packages/data/src/rows.ts",
    "no-deep-import: packages/model/src/index.ts -> packages/data/src/rows.ts",
    "no-test-code-in-sources: packages/dpo/src/index.ts -> packages/dpo/test/case.ts",
    "no-unresolvable: packages/dpo/test/case.ts -> nowhere",
    "package-without-arrows: packages/extra/src/index.ts -> packages/data/src/index.ts",
  ]);
});
