/**
 * A function in a JavaScript or Python module of the user's, called in child processes that can be killed. It is the user's code and runs with the
 * user's rights; only its time is limited.
 */
import { randomUUID } from "node:crypto";
import { existsSync } from "node:fs";
import { basename, extname, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import {
  isJsonObject,
  LosslessNumber,
  parseJson,
  shortened,
  stringifyJson,
  UserError,
} from "@posttrain/data";
import { type Fate, fileDigest, type Greeting, openProcessPool } from "@posttrain/run";
import { type Convention, conventionOf } from "./adapters.js";

export interface OwnModuleOptions {
  /** Processes, each with one call at a time. Default: 1. */
  readonly concurrency?: number;
  /** Wall time of one call. Default: 10. */
  readonly timeoutSeconds?: number;
}

export interface OwnModule {
  /** File and function: "reward.mjs#grade". */
  readonly name: string;
  readonly functionName: string;
  readonly convention: Convention;
  /** Python's functions are called by keyword. */
  readonly isPython: boolean;
  /** SHA-256 of the module's file. */
  readonly digest: string;
  /** What the function returned, or why there is nothing. */
  call(call: Call): Promise<Answer>;
  close(): Promise<void>;
}

/** What a function is called with: by name where it can be, else by place. */
export interface Call {
  readonly args?: readonly unknown[];
  readonly kwargs?: Readonly<Record<string, unknown>>;
}

/** Importing a module may take longer than a call: torch takes seconds. */
const LOAD_SECONDS = 120;

/** Whether `--verifier` names a module: a path, with or without #function. */
export function isModulePath(text: string): boolean {
  return /[/\\]|\.(?:mjs|cjs|js|py)(?:#|$)/.test(text);
}

/**
 * `spec`: a path to .mjs, .js, .cjs or .py, and #name of the function unless it is grade, compute_score, reward, or the only one whose
 * name ends in _reward. UserError `bad_verifier` where the module does not load or has no such function; `what` it is to be.
 */
export async function openOwnModule(
  spec: string,
  what: "verifier" | "reward",
  { concurrency = 1, timeoutSeconds = 10 }: OwnModuleOptions = {},
): Promise<OwnModule> {
  const [, file = "", name = ""] = /^([^#]*)#?(.*)$/s.exec(spec) ?? [];
  const path = resolve(file);
  if (!existsSync(path))
    throw new UserError(
      "bad_verifier",
      `${what} ${file} is not there. Give the path of a .mjs, .js or .py file.`,
    );
  if (![".mjs", ".js", ".cjs", ".py"].includes(extname(path)))
    throw new UserError("bad_verifier", `${what} ${file}: expected a .mjs, .js, .cjs or .py file.`);
  const digest = await fileDigest(path);
  const pool = openProcessPool({
    command: { ...programOf(path, name), ownGroup: true },
    processes: concurrency,
    depth: 1,
    limit: { seconds: timeoutSeconds, clock: "wall" },
    loadSeconds: Math.max(LOAD_SECONDS, timeoutSeconds),
  });
  const greeting = await pool.start();
  if (greeting.word !== "ready") {
    await pool.close();
    throw new UserError("bad_verifier", `${what} ${file} ${refusalOf(greeting, file)}`);
  }
  const functionName: string = JSON.parse(greeting.text);
  const isPython = extname(path) === ".py";
  return {
    name: `${basename(path)}#${functionName}`,
    functionName,
    convention: conventionOf(functionName),
    isPython,
    digest,
    call: async (call) => {
      const sent = isPython ? pythonCall(call) : { bigint: MARK, ...(withBigInts(call) as Call) };
      return answerOf(await pool.run(stringifyJson(sent)), timeoutSeconds, what);
    },
    close: () => pool.close(),
  };
}

/** By keyword, where there are keywords. */
function pythonCall({ args = [], kwargs }: Call): Call {
  return kwargs === undefined ? { args } : { kwargs };
}

function programOf(
  path: string,
  name: string,
): { readonly program: string; readonly args: readonly string[] } {
  const isPython = extname(path) === ".py";
  const script = isPython ? "python/own_verifier.py" : "child/own-verifier.mjs";
  const own = fileURLToPath(new URL(`../${script}`, import.meta.url));
  return { program: isPython ? "python3" : process.execPath, args: [own, path, name] };
}

/** What a module says of itself in place of being ready. */
interface Refusal {
  readonly failed?: string;
  readonly missing?: { readonly wanted: string; readonly functions: readonly string[] };
}

function refusalOf({ word, text }: Greeting, file: string): string {
  if (word === "late") return `did not load within ${LOAD_SECONDS} s.`;
  const { missing, failed = text }: Refusal = word === "refused" ? JSON.parse(text) : {};
  if (missing === undefined) return `does not load: ${shortened(failed.trim(), 2000) || "its process ended"}`;
  const has = missing.functions.length === 0 ? "none" : missing.functions.join(", ");
  return missing.wanted === ""
    ? `has no function that could be meant: expected grade(response, row), compute_score or a reward function, it has ${has}. Name one: ${file}#NAME.`
    : `has no function ${missing.wanted}; it has ${has}.`;
}

export type Answer = { readonly value: unknown } | { readonly error: string };

function answerOf(fate: Fate, timeoutSeconds: number, what: string): Answer {
  if (fate.fate === "answered") {
    try {
      const { value = null, error } = parseJson(fate.text) as { value?: unknown; error?: string };
      return error === undefined ? { value } : { error: `the ${what} failed: ${error}` };
    } catch {
      return { error: `the ${what} wrote where its process answers: ${fate.text}` };
    }
  }
  const said = fate.said === "" ? "" : ` It had said: ${fate.said}`;
  switch (fate.fate) {
    case "late":
    case "starved":
      return { error: `the ${what} did not answer within ${timeoutSeconds} s, and was ended.${said}` };
    case "unstarted":
      return { error: `the ${what}'s process did not start.${said}` };
    case "gone":
      return { error: `the ${what}'s process ended.${said}` };
  }
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
