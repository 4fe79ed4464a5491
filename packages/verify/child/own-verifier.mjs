// Runs a function of the user's own module: argv has the module and, if it was named, the function. A line comes in on standard input for
// each call, its number and {args} as JSON; file descriptor 3 takes the same number and what it returned. Standard output is the module's own.
import { randomUUID } from "node:crypto";
import { writeSync } from "node:fs";
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";
import { Worker } from "node:worker_threads";

const [path, name = ""] = process.argv.slice(2);

// Without its parent nothing ends a function that never returns: a thread of its own looks whether there still is one.
const watch = `setInterval(() => {
  if (process.ppid === ${process.ppid}) return;
  try { process.kill(-process.pid, "SIGKILL"); } catch { process.kill(process.pid, "SIGKILL"); }
}, 500)`;
new Worker(watch, { eval: true }).unref();

const mark = randomUUID();

/** A BigInt is written as its digits. @param {string} word @param {unknown} message */
function send(word, message) {
  // Inside of an object, where JSON would write null: as words.
  const text = JSON.stringify(message, (_, item) => {
    if (typeof item === "bigint") return `${mark}${item}`;
    return typeof item === "number" && !Number.isFinite(item) ? String(item) : item;
  });
  const bytes = Buffer.from(`${word} ${text.replaceAll(new RegExp(`"${mark}(-?\\d+)"`, "g"), "$1")}\n`);
  for (let at = 0; at < bytes.length; ) {
    try {
      at += writeSync(3, bytes, at);
    } catch (error) {
      if (/** @type {NodeJS.ErrnoException} */ (error).code !== "EAGAIN") throw error;
    }
  }
}

/** @param {unknown} error */
const said = (error) =>
  (error instanceof Error ? (error.stack ?? error.message) : String(error)).slice(0, 2000);

/** What JSON would turn into null without a word. @param {unknown} value @returns {string | undefined} */
function unwritable(value) {
  if (typeof value === "number" && !Number.isFinite(value)) return String(value);
  if (value === undefined) return "undefined";
  if (typeof value === "function" || typeof value === "symbol" || typeof value === "bigint")
    return typeof value;
  if (Array.isArray(value)) return value.map(unwritable).find((one) => one !== undefined);
  return undefined;
}

/** Texts that begin with the mark are whole numbers that no Number is. @param {any} value @param {string} bigint @returns {any} */
function revived(value, bigint) {
  if (typeof value === "string") return value.startsWith(bigint) ? BigInt(value.slice(bigint.length)) : value;
  if (typeof value !== "object" || value === null) return value;
  for (const key of Object.keys(value)) value[key] = revived(value[key], bigint);
  return value;
}

/** Names of a function's parameters, "{" for one that is taken apart, "..." before the rest. @param {Function} work @returns {string[]} */
function parametersOf(work) {
  const source = work.toString().replaceAll(/\/\*[\s\S]*?\*\/|\/\/[^\n]*/g, "");
  const single = /^(?:async\s+)?([\w$]+)\s*=>/.exec(source);
  if (single) return [/** @type {string} */ (single[1])];
  const names = [""];
  let depth = 0;
  for (let at = source.indexOf("("); at >= 0 && at < source.length; at++) {
    const character = /** @type {string} */ (source[at]);
    if (depth === 1 && character === ")") break;
    if (depth === 1 && character === ",") names.push("");
    else if (depth > 0) names[names.length - 1] += character;
    if ("([{".includes(character)) depth++;
    if (")]}".includes(character)) depth--;
  }
  const named = names.map((text) => (text.trim().startsWith("{") ? "{" : (text.split("=")[0] ?? "").trim()));
  return named.filter((name) => name !== "");
}

/**
 * What a function is called with. One that takes `prompts` first, or one object, has columns by the names of its parameters, as Python's
 * keywords: (prompts, completions, answer) or ({ completions, answer }); a parameter `columns` or the rest gets all that are not named. Others are called by place.
 * @param {Function} work @param {unknown[]} args @param {Record<string, unknown> | undefined} kwargs @returns {unknown[]}
 */
function argumentsOf(work, args, kwargs) {
  const names = parametersOf(work);
  if (kwargs === undefined || (names[0] !== "prompts" && names[0] !== "{")) return args;
  if (names[0] === "{") return [kwargs];
  const others = Object.fromEntries(Object.entries(kwargs).filter(([key]) => !names.includes(key)));
  return names.map((name) => {
    if (name in kwargs) return kwargs[name];
    if (name.startsWith("...") || name === "columns" || name === "kwargs") return others;
    throw new Error(`it asks for ${name}, which is no column: there are ${Object.keys(kwargs).join(", ")}`);
  });
}

/** @type {((...args: unknown[]) => unknown) | undefined} */
let work;
try {
  const module = await import(pathToFileURL(/** @type {string} */ (path)).href);
  const functions = Object.keys(module).filter((key) => typeof module[key] === "function");
  const preferred = ["grade", "compute_score", "computeScore", "reward_func", "rewardFunc", "reward"];
  const rewards = functions.filter((key) => /_reward$|Reward$/.test(key));
  const chosen =
    name === ""
      ? (preferred.find((key) => functions.includes(key)) ?? (rewards.length === 1 ? rewards[0] : undefined))
      : name;
  if (chosen === undefined || !functions.includes(chosen))
    send("refused", { missing: { wanted: name, functions } });
  else {
    work = module[chosen];
    send("ready", chosen);
  }
} catch (error) {
  send("refused", { failed: said(error) });
}

for await (const line of createInterface({ input: process.stdin })) {
  const space = line.indexOf(" ");
  const id = line.slice(0, space);
  const { bigint, ...call } = JSON.parse(line.slice(space + 1));
  const { args, kwargs } = revived(call, bigint);
  try {
    const value = await work?.(...argumentsOf(/** @type {Function} */ (work), args, kwargs));
    const bad = unwritable(value);
    send(id, bad === undefined ? { value } : { error: `it returned ${bad}` });
  } catch (error) {
    send(id, { error: said(error) });
  }
}
process.exit(0);
