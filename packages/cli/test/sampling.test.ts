// Flags win over generation_config.json, which wins over greedy without filters; and the description says which is which.

import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { loadTokenizer } from "@posttrain/data";
import { openModelFolder } from "@posttrain/model";
import { resolveSampling, type Sampling, samplingOptions } from "@posttrain/rollout";
import { afterAll, beforeAll, expect, it } from "vitest";
import { z } from "zod";
import { samplingText } from "../src/sampling-text.js";
import { makeModel, temporaryFolder } from "./support/command-line.js";

const folder = temporaryFolder();
let dir: string;
beforeAll(async () => {
  dir = await makeModel(folder);
});
afterAll(() => rmSync(folder, { recursive: true }));

async function resolve(file: object, flags: object): Promise<Sampling & { readonly description: string }> {
  writeFileSync(join(dir, "generation_config.json"), JSON.stringify(file));
  const { config, generationConfig } = await openModelFolder(dir);
  const options = z.strictObject(samplingOptions).parse(flags);
  const sampling = resolveSampling(options, generationConfig, config);
  return { ...sampling, description: samplingText(sampling, await loadTokenizer(dir)) };
}

const qwen = { do_sample: true, temperature: 0.7, top_p: 0.8, top_k: 20, repetition_penalty: 1.05 };

it.each<[file: object, flags: object, settings: object, description: RegExp]>([
  [
    {},
    {},
    { temperature: 0, topP: 1, topK: 0, minP: 0, repetitionPenalty: 1 },
    /^sampling: greedy; stops at/,
  ],
  [
    qwen,
    {},
    { temperature: 0.7, topP: 0.8, topK: 20, repetitionPenalty: 1.05 },
    /^sampling: from generation_config\.json: temperature 0\.7, top_p 0\.8, top_k 20, repetition_penalty 1\.05; stops/,
  ],
  [
    qwen,
    { temperature: 1, top_k: 0, min_p: 0.1 },
    { temperature: 1, topP: 0.8, topK: 0, minP: 0.1 },
    /^sampling: temperature 1, min_p 0\.1; from generation_config\.json: top_p 0\.8, repetition_penalty 1\.05; stops/,
  ],
  [qwen, { temperature: 0, repetition_penalty: 1 }, { temperature: 0 }, /^sampling: greedy; stops at/],
  // transformers ignores these without do_sample, and samples at 1 when the file asks for sampling alone.
  [{ temperature: 0.7 }, {}, { temperature: 0 }, /greedy/],
  [{ do_sample: true }, {}, { temperature: 1 }, /from generation_config\.json: temperature 1/],
])("%j with flags %j", async (file, flags, settings, description) => {
  const sampling = await resolve(file, flags);
  expect(sampling.settings).toMatchObject(settings);
  expect(sampling.description).toMatch(description);
});

it("stops at every eos token of generation_config.json, else of config.json", async () => {
  const both = await resolve({}, {});
  expect(both.description).toMatch(/stops at <\|im_end\|>, <\|endoftext\|>$/);
  const [turn, text] = both.settings.stopIds;
  const one = await resolve({ eos_token_id: text }, {});
  expect(one.settings.stopIds).toEqual([text]);
  expect(turn).not.toBe(text);
});
