// npm test, on a bare clone too: prepares, then checks all that CI checks. A gate is one line, and its output only when it
// fails; what fails does not stop the next. Arguments go to vitest (`npm test -- packages/data`).
// The last line is `N passed, N failed, N skipped`: a gate counts as one, a test as one.
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { capture, handOver } from "./command.mjs";
import { make, steps } from "./prepare.mjs";

/**
 * @typedef {{ name: string, reason: string, command: string }} Skip
 * @typedef {import("./prepare.mjs").Outcome & { skip?: Omit<Skip, "name"> }} Outcome
 * @typedef {{ name: string, essential?: boolean, run: () => Promise<Outcome> }} Gate
 */

const tally = { passed: 0, failed: 0, skipped: /** @type {Skip[]} */ ([]) };

/** @type {Gate[]} */
const gates = [
  ...steps,
  { name: "kernels for tests", run: () => make("all") },
  node("types of tests", "node_modules/@typescript/native/bin/tsc", "-p", "tsconfig.tests.json"),
  node("format and lint", "node_modules/@biomejs/biome/bin/biome", "check", "--error-on-warnings"),
  node("format of C++", "scripts/clang-format.mjs", "--dry-run", "--Werror"),
  node(
    "import arrows",
    "node_modules/dependency-cruiser/bin/dependency-cruise.mjs",
    "packages",
    "tests",
    "scripts",
    "bench",
  ),
  node("dead code", "node_modules/knip/bin/knip.js"),
  node("generated files", "packages/kernels/scripts/generate-binding.mjs", "--check"),
  { name: "kernels for ARM", run: compileForArm },
  { name: "kernels for GPUs", run: compileForGpus },
];

/**
 * A gate that is one program run by Node.
 * @param {string} name
 * @param {...string} args
 * @returns {Gate}
 */
function node(name, ...args) {
  return { name, run: () => capture(process.execPath, args) };
}

/** Compiles for aarch64, which no test runs. @returns {Promise<Outcome>} */
async function compileForArm() {
  const compiler = "aarch64-linux-gnu-g++";
  if ((await capture(compiler, ["--version"])).ok) return make("aarch64");
  const command = "sudo apt-get install -y g++-aarch64-linux-gnu && npm test";
  return { ok: true, output: "", skip: { reason: `no ${compiler}`, command } };
}

/** Compiles for NVIDIA GPUs, which no test runs: the kernels for one target, as all take seven times as long (npm run test:long). @returns {Promise<Outcome>} */
async function compileForGpus() {
  const compiler = process.env["NVCC"] ?? "nvcc";
  if ((await capture(compiler, ["--version"])).ok)
    return capture(process.execPath, ["scripts/build-cuda.mjs", "--check", "sm_80"]);
  const command = "set NVCC to an nvcc of CUDA 13 (packages/kernels/native/cuda/README.md), then npm test";
  return { ok: true, output: "", skip: { reason: `no ${compiler}`, command } };
}

/** Runs one gate, prints its line and counts it. @param {Gate} gate */
async function pass({ name, run }) {
  const start = performance.now();
  const { ok, output, skip } = await run();
  const seconds = ((performance.now() - start) / 1000).toFixed(1);
  console.log(`${skip ? "skip" : ok ? "ok  " : "FAIL"}  ${name.padEnd(22)} ${seconds.padStart(6)} s`);
  if (!ok) console.log(`\n${output.trim()}\n`);
  if (skip) tally.skipped.push({ name, ...skip });
  else tally[ok ? "passed" : "failed"]++;
  return ok;
}

/** Runs vitest on this terminal; tests/support/results-reporter.ts hands back the counts. @param {string[]} args */
async function runTests(args) {
  const folder = mkdtempSync(join(tmpdir(), "posttrain-test-"));
  const path = join(folder, "results.json");
  const code = await handOver(process.execPath, ["node_modules/vitest/vitest.mjs", "run", ...args], {
    env: { POSTTRAIN_TEST_RESULTS: path },
  });
  /** @type {{ passed: number, failed: number, skipped: Skip[] }} */
  const results = existsSync(path)
    ? JSON.parse(readFileSync(path, "utf8"))
    : { passed: 0, failed: 0, skipped: [] };
  rmSync(folder, { recursive: true });
  tally.passed += results.passed;
  tally.failed += results.failed;
  tally.skipped.push(...results.skipped);
  if (code !== 0 && results.failed === 0) {
    console.log(`\nvitest ended with exit code ${code} and reported no failed test.`);
    tally.failed++;
  }
}

/** Names what was skipped, those with the same reason and remedy together. */
function printSkips() {
  if (tally.skipped.length === 0) return;
  console.log("\nskipped:");
  /** @type {Map<string, string[]>} */
  const groups = new Map();
  for (const { name, reason, command } of tally.skipped) {
    const why = command === "" ? reason : `${reason}; to enable: ${command}`;
    groups.set(why, [...(groups.get(why) ?? []), name]);
  }
  for (const [why, names] of groups) console.log(`  ${why}\n    ${names.join("\n    ")}`);
}

let able = true;
for (const gate of gates) {
  able = (await pass(gate)) || gate.essential !== true;
  if (!able) break;
}
if (able) await runTests(process.argv.slice(2));
printSkips();
console.log(`\n${tally.passed} passed, ${tally.failed} failed, ${tally.skipped.length} skipped`);
process.exitCode = tally.failed === 0 ? 0 : 1;
