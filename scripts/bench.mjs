// npm run bench [-- GROUP ... [--model DIR]]: prepares, then times the ops of packages/kernels/bench/run.ts and, with --model, an
// optimizer step and generation of a real model (bench/model.mjs); `npm run bench -- contention [SECONDS]` runs contention.ts beside it,
// `npm run bench -- rows --model DIR` reads rows against the tokenizer alone (bench/rows.mjs), `npm run bench -- jobs` grades through Redis (bench/jobs.mjs).
import { prepare } from "./announce.mjs";
import { handOver } from "./command.mjs";

await prepare();
const args = process.argv.slice(2);
const built = "packages/kernels/build/bench/bench";
const ofModels = ["sft", "dpo", "reward", "grpo", "generation"];
/** @param {string} program @param {readonly string[]} rest */
const run = (program, rest) => handOver(process.execPath, [program, ...rest]);

/** @returns {Promise<number>} */
async function bench() {
  const compiled = await handOver("node_modules/.bin/tsc", ["-p", "packages/kernels/bench"]);
  if (compiled !== 0) return compiled;
  if (args[0] === "contention") return run(`${built}/contention.js`, args.slice(1));
  const withModel = args.includes("--model");
  if (ofModels.includes(args[0] ?? "")) return run("bench/model.mjs", args);
  if (args[0] === "rows") return run("bench/rows.mjs", args);
  if (args[0] === "jobs") return run("bench/jobs.mjs", args);
  const at = args.indexOf("--model");
  const others = withModel ? args.filter((_, i) => i !== at && i !== at + 1) : args;
  const code = await run(`${built}/run.js`, others);
  return code === 0 && withModel ? run("bench/model.mjs", ["--model", args[at + 1] ?? ""]) : code;
}

process.exitCode = await bench();
