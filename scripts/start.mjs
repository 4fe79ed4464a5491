// npm start, on a bare clone too: prepares, then runs `posttrain quickstart` with the arguments given to it.
import { handOver } from "./command.mjs";
import { steps } from "./prepare.mjs";

/**
 * Runs a step; one that takes more than a moment says what it is doing and for how long.
 * @param {import("./prepare.mjs").Step} step
 */
async function announce({ name, run }) {
  const start = performance.now();
  const terminal = process.stdout.isTTY;
  const line = () => `${name} ${Math.round((performance.now() - start) / 1000)} s`;
  let shown = false;
  const timer = setInterval(() => {
    if (terminal) process.stdout.write(`\r${line()}`);
    else if (!shown) console.log(`${name} ...`);
    shown = true;
  }, 1000);
  const outcome = await run();
  clearInterval(timer);
  if (shown) console.log(`${terminal ? "\r" : ""}${line()}`);
  return outcome;
}

for (const step of steps) {
  const { ok, output } = await announce(step);
  if (!ok) {
    console.error(`${output.trim()}\n\nStopped while ${step.name}.`);
    process.exit(1);
  }
}
process.exitCode = await handOver(process.execPath, [
  "packages/cli/dist/main.js",
  "quickstart",
  ...process.argv.slice(2),
]);
