/** Grades many programs, a few at a time, in the order they come. One signal ends all of them. */
import { availableParallelism } from "node:os";
import type { Verdict } from "@posttrain/data";
import { gradeCode } from "./grade.js";
import type { CodeTask, GradeOptions } from "./task.js";

export interface GradingPool {
  readonly grade: (task: CodeTask, candidate: string, options?: GradeOptions) => Promise<Verdict>;
  /** Ends what runs and forgets what waits; their verdicts are `infrastructure-error`: cancelled. */
  readonly cancel: () => void;
}

/** Two interpreters take turns for each program, so one program at a time keeps one core busy. */
export function gradingPool(concurrency = availableParallelism()): GradingPool {
  const controller = new AbortController();
  const waiting: (() => void)[] = [];
  let running = 0;
  const next = (): void => {
    while (running < concurrency) {
      const start = waiting.shift();
      if (start === undefined) return;
      running++;
      start();
    }
  };
  return {
    grade: async (task, candidate, options = {}) => {
      await new Promise<void>((resolve) => {
        waiting.push(resolve);
        next();
      });
      const signals = options.signal ? [controller.signal, options.signal] : [controller.signal];
      try {
        return await gradeCode(task, candidate, { ...options, signal: AbortSignal.any(signals) });
      } finally {
        running--;
        next();
      }
    },
    cancel: () => controller.abort(),
  };
}
