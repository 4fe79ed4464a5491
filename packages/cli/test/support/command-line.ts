// Runs the built command line as a shell does (npm test builds it first), and makes tiny model folders for it.
import { spawn } from "node:child_process";
import { cpSync, mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { openDevice } from "@posttrain/kernels";
import { writeTinyModel } from "../../src/quickstart/tiny-model.js";

export const main = fileURLToPath(new URL("../../dist/main.js", import.meta.url));

export interface Outcome {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

export function posttrain(
  args: readonly string[],
  options: {
    readonly input?: string;
    readonly env?: Readonly<Record<string, string>>;
    readonly cwd?: string;
  } = {},
): Promise<Outcome> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [main, ...args], {
      env: { ...process.env, ...options.env },
      cwd: options.cwd,
    });
    let out = "";
    let err = "";
    child.stdout.on("data", (chunk: Buffer) => {
      out += chunk;
    });
    child.stderr.on("data", (chunk: Buffer) => {
      err += chunk;
    });
    child.on("error", reject).on("close", (code) => resolve({ code, out, err }));
    child.stdin.end(options.input ?? "");
  });
}

export function temporaryFolder(): string {
  return mkdtempSync(join(tmpdir(), "posttrain-cli-"));
}

/** A folder with model/ in it, made once; copies of it can be damaged. */
export async function makeModel(folder: string, seed = 1): Promise<string> {
  const device = openDevice({ threads: 1 });
  const dir = join(folder, "model");
  try {
    await writeTinyModel(device, dir, seed);
  } finally {
    await device.close();
  }
  return dir;
}

export function copyModel(dir: string, name: string): string {
  const copy = join(dir, "..", name);
  cpSync(dir, copy, { recursive: true });
  return copy;
}

export function writeRows(folder: string, name: string, rows: readonly unknown[]): string {
  const path = join(folder, name);
  writeFileSync(path, rows.map((row) => `${typeof row === "string" ? row : JSON.stringify(row)}\n`).join(""));
  return path;
}

export const conversation = (question: string, answer: string): object => ({
  messages: [
    { role: "user", content: question },
    { role: "assistant", content: answer },
  ],
});
