// npm run test:long: the tests that a commit does not wait for, at their full size. Minutes.
import { prepare } from "./announce.mjs";
import { handOver } from "./command.mjs";

await prepare();
process.exitCode = await handOver(
  process.execPath,
  ["node_modules/vitest/vitest.mjs", "run", "tests/kill-and-resume.test.ts", "packages/sandbox/test"],
  { env: { POSTTRAIN_TEST_KILLS: "100", POSTTRAIN_TEST_LONG: "1" } },
);
