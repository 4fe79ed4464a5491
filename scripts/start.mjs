// npm start, on a bare clone too: prepares, then runs `posttrain quickstart` with the arguments given to it.
import { prepare } from "./announce.mjs";
import { handOver } from "./command.mjs";

await prepare();
process.exitCode = await handOver(process.execPath, [
  "packages/cli/dist/main.js",
  "quickstart",
  ...process.argv.slice(2),
]);
