// npm run test:long: the tests that a commit does not wait for, at their full size. Minutes.
import { prepare } from "./announce.mjs";
import { capture, handOver } from "./command.mjs";

await prepare();
const tests = await handOver(
  process.execPath,
  [
    "node_modules/vitest/vitest.mjs",
    "run",
    "tests/kill-and-resume.test.ts",
    "tests/resume.test.ts",
    "tests/memory.test.ts",
    "packages/cli/test/errors.test.ts",
    "packages/cli/test/tiny-run.test.ts",
    "packages/data/test/files-fuzz.test.ts",
    "packages/sandbox/test",
  ],
  { env: { POSTTRAIN_TEST_KILLS: "100", POSTTRAIN_TEST_LONG: "1" } },
);
const nvcc = process.env["NVCC"] ?? "nvcc";
const compiles = (await capture(nvcc, ["--version"])).ok;
if (!compiles) console.log(`skipped: kernels for GPUs on all targets (no ${nvcc})`);
const compiled = compiles
  ? await handOver(process.execPath, ["scripts/build-cuda.mjs", "--check", "sm_80,sm_90a,sm_100,sm_120"])
  : 0;
process.exitCode = tests || compiled;
