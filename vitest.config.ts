// Tests run on the TypeScript sources: the export condition `@posttrain/source` resolves @posttrain/* to src/, so that
// nothing has to be built but the native addon. Two workers, because the kernels have threads of their own.
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
    testTimeout: 60_000,
    hookTimeout: 60_000,
    allowOnly: false,
    restoreMocks: true,
  },
});
