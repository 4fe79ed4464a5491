// Runs other programs for the scripts beside it: captured and quiet, or with the terminal handed over.
import { spawn } from "node:child_process";
import { constants } from "node:os";
import { fileURLToPath } from "node:url";

/** The root of the repository, where every command runs. */
export const root = fileURLToPath(new URL("..", import.meta.url));

/**
 * Runs a command to its end and captures what it says, stdout and stderr in order. Never throws: a command that cannot be
 * started has failed, and its output says why.
 * @param {string} command
 * @param {readonly string[]} args
 * @param {{ input?: string, env?: NodeJS.ProcessEnv }} [options]
 * @returns {Promise<{ ok: boolean, output: string }>}
 */
export function capture(command, args, { input = "", env = {} } = {}) {
  return new Promise((resolve) => {
    const child = spawn(command, args, { cwd: root, env: { ...process.env, ...env } });
    let output = "";
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding("utf8").on("data", (text) => {
        output += text;
      });
    }
    child.on("error", (error) => resolve({ ok: false, output: error.message }));
    child.on("close", (code) => resolve({ ok: code === 0, output }));
    child.stdin.on("error", () => {}); // a command that ended early need not read its input; its exit code tells
    child.stdin.end(input);
  });
}

/**
 * Runs a command on this terminal. Interrupts reach it directly, so that it may end in its own way.
 * @param {string} command
 * @param {readonly string[]} args
 * @param {{ env?: NodeJS.ProcessEnv }} [options]
 * @returns {Promise<number>} its exit code, 128 + n when signal n ended it
 */
export function handOver(command, args, { env = {} } = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd: root, stdio: "inherit", env: { ...process.env, ...env } });
    const wait = () => {};
    const pass = () => child.kill("SIGTERM");
    process.on("SIGINT", wait).on("SIGTERM", pass);
    child.on("error", reject);
    child.on("close", (code, signal) => {
      process.off("SIGINT", wait).off("SIGTERM", pass);
      resolve(code ?? 128 + (constants.signals[signal ?? "SIGTERM"] ?? 0));
    });
  });
}
