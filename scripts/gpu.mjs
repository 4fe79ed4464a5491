// What npm run test:cuda and npm run bench:cuda share: the device they run on, and the record of it in GPU-RUNS.md.
import { appendFileSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { capture, root } from "./command.mjs";

/** POSTTRAIN_DEVICE, else the first GPU. */
export const backend = process.env["POSTTRAIN_DEVICE"] || "cuda";

/**
 * The device as it says itself; where it does not open, one line says why and the process ends with 2.
 * @param {string} what
 * @returns {Promise<{ name: string, description: string, ownMemory: boolean }>}
 */
export async function gpu(what) {
  const { openDevice } = await import("../packages/kernels/dist/index.js");
  try {
    const device = openDevice({ backend, threads: 1 });
    const { backend: name, description, ownMemory } = device;
    await device.close();
    return { name, description, ownMemory };
  } catch (error) {
    console.log(
      `\n${what}: nothing was run, there is no GPU to run it on: ${/** @type {Error} */ (error).message}`,
    );
    process.exit(2);
  }
}

/** The driver's own version, which its library does not say. */
function driver() {
  try {
    return /\d+\.\d+(?:\.\d+)?/.exec(readFileSync("/proc/driver/nvidia/version", "utf8"))?.[0];
  } catch {
    return undefined;
  }
}

/**
 * A section at the end of GPU-RUNS.md. What has no memory of its own is an emulation and no GPU: nothing is written of it.
 * @param {Awaited<ReturnType<typeof gpu>>} device
 * @param {string} what
 * @param {readonly string[]} lines
 */
export async function record({ description, ownMemory }, what, lines) {
  if (!ownMemory) {
    console.log(`\nNot written to GPU-RUNS.md: ${backend} is no GPU.`);
    return;
  }
  const commit = (await capture("git", ["describe", "--always", "--dirty"])).output.trim();
  const machine = `${description}${driver() === undefined ? "" : `, ${driver()}`}`;
  const date = new Date().toISOString().slice(0, 10);
  appendFileSync(
    join(root, "GPU-RUNS.md"),
    `\n## ${date}, ${what}: ${machine}\n\nCommit ${commit}.\n\n${lines.join("\n")}\n`,
  );
  console.log("\nWritten to GPU-RUNS.md.");
}
