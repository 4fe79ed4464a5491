// npm run measure:memory -- MODEL_DIR ROWS.jsonl [sft's options]: two steps of fine-tuning and two checkpoints in a process of their own, and the
// peak resident memory of each phase beside what `posttrain plan` says. For docs/memory.md; needs a build (npm test or npm start make one) and Linux.
import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const [model, data, ...options] = process.argv.slice(2);
if (model === undefined || data === undefined) {
  console.error("usage: npm run measure:memory -- MODEL_DIR ROWS.jsonl [--option value ...]");
  process.exit(1);
}
if (process.env["MEASURED_PLAN"] === undefined) {
  const main = fileURLToPath(new URL("../packages/cli/dist/main.js", import.meta.url));
  const common = ["--model_name_or_path", model, "--data", data, "--max_steps", "2", ...options];
  const plan = execFileSync(process.execPath, [main, "plan", ...common, "--json"], { encoding: "utf8" });
  // A process that has planned nothing, so that its peak is the run's.
  execFileSync(process.execPath, [fileURLToPath(import.meta.url), model, data, ...options], {
    stdio: "inherit",
    env: { ...process.env, MEASURED_PLAN: plan },
  });
} else {
  await measure(JSON.parse(process.env["MEASURED_PLAN"]).memory);
}

/** @param {Record<string, number>} plan */
async function measure(plan) {
  const { openDevice } = await import("@posttrain/kernels");
  const { runSft, sftConfig } = await import("@posttrain/sft");
  const output = await mkdtemp(join(tmpdir(), "posttrain-measure-"));
  const device = openDevice();
  let most = 0;
  /** @param {string} name */
  const phase = (name) => {
    const status = readFileSync("/proc/self/status", "utf8");
    /** @param {string} key */
    const mib = (key) =>
      Math.round(Number(new RegExp(`^${key}:\\s+(\\d+) kB`, "m").exec(status)?.[1]) / 1024);
    const { reservedBytes } = device.status();
    const peak = mib("VmHWM");
    most = Math.max(most, peak);
    const parts = `anonymous ${mib("RssAnon")}, of it arena at most ${Math.round(reservedBytes / 2 ** 20)}; files ${mib("RssFile")}`;
    console.log(
      `${name.padEnd(12)} peak ${String(peak).padStart(5)} MiB; at its end resident ${mib("VmRSS")}: ${parts}`,
    );
    writeFileSync("/proc/self/clear_refs", "5"); // the peak begins anew
  };
  try {
    phase("start");
    const config = sftConfig.parse({
      ...{ model_name_or_path: model, data, output_dir: join(output, "run"), max_steps: 2, save_steps: 1 },
      ...Object.fromEntries(pairs()),
    });
    await runSft(config, device, {
      onStart: () => phase("loading"),
      onStep: ({ step }) => phase(`step ${step}`),
      onEvaluation: () => phase("evaluation"),
      onCheckpoint: () => phase("checkpoint"),
    });
    const said = /** @type {number} */ (plan["resident"]) / 2 ** 20;
    console.log(
      `\npeak resident ${most} MiB, predicted ${said.toFixed(0)}: ${((said / most - 1) * 100).toFixed(1)} %`,
    );
    for (const [name, bytes] of Object.entries(plan))
      console.log(`  ${name} ${(bytes / 2 ** 20).toFixed(0)} MiB`);
  } finally {
    await device.close();
    await rm(output, { recursive: true, force: true });
  }
}

/** @returns {[string, unknown][]} */
function pairs() {
  return options.flatMap((name, i) => {
    if (!name.startsWith("--")) return [];
    const value = options[i + 1];
    const plain = value === undefined || value.startsWith("--") ? "true" : value;
    return [[name.slice(2), /^(true|false|[\d.]+)$/.test(plain) ? JSON.parse(plain) : plain]];
  });
}
