// Preloaded into a process (node --import): when it exits, its peak resident bytes go to the file that PEAK_RESIDENT_FILE names. Not
// maxRSS of getrusage, which a child inherits from who started it.
import { readFileSync, writeFileSync } from "node:fs";

process.on("exit", () => {
  const [, kilobytes] = /^VmHWM:\s+(\d+) kB/m.exec(readFileSync("/proc/self/status", "utf8")) ?? [];
  writeFileSync(/** @type {string} */ (process.env["PEAK_RESIDENT_FILE"]), String(1024 * Number(kilobytes)));
});
