// Tests run on the TypeScript sources: the export condition `@posttrain/source` resolves @posttrain/* to src/. Built are the native addon,
// and the packages for tests that start the command line or child processes: npm test does both first. Two workers, because the kernels
// have threads of their own. The time limits only end what hangs: ten times what a test takes on a quiet machine, and more.
// Files in `sharing` keep nothing in their process (tests/house/sharing.test.ts looks for what would be kept) and run one after the other in as many
// processes as there are workers: that saves each the start, the imports and the sandbox's test of itself. The others have a process each.
import { defineConfig } from "vitest/config";

const sharing =
  "packages/{answers,cli,data,dpo,evaluate,grpo,instructions,model,reward-model,rollout,run,sandbox,sft,train,verify,view}/test/**/*.test.ts";
const alone = [
  "packages/{jobs,kernels}/test/**/*.test.ts",
  "packages/cli/test/{reading,tiny-run,workers-guide}.test.ts",
  "packages/instructions/test/language.test.ts",
  "packages/sandbox/test/{adversarial,bought,containment,site,unproven}.test.ts",
  "tests/**/*.test.ts",
];

const conditions = ["@posttrain/source", "module", "node", "development|production"];

export default defineConfig({
  resolve: { conditions },
  ssr: { resolve: { conditions } },
  test: {
    projects: [
      { extends: true, test: { name: "sharing", include: [sharing], exclude: alone, isolate: false } },
      { extends: true, test: { name: "alone", include: alone } },
    ],
    reporters: ["default", "./tests/support/results-reporter.ts"],
    setupFiles: ["tests/support/setup.ts"],
    pool: "forks",
    maxWorkers: 2,
    testTimeout: 600_000,
    hookTimeout: 600_000,
    allowOnly: false,
    restoreMocks: true,
  },
});
