// npm run bench -- rows --model DIR [--rows 200000]: short rows of conversations from a file to token ids, held against the tokenizer's library
// alone on the rendered texts, which it is given in the same batches. In turns, medians of ratios. Takes minutes.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { loadChatTemplate, loadSftRows, loadTokenizer } from "@posttrain/data";

/** @type {typeof import("tokenizers")} */
const { Tokenizer } = createRequire(import.meta.resolve("@posttrain/data"))("tokenizers");
const root = fileURLToPath(new URL("..", import.meta.url));
const { report } = await import(`${root}packages/kernels/build/bench/bench/results.js`);
const { median } = await import(`${root}packages/kernels/build/bench/bench/measure.js`);

const { values } = parseArgs({
  allowPositionals: true,
  options: {
    model: { type: "string" },
    rows: { type: "string", default: "200000" },
    turns: { type: "string", default: "3" },
  },
});
const { model: dir } = values;
if (dir === undefined) {
  process.stderr.write("usage: npm run bench -- rows --model DIR [--rows 200000] [--turns 3]\n");
  process.exit(1);
}
const count = Number(values.rows);
const [tokenizer, template] = [await loadTokenizer(dir), await loadChatTemplate(dir)];
const conversations = Array.from({ length: count }, (_, i) => [
  { role: /** @type {const} */ ("user"), content: `What is ${i} + ${(i * 7919) % 1000}?` },
  { role: /** @type {const} */ ("assistant"), content: `It is ${i + ((i * 7919) % 1000)}.` },
]);
const folder = mkdtempSync(join(tmpdir(), "posttrain-rows-"));
const path = join(folder, "rows.jsonl");
writeFileSync(path, conversations.map((messages) => `${JSON.stringify({ messages })}\n`).join(""));
const library = Tokenizer.fromString(readFileSync(join(dir, "tokenizer.json"), "utf8"));
const texts = conversations.map((messages) => template.render(messages, { addGenerationPrompt: false }));
const batch = 512;

/** @param {() => Promise<void>} work */
async function timed(work) {
  const [start, cpu] = [performance.now(), process.cpuUsage()];
  await work();
  const { user, system } = process.cpuUsage(cpu);
  return { wall: (performance.now() - start) / 1000, cpu: (user + system) / 1e6 };
}
const alone = () =>
  timed(async () => {
    for (let at = 0; at < count; at += batch) {
      const encodings = await library.encodeBatch(texts.slice(at, at + batch), { addSpecialTokens: false });
      for (const encoding of encodings) encoding.getIds();
    }
  });
const whole = () =>
  timed(async () => {
    const options = { tokenizer, template, maxLength: 1024, lossOn: /** @type {const} */ ("assistant") };
    await loadSftRows(path, { ...options, onOverlong: "error" });
  });

try {
  const turns = [];
  for (let i = 0; i < Number(values.turns); i++) turns.push({ alone: await alone(), whole: await whole() });
  const seconds = median(turns.map((turn) => turn.whole.wall));
  report({
    ...{ group: "rows", what: "conversations to token ids", dtype: "text", shape: `${count} rows` },
    ...{ path: "js", threads: availableParallelism(), milliseconds: 1000 * seconds },
    ...{ rate: count / seconds, unit: "rows/s", roof: "the tokenizer alone" },
    roofRate: count / median(turns.map((turn) => turn.alone.wall)),
    share: median(turns.map((turn) => turn.alone.wall / turn.whole.wall)),
    cpuShare: median(turns.map((turn) => turn.alone.cpu / turn.whole.cpu)),
  });
} finally {
  rmSync(folder, { recursive: true });
}
