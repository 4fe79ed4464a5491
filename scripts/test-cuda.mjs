// npm run test:cuda: the tests that compare bits, on a GPU: op cases and fp32 bits against the cpu, goldens, the tiny run's SHA-256, sampler against
// trainer, resume and kill. They are the files of npm test; POSTTRAIN_DEVICE chooses what they compute on (cuda here; an emulation's file runs them
// without a GPU). What came out goes to GPU-RUNS.md. Arguments go to vitest.
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { prepare } from "./announce.mjs";
import { handOver } from "./command.mjs";
import { backend, gpu, record } from "./gpu.mjs";

const files = [
  "packages/kernels/test/cuda-emulated.test.ts",
  "packages/cli/test/tiny-run.test.ts",
  "tests/golden-model.test.ts",
  "tests/golden-training.test.ts",
  "tests/golden-dpo.test.ts",
  "tests/golden-grpo.test.ts",
  "tests/golden-merging.test.ts",
  "tests/generation.test.ts",
  "tests/sampler-is-trainer.test.ts",
  "tests/resume.test.ts",
  "tests/kill-and-resume.test.ts",
];

await prepare();
const device = await gpu("test:cuda");
console.log(`test:cuda on ${device.name}${device.description === "" ? "" : ` (${device.description})`}`);
const folder = mkdtempSync(join(tmpdir(), "posttrain-test-"));
const path = join(folder, "results.json");
const given = process.argv.slice(2);
const started = performance.now();
const code = await handOver(
  process.execPath,
  ["node_modules/vitest/vitest.mjs", "run", ...(given.length > 0 ? given : files)],
  {
    env: { POSTTRAIN_DEVICE: backend, POSTTRAIN_TEST_RESULTS: path },
  },
);
/** @type {{ passed: number, failed: number, skipped: { name: string, reason: string }[] }} */
const results = existsSync(path)
  ? JSON.parse(readFileSync(path, "utf8"))
  : { passed: 0, failed: 1, skipped: [] };
rmSync(folder, { recursive: true });
const line = `${results.passed} passed, ${results.failed} failed, ${results.skipped.length} skipped in ${((performance.now() - started) / 1000).toFixed(0)} s`;
await record(device, "npm run test:cuda", [
  `${line}${given.length > 0 ? ` (${given.join(" ")})` : ""}.`,
  ...results.skipped.map(({ name, reason }) => `- skipped: ${name} (${reason})`),
]);
console.log(`\ntest:cuda on ${device.name}: ${line}`);
process.exitCode = code;
