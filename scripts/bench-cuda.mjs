// npm run bench:cuda [-- GROUP ...]: what npm run bench times, on a GPU, each against what it shows in the same run. The rows go to
// packages/kernels/bench/results.csv, and a table of them to GPU-RUNS.md.
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { prepare } from "./announce.mjs";
import { handOver, root } from "./command.mjs";
import { backend, gpu, record } from "./gpu.mjs";

const results = join(root, "packages/kernels/bench/results.csv");
const lines = () => (existsSync(results) ? readFileSync(results, "utf8").trim().split("\n") : []);

await prepare();
const device = await gpu("bench:cuda");
console.log(`bench:cuda on ${device.name}${device.description === "" ? "" : ` (${device.description})`}`);
const groups = process.argv.slice(2);
const before = lines().length;
const code = await handOver(
  process.execPath,
  [
    "scripts/bench.mjs",
    ...(groups.length > 0 ? groups : ["products", "rows", "attention", "elementwise", "token_log_probs"]),
  ],
  {
    env: { POSTTRAIN_DEVICE: backend },
  },
);
const [head = ""] = lines();
const columns = head.split(",");
const shown = [
  "what",
  "direction",
  "dtype",
  "shape",
  "milliseconds",
  "rate",
  "unit",
  "roof",
  "roof_rate",
  "share",
];
/** @param {readonly string[]} cells */
const row = (cells) => `| ${cells.join(" | ")} |`;
const made = lines()
  .slice(before)
  .map(
    (line) =>
      line.match(/("[^"]*"|[^,]*)(,|$)/g)?.map((cell) => cell.replace(/,$/, "").replaceAll('"', "")) ?? [],
  );
if (code === 0 && made.length > 0) {
  await record(device, "npm run bench:cuda", [
    row(shown),
    row(shown.map(() => "---")),
    ...made.map((cells) => row(shown.map((name) => cells[columns.indexOf(name)] ?? ""))),
  ]);
}
console.log(`\nbench:cuda on ${device.name}: ${code === 0 ? `${made.length} rows` : `failed (${code})`}`);
process.exitCode = code;
