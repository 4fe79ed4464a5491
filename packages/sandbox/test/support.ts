// Rows of test/fixtures/code, and whether this machine has a sandbox.
import { readFileSync } from "node:fs";
import { gradeCode, nativeSelfTest } from "@posttrain/sandbox";
import PQueue from "p-queue";
import { skipUnless } from "../../../tests/support/skip.js";

// biome-ignore lint/suspicious/noExplicitAny: fixtures have many shapes; each test reads the keys it names
export function rows(name: string): any[] {
  const text = readFileSync(new URL(`./fixtures/${name}.jsonl`, import.meta.url), "utf8");
  return text
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));
}

const queue = new PQueue({ concurrency: 3 });

/** gradeCode, three programs at a time: the others of a list wait. */
export const gradeInTurn: typeof gradeCode = (...given) => queue.add(() => gradeCode(...given));

const { layout, remedy } = await nativeSelfTest();

/** For tests that run programs natively. */
export const needsSandbox = skipUnless(
  layout !== undefined,
  "no sandbox could be proven on this machine",
  remedy ?? "",
);
