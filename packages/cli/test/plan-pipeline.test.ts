// posttrain plan of a pipeline: what steps that train nothing would ask for, and what of them cannot be done.
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { makeModel, posttrain, temporaryFolder, writeRows } from "./support/command-line.js";

const folder = temporaryFolder();
let model = "";
beforeAll(async () => {
  model = await makeModel(folder);
  writeRows(
    folder,
    "questions.jsonl",
    Array.from({ length: 5 }, (_, i) => ({ prompt: `What is ${i} + 1?`, answer: String(i + 1) })),
  );
  mkdirSync(join(folder, "out"));
});
afterAll(() => rmSync(folder, { recursive: true }));

const planned = async (steps: Readonly<Record<string, object>>) => {
  writeFileSync(join(folder, "p.yaml"), JSON.stringify({ output_dir: "out", steps }));
  const { code, out, err } = await posttrain(["plan", "p.yaml", "--json"], { cwd: folder });
  return { code, err, ...JSON.parse(out) };
};
const asks = (more: object) => ({
  model_name_or_path: model,
  data: "questions.jsonl",
  max_new_tokens: 32,
  ...more,
});

it("counts responses and their tokens, with weights and cache; verifiers are proven", async () => {
  const { code, steps, verifiers, canaries } = await planned({
    pairs: { run: "dpo pairs", ...asks({ num_samples: 4 }) },
    data: { run: "reward data", ...asks({ num_samples: 2, temperatures: [0.7, 1], verify: true }) },
    samples: { run: "generate", ...asks({ num_samples: 3, temperature: 1 }) },
    asked: { run: "evaluate", ...asks({ limit: 2 }) },
    later: { run: "generate", ...asks({ data: `\${pairs.output}` }) },
  });
  expect(code).toBe(0);
  const of = Object.fromEntries(steps.map((step: { step: string }) => [step.step, step]));
  for (const [name, responses] of Object.entries({ pairs: 20, data: 20, samples: 15, asked: 2 })) {
    expect(of[name], name).toMatchObject({ responses, newTokens: 32 * responses });
    // 1.24 M parameters in fp32, and a cache.
    expect(of[name].least).toBeGreaterThan(4 * 1.2e6);
    expect(of[name].resident).toBeGreaterThan(of[name].least);
  }
  expect(of.later.responses).toBeUndefined();
  expect(of.later.unknown).toEqual([expect.stringMatching(/its rows are unknown/)]);
  expect([verifiers, canaries]).toEqual([["math"], null]);
});

it("refuses responses that leave no room for a prompt", async () => {
  const { code, fits, steps } = await planned({
    long: { run: "generate", ...asks({ max_new_tokens: 512 }) },
  });
  expect([code, fits, steps[0].refused]).toEqual([
    1,
    false,
    expect.stringMatching(/context of 512 tokens has no room for a prompt beside max_new_tokens 512/),
  ]);
});
