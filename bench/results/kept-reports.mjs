// The product's commands, each done once: what it reports is kept in a folder, so that a long script goes on after a stop. Needs a build.
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

/** @typedef {Record<string, any>} Json */

const main = fileURLToPath(new URL("../../packages/cli/dist/main.js", import.meta.url));

/**
 * A command's report, which is kept as FOLDER/NAME.json. `fine`: exit codes that end nothing (4: it was done before).
 * @param {string} folder @param {string} name @param {readonly string[]} args @param {readonly (number | null)[]} [fine] @returns {Json}
 */
export function keptReport(folder, name, args, fine = [0, 4]) {
  const kept = join(folder, `${name}.json`);
  if (existsSync(kept)) return JSON.parse(readFileSync(kept, "utf8"));
  console.error(`\n${name}: posttrain ${args.join(" ")}`);
  const { status, stdout } = spawnSync(process.execPath, [main, ...args, "--json"], {
    stdio: ["ignore", "pipe", "inherit"],
    maxBuffer: 2 ** 30,
    encoding: "utf8",
  });
  if (!fine.includes(status)) {
    console.error(`${name} ended with ${status}; what was done is kept, the same command goes on.`);
    process.exit(1);
  }
  // generate has its rows alone to say.
  const said = stdout.trim() === "" ? "{}" : stdout;
  writeFileSync(kept, said);
  return JSON.parse(said);
}

/** @param {string} path @returns {Json[]} */
export const rowsOf = (path) =>
  (readFileSync(path, "utf8").match(/.+/g) ?? []).map((line) => JSON.parse(line));
