// The preparing steps as a person at a terminal wants to see them: silent when they are quick, one line with its seconds when they
// are not, and an end with what was wrong when one fails.
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

/** Prepares; ends the process when that cannot be done. */
export async function prepare() {
  for (const step of steps) {
    const { ok, output } = await announce(step);
    if (!ok) {
      console.error(`${output.trim()}\n\nStopped while ${step.name}.`);
      process.exit(1);
    }
  }
}
