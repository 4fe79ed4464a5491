/**
 * A verifier of the user's own: a function in a JavaScript or Python module, called in child processes that can be killed. What it
 * throws, what it returns that means nothing, and what it does not return in time is an infrastructure-error: a broken verifier
 * teaches nobody. It is the user's code and runs with the user's rights; only its time is limited.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { existsSync } from "node:fs";
import { basename, extname, resolve } from "node:path";
import { createInterface } from "node:readline";
import type { Readable, Writable } from "node:stream";
import { fileURLToPath } from "node:url";
import type { Verdict } from "@posttrain/data";
import {
  isJsonObject,
  LosslessNumber,
  parseJson,
  shortened,
  stringifyJson,
  UserError,
} from "@posttrain/data";
import { fileDigest } from "@posttrain/run";
import { type Convention, conventionOf, trlArguments, verdictOf, verlArguments } from "./adapters.js";
import type { Verifier } from "./registry.js";
import type { Row } from "./verifier.js";

export interface OwnVerifierOptions {
  /** Processes, each with one response at a time. Default: 1. */
  readonly concurrency?: number;
  /** Wall time of one response. Default: 10. */
  readonly timeoutSeconds?: number;
  readonly passScore?: number;
}

export interface OwnVerifier extends Verifier, AsyncDisposable {
  /** SHA-256 of the module's file. */
  readonly digest: string;
  close(): Promise<void>;
}

/** Importing a module may take longer than a call: torch takes seconds. */
const LOAD_SECONDS = 120;

