// node bench/decontamination.mjs [--rows 100000] [--items 20000] [--mode fast|strict] [--threads 2]: rows of 300 words against test items of 60, read from a file, by the
// clock, by CPU time and by memory. Words are drawn as often as natural text has them (Zipf); one row in a hundred holds an item in which every tenth word is another, one in
// a hundred an item as it is.

import { once } from "node:events";
import { createWriteStream, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { findContamination, readRows, textsOf, uniform, wholeText } from "@posttrain/data";

const { values } = parseArgs({
  allowPositionals: true,
  options: {
    rows: { type: "string", default: "100000" },
    items: { type: "string", default: "20000" },
    mode: { type: "string", default: "fast" },
    threads: { type: "string", default: "2" },
  },
});
const [rows, count, threads] = [Number(values.rows), Number(values.items), Number(values.threads)];
const mode = /** @type {"strict" | "fast"} */ (values.mode);

// Ranks by Zipf and Mandelbrot, 1 / (rank + 2.7), of 50,000 words.
const sums = new Float64Array(50_000);
for (let rank = 0, sum = 0; rank < sums.length; rank++) sums[rank] = sum += 1 / (rank + 2.7);
const names = Array.from(sums, (_, i) => (i + 36 ** 2).toString(36));
let drawn = 0;
function word() {
  const at = uniform(1, "evaluation", [drawn++, 0, 0, 0]) * /** @type {number} */ (sums.at(-1));
  let [low, high] = [0, sums.length - 1];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (/** @type {number} */ (sums[middle]) > at) high = middle;
    else low = middle + 1;
  }
  return /** @type {string} */ (names[low]);
}
/** @param {number} length */
const words = (length) => Array.from({ length }, word);

const items = Array.from({ length: count }, () => words(60));
const folder = mkdtempSync(join(tmpdir(), "posttrain-decontamination-"));
const path = join(folder, "rows.jsonl");
try {
  const file = createWriteStream(path);
  for (let i = 0; i < rows; i++) {
    const row = words(300);
    const item = items[i % count] ?? [];
    if (i % 100 < 2)
      row.splice(100, 60, ...item.map((one, j) => (i % 100 === 1 && j % 10 === 9 ? "another" : one)));
    const [question, answer] = [row.slice(0, 40).join(" "), row.slice(40).join(" ")];
    const messages = [
      { role: "user", content: question },
      { role: "assistant", content: answer },
    ];
    if (!file.write(`${JSON.stringify({ messages })}\n`)) await once(file, "drain");
  }
  file.end();
  await once(file, "finish");
  const [start, cpu] = [performance.now(), process.cpuUsage()];
  const rule = { minWords: 13, minShare: 0.6, mode, ngram: 8, wholeUpTo: 500 };
  const texts = items.map((item) => item.join(" "));
  const found = { rows: 0, whole: 0, windowed: 0, removed: 0 };
  const textOf = /** @param {import("@posttrain/data").DataRow} row */ ({ value, place }) =>
    wholeText(textsOf(value, place));
  for await (const [, row] of findContamination(readRows(path), textOf, { items: texts, rule, threads })) {
    found.rows++;
    found.whole += Number(row.whole);
    found.windowed += Number(row.windowed);
    found.removed += Number(row.matches.length > 0);
  }
  const { user, system } = process.cpuUsage(cpu);
  const seconds = (performance.now() - start) / 1000;
  process.stdout.write(
    `${mode}, ${rows} rows, ${count} items, ${threads} threads: ${seconds.toFixed(0)} s, CPU ${((user + system) / 1e6).toFixed(0)} s, ` +
      `at most ${(process.resourceUsage().maxRSS / 1024).toFixed(0)} MiB; ${JSON.stringify(found)}\n`,
  );
} finally {
  rmSync(folder, { recursive: true });
}
