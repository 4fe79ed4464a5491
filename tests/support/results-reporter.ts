// Vitest reporter for scripts/test.mjs: counts tests and collects what was skipped and why, as JSON in the file that
// POSTTRAIN_TEST_RESULTS names. A file that does not load, or an error outside any test, counts as one failure.
import { writeFileSync } from "node:fs";
import type { Reporter, SerializedError, TestModule } from "vitest/node";
import "./skip.js";

interface Skip {
  readonly name: string;
  readonly reason: string;
  readonly command: string;
}

export default class ResultsReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], unhandledErrors: readonly SerializedError[]): void {
    const path = process.env["POSTTRAIN_TEST_RESULTS"];
    if (path === undefined) return;
    let passed = 0;
    let failed = unhandledErrors.length;
    const skipped: Skip[] = [];
    for (const module of modules) {
      failed += module.errors().length;
      for (const suite of module.children.allSuites()) failed += suite.errors().length;
      for (const test of module.children.allTests()) {
        const result = test.result();
        if (result.state === "passed") passed++;
        else if (result.state === "failed") failed++;
        else {
          const note = result.state === "skipped" ? result.note : "never ran";
          const { reason, command } = test.meta().skipped ?? {
            reason: note ?? "gives no reason",
            command: "",
          };
          skipped.push({ name: `${module.relativeModuleId} > ${test.fullName}`, reason, command });
        }
      }
    }
    writeFileSync(path, JSON.stringify({ passed, failed, skipped }));
  }
}
