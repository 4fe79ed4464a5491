// Tests run on the TypeScript sources: the export condition `@posttrain/source` resolves @posttrain/* to src/. Built are the native addon,
// and the packages for tests that start the command line or child processes: npm test does both first. Two workers, because the kernels
// have threads of their own. The time limits only end what hangs: ten times what a test takes on a quiet machine, and more.
import { defineConfig } from "vitest/config";

const conditions = ["@posttrain/source", "module", "node", "development|production"];

export default defineConfig({
  resolve: { conditions },
  ssr: { resolve: { conditions } },
  test: {
    include: ["packages/*/test/**/*.test.ts", "tests/**/*.test.ts"],
    reporters: ["default", "./tests/support/results-reporter.ts"],
    setupFiles: ["tests/support/fail-on-console.ts"],
    pool: "forks",
    maxWorkers: 2,
    testTimeout: 600_000,
    hookTimeout: 600_000,
    allowOnly: false,
    restoreMocks: true,
  },
});
