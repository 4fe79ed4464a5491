// npm run bench [-- stem ...]: prepares, then times the ops of packages/kernels/bench/run.ts; `npm run bench -- contention [SECONDS]`
// runs contention.ts beside it.
import { prepare } from "./announce.mjs";
import { handOver } from "./command.mjs";

await prepare();
const args = process.argv.slice(2);
const program = args[0] === "contention" ? "contention" : "run";
const compiled = await handOver("node_modules/.bin/tsc", ["-p", "packages/kernels/bench"]);
process.exitCode =
  compiled === 0
    ? await handOver(process.execPath, [
        `packages/kernels/build/bench/bench/${program}.js`,
        ...(program === "contention" ? args.slice(1) : args),
      ])
    : compiled;
