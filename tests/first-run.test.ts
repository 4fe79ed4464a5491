// docs/first-run.md as a reader would follow it: every `sh` block, in order, in one folder, on a tiny model. What the page tells about in words is
// done here too: the training is killed once before it is resumed.
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { makeModel } from "../packages/cli/test/support/command-line.js";
import { followGuide, readGuide } from "./support/guide.js";
import { testFolder } from "./support/tiny-run.js";

const { blocks } = readGuide("first-run.md");
const folder = testFolder();

test("the page's commands work, in order", async () => {
  mkdirSync(join(folder, "models"));
  await makeModel(join(folder, "models"));
  const problems = Array.from({ length: 300 }, (_, i) => {
    const [a, b] = [i % 37, (i * 7) % 23];
    return {
      question: `What is ${a} + ${b}?`,
      answer: `${a} + ${b} = ${a + b}\n#### ${a + b}`,
      final: String(a + b),
    };
  });
  writeFileSync(
    join(folder, "gsm8k_train.jsonl"),
    problems.map((row) => `${JSON.stringify(row)}\n`).join(""),
  );
  const small = blocks.map((block) =>
    block
      .replaceAll("models/smollm2", "models/model")
      .replaceAll("--max_steps 100", "--max_steps 12")
      .replaceAll("--eval_steps 50", "--eval_steps 6")
      .replaceAll("--save_steps 10", "--save_steps 4")
      .replaceAll("--val_size 100", "--val_size 10")
      .replaceAll("--max_length 1024", "--max_length 256")
      .replaceAll("checkpoint-100", "checkpoint-12")
      .replaceAll(/--max_new_tokens \d+/g, "--max_new_tokens 4"),
  );
  const said = (await followGuide(small.map(dying), folder)).join("\n");
  expect(said).toMatch(/resumed +from .*checkpoint-(4|8)/);
  expect(said).toMatch(/\|gsm8k/);
  expect(blocks.length).toBeGreaterThan(6);
});

/** The first training is a process, which dies at its eighth step. */
function dying(block: string): string {
  if (!block.includes("--max_steps")) return block;
  const waits = `while ! grep -q '"step":8,' runs/first/metrics.jsonl 2>/dev/null && kill -0 $!; do sleep 0.02; done`;
  return `command ${block.trim()} & ${waits}; kill -9 $!; wait $! || true`;
}
