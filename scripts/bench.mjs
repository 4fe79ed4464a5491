// npm run bench [-- stem ...]: prepares, then times the ops of packages/kernels/bench/run.ts.
import { prepare } from "./announce.mjs";
import { handOver } from "./command.mjs";

await prepare();
const compiled = await handOver("node_modules/.bin/tsc", ["-p", "packages/kernels/bench"]);
process.exitCode =
  compiled === 0
    ? await handOver(process.execPath, [
        "packages/kernels/build/bench/bench/run.js",
        ...process.argv.slice(2),
      ])
    : compiled;
