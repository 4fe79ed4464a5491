// A Redis of a test's own: on a free port, in a folder of its own, gone with the test.
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { onTestFinished } from "vitest";
import { skipUnless } from "./skip.js";

const hasRedis = spawnSync("redis-server", ["--version"]).status === 0;

/** Options for `describe` or `test`. */
export const withRedis = skipUnless(
  hasRedis,
  "no redis-server",
  "sudo apt-get install -y redis-server && npm test",
);

export interface RedisServer {
  readonly port: number;
  readonly url: string;
  /** What redis-cli prints. */
  cli(...args: readonly string[]): string;
  /** SIGKILL. */
  kill(): Promise<void>;
  /** It neither answers nor hangs up, as behind a broken network, until it goes on. */
  pause(): void;
  resume(): void;
  /** On the same port and folder. */
  start(): Promise<void>;
  stop(): Promise<void>;
}

/** `args`: of redis-server, as `--appendonly yes`. */
export async function startRedis(args: readonly string[] = []): Promise<RedisServer> {
  const folder = mkdtempSync(join(tmpdir(), "posttrain-redis-"));
  const port = await freePort();
  let server: ChildProcess | undefined;
  const start = async (): Promise<void> => {
    const own = ["--port", String(port), "--bind", "127.0.0.1", "--dir", folder, "--save", "", ...args];
    const child = spawn("redis-server", own, { stdio: ["ignore", "pipe", "inherit"] });
    server = child;
    await new Promise<void>((resolve, reject) => {
      let said = "";
      child.on("exit", (code) => reject(new Error(`redis-server ended with ${code}: ${said}`)));
      child.stdout.on("data", (chunk: Buffer) => {
        said += chunk;
        if (said.includes("Ready to accept connections")) resolve();
      });
    });
  };
  const end = async (signal: NodeJS.Signals): Promise<void> => {
    const child = server;
    server = undefined;
    if (child === undefined || child.exitCode !== null) return;
    const gone = new Promise((resolve) => child.once("exit", resolve));
    child.kill(signal);
    await gone;
  };
  await start();
  return {
    ...{ port, url: `redis://127.0.0.1:${port}`, start },
    cli: (...words) => {
      const { stdout, stderr } = spawnSync("redis-cli", ["-p", String(port), ...words], { encoding: "utf8" });
      return (stdout + stderr).trim();
    },
    kill: () => end("SIGKILL"),
    pause: () => void server?.kill("SIGSTOP"),
    resume: () => void server?.kill("SIGCONT"),
    stop: async () => {
      server?.kill("SIGCONT");
      await end("SIGTERM");
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** Stopped at the end of the test. */
export async function redisOfTest(args: readonly string[] = []): Promise<RedisServer> {
  const redis = await startRedis(args);
  onTestFinished(() => redis.stop());
  return redis;
}

export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.on("error", reject).listen(0, "127.0.0.1", () => {
      const { port } = server.address() as { port: number };
      server.close(() => resolve(port));
    });
  });
}
