import { PassThrough } from "node:stream";
import { expect, it, vi } from "vitest";
import type { Output } from "../src/output.js";
import { createProgress } from "../src/progress.js";
import { watchReading } from "../src/reading.js";

it("says rows, rows a second and the time that is left by the share of the bytes", () => {
  vi.useFakeTimers();
  try {
    const stream = new PassThrough();
    const output = { progress: () => createProgress(stream as unknown as NodeJS.WriteStream) } as Output;
    const reading = watchReading(output);
    reading.onProgress("/data/rows.jsonl", 0, 0);
    vi.advanceTimersByTime(10_000);
    reading.onProgress("/data/rows.jsonl", 20_000, 0.25);
    reading.end();
    expect(String(stream.read())).toBe("reading rows.jsonl: 20,000 rows, 2,000 rows/s, about 30 s left\n");
  } finally {
    vi.useRealTimers();
  }
});