/** Whether `--verifier` names a module: a path, with or without #function. */
export function isModulePath(text: string): boolean {
  return /[/\\]|\.(?:mjs|cjs|js|py)(?:#|$)/.test(text);
}

/**
 * `spec`: a path to .mjs, .js, .cjs or .py, and #name of the function unless it is grade, compute_score, reward, or the only one whose
 * name ends in _reward. UserError `bad_verifier` where the module does not load or has no such function.
 */
export async function openOwnVerifier(spec: string, options: OwnVerifierOptions = {}): Promise<OwnVerifier> {
  const { concurrency = 1, timeoutSeconds = 10, passScore = 1 } = options;
  const [, file = "", name = ""] = /^([^#]*)#?(.*)$/s.exec(spec) ?? [];
  const path = resolve(file);
  if (!existsSync(path))
    throw new UserError(
      "bad_verifier",
      `verifier ${file} is not there. Give the path of a .mjs, .js or .py file.`,
    );
  if (![".mjs", ".js", ".cjs", ".py"].includes(extname(path)))
    throw new UserError("bad_verifier", `verifier ${file}: expected a .mjs, .js, .cjs or .py file.`);
  const digest = await fileDigest(path);
  const idle: Child[] = [];
  const all = new Set<Child>();
  const queue: ((child: Child) => void)[] = [];
  const start = async (): Promise<Child> => {
    const child = new Child(path, name);
    all.add(child);
    child.gone.then(() => all.delete(child)).catch(() => undefined);
    await child.ready(file, timeoutSeconds);
    return child;
  };
  const first = await start();
  idle.push(first);
  const { functionName } = first;
  let running = 1;
  const take = async (): Promise<Child> => {
    const waiting = idle.pop();
    if (waiting !== undefined) return waiting;
    if (running >= concurrency) return new Promise((give) => queue.push(give));
    running++;
    return start().catch((error: unknown) => {
      running--;
      throw error;
    });
  };
  const giveBack = (child: Child): void => {
    const next = queue.shift();
    if (!child.isAlive) {
      running--;
      // Somebody waits: a new process takes the dead one's place.
      if (next !== undefined) {
        running++;
        start().then(next, () => next(child));
      }
    } else if (next !== undefined) next(child);
    else idle.push(child);
  };
  const convention = conventionOf(functionName);
  const close = async (): Promise<void> => {
    for (const child of all) child.kill();
    await Promise.all([...all].map(({ gone }) => gone));
  };
  return {
    name: `${basename(path)}#${functionName}`,
    digest,
    grade: async (response, row) => {
      let child: Child;
      try {
        child = await take();
      } catch (error) {
        return failed(`the verifier's process did not start: ${(error as Error).message}`);
      }
      try {
        const answer = await child.call(callOf(convention, path, response, row), timeoutSeconds);
        return "error" in answer
          ? failed(shortened(answer.error, 2000))
          : verdictOf(answer.value, convention, passScore);
      } finally {
        giveBack(child);
      }
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}

function failed(reason: string): Verdict {
  return {
    outcome: "infrastructure-error",
    evidence: `Not graded: ${reason}`,
    details: { fault: "verifier" },
  };
}

interface Call {
  readonly args?: readonly unknown[];
  readonly kwargs?: Readonly<Record<string, unknown>>;
}

/** Python's reward functions are called by keyword, as TRL and verl call them. */
function callOf(convention: Convention, path: string, response: string, row: Row): Call {
  const isPython = extname(path) === ".py";
  if (convention === "own") return { args: [response, row] };
  if (convention === "trl") {
    const [completions, columns] = trlArguments(response, row);
    return isPython ? { kwargs: { completions, ...columns } } : { args: [completions, columns] };
  }
  const args = verlArguments(response, row);
  const [data_source, solution_str, ground_truth, extra_info] = args;
  return isPython ? { kwargs: { data_source, solution_str, ground_truth, extra_info } } : { args };
}

/** Before the digits of what a JavaScript module is to get as a BigInt. No row can know it. */
const MARK = randomUUID();

/** A whole number is a Number where one holds it, else a BigInt: a Number would be another one. */
function withBigInts(value: unknown): unknown {
  if (value instanceof LosslessNumber) {
    const near = Number(value.written);
    const isExact = Number.isFinite(near) && value.isInteger && BigInt(near) === BigInt(value.written);
    return isExact || !value.isInteger ? value : `${MARK}${value.written}`;
  }
  if (Array.isArray(value)) return value.map(withBigInts);
  if (!isJsonObject(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, withBigInts(item)]));
}

type Answer = { readonly value: unknown } | { readonly error: string };

interface Message {
  readonly ready?: string;
  readonly failed?: string;
  readonly missing?: { readonly wanted: string; readonly functions: readonly string[] };
  readonly id?: number;
  readonly value?: unknown;
  readonly error?: string;
}

const MAX_TAIL = 2000;

class Child {
  functionName = "";
  isAlive = true;
  readonly gone: Promise<void>;
  readonly #child: ChildProcess;
  readonly #isPython: boolean;
  #tail = "";
  #waiting: ((message: Message | undefined) => void) | undefined;
  readonly #early: Message[] = [];
  #calls = 0;

  constructor(path: string, name: string) {
    const isPython = extname(path) === ".py";
    this.#isPython = isPython;
    const script = isPython ? "python/own_verifier.py" : "child/own-verifier.mjs";
    const program = fileURLToPath(new URL(`../${script}`, import.meta.url));
    const child = spawn(isPython ? "python3" : process.execPath, [program, path, name], {
      stdio: ["pipe", "pipe", "pipe", "pipe"],
      // A group of its own, so that what it starts dies with it.
      detached: true,
    });
    this.#child = child;
    this.gone = new Promise((done) => {
      const end = (error?: Error): void => {
        if (error !== undefined) this.#tail += error.message;
        this.isAlive = false;
        this.#give(undefined);
        done();
      };
      child.on("error", end);
      child.on("close", () => end());
    });
    for (const stream of [child.stdout, child.stderr]) {
      stream?.on("data", (chunk: Buffer) => {
        this.#tail = (this.#tail + chunk.toString("utf8")).slice(-MAX_TAIL);
      });
    }
    child.stdin?.on("error", () => undefined); // A process that is gone says so by its end.
    createInterface({ input: child.stdio[3] as Readable }).on("line", (line) => {
      this.#give(parseJson(line) as Message);
    });
  }

  #give(message: Message | undefined): void {
    const waiting = this.#waiting;
    this.#waiting = undefined;
    if (waiting !== undefined) waiting(message);
    else if (message !== undefined) this.#early.push(message);
  }

  /** The next message; "late" after so many seconds, undefined if the process ends first. */
  #next(seconds: number): Promise<Message | "late" | undefined> {
    const early = this.#early.shift();
    if (early !== undefined || !this.isAlive) return Promise.resolve(early);
    return new Promise((done) => {
      const timer = setTimeout(() => {
        this.#waiting = undefined;
        done("late");
      }, seconds * 1000);
      this.#waiting = (message) => {
        clearTimeout(timer);
        done(message);
      };
    });
  }

  /** Throws UserError `bad_verifier`. */
  async ready(file: string, timeoutSeconds: number): Promise<void> {
    const message = await this.#next(Math.max(LOAD_SECONDS, timeoutSeconds));
    const refuse = (text: string): UserError => {
      this.kill();
      return new UserError("bad_verifier", `verifier ${file} ${text}`);
    };
    if (message === "late") throw refuse(`did not load within ${LOAD_SECONDS} s.`);
    if (message?.ready !== undefined) {
      this.functionName = message.ready;
      return;
    }
    if (message?.missing !== undefined) {
      const { wanted, functions } = message.missing;
      const has = functions.length === 0 ? "none" : functions.join(", ");
      throw refuse(
        wanted === ""
          ? `has no function that could be meant: expected grade(response, row), compute_score or a reward function, it has ${has}. Name one: ${file}#NAME.`
          : `has no function ${wanted}; it has ${has}.`,
      );
    }
    throw refuse(
      `does not load: ${shortened((message?.failed ?? this.#tail).trim(), 2000) || "its process ended"}`,
    );
  }

  async call(call: Call, timeoutSeconds: number): Promise<Answer> {
    if (!this.isAlive) return { error: `the verifier's process ended. ${this.#said()}` };
    const id = ++this.#calls;
    const answer = this.#next(timeoutSeconds);
    const sent = this.#isPython ? call : { bigint: MARK, ...(withBigInts(call) as Call) };
    (this.#child.stdin as Writable).write(`${stringifyJson({ id, ...sent })}\n`);
    const message = await answer;
    if (message === "late") {
      this.kill();
      await this.gone;
      return {
        error: `the verifier did not answer within ${timeoutSeconds} s, and was ended. ${this.#said()}`,
      };
    }
    if (message === undefined) return { error: `the verifier's process ended. ${this.#said()}` };
    if (message.id !== id) {
      this.kill();
      return { error: "the verifier answered another call" };
    }
    if (message.error !== undefined) return { error: `the verifier failed: ${message.error}` };
    return { value: message.value ?? null };
  }

  #said(): string {
    const text = this.#tail.trim();
    return text === "" ? "" : `It had said: ${text}`;
  }

  kill(): void {
    const { pid } = this.#child;
    if (pid === undefined || !this.isAlive) return;
    try {
      process.kill(-pid, "SIGKILL");
    } catch {
      this.#child.kill("SIGKILL");
    }
  }
}
