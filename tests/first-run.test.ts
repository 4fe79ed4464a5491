// docs/first-run.md as a reader would follow it: every `sh` block, in order, in one folder, on a tiny model. What the page tells about in words is
// done here too: the training is killed once before it is resumed.
import { execFile } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { makeModel } from "../packages/cli/test/support/command-line.js";
import { testFolder } from "./support/tiny-run.js";

const root = fileURLToPath(new URL("..", import.meta.url));
const page = readFileSync(join(root, "docs/first-run.md"), "utf8");
const blocks = [...page.matchAll(/^```sh\n(.*?)^```$/gms)].map(([, block]) => block as string);
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
  // `npx posttrain` finds this checkout.
  mkdirSync(join(folder, "bin"));
  const shim = `#!/bin/sh\nshift\nexec "${process.execPath}" "${join(root, "packages/cli/bin/posttrain.mjs")}" "$@"\n`;
  writeFileSync(join(folder, "bin", "npx"), shim, { mode: 0o755 });

  const ran: string[] = [];
  for (const block of blocks) {
    const small = block
      .replaceAll("models/smollm2", "models/model")
      .replaceAll("--max_steps 100", "--max_steps 12")
      .replaceAll("--eval_steps 50", "--eval_steps 6")
      .replaceAll("--save_steps 10", "--save_steps 4")
      .replaceAll("--val_size 100", "--val_size 10")
      .replaceAll("--max_length 1024", "--max_length 256")
      .replaceAll("checkpoint-100", "checkpoint-12")
      .replaceAll(/--max_new_tokens \d+/g, "--max_new_tokens 4");
    // The first training dies at its eighth step.
    const dies = small.includes("--max_steps");
    const script = dies
      ? `${small.trim()} & while ! grep -q '"step":8,' runs/first/metrics.jsonl 2>/dev/null && kill -0 $!; do sleep 0.02; done; kill -9 $!; wait $! || true`
      : small;
    ran.push(await run(script));
  }
  const said = ran.join("\n");
  expect(said).toMatch(/resumed +from .*checkpoint-(4|8)/);
  expect(said).toMatch(/\|gsm8k/);
  expect(blocks.length).toBeGreaterThan(6);
});

/** What it prints. A command that fails fails the test, with what it said. */
async function run(script: string): Promise<string> {
  const { stdout, stderr } = await promisify(execFile)("bash", ["-euo", "pipefail", "-c", script], {
    cwd: folder,
    env: { ...process.env, PATH: `${join(folder, "bin")}:${process.env["PATH"]}` },
    maxBuffer: 1 << 26,
  });
  return stdout + stderr;
}
