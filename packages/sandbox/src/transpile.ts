/**
 * TypeScript and ES modules to CommonJS, by the compiler itself: namespaces, enums and decorators are code, which no stripping of types
 * gives; types are not checked. It reads hostile text, so it works in a thread that can be ended, never in the event loop.
 */
import { Worker } from "node:worker_threads";
import { ownFile } from "./packages.js";

/** The candidate's text is no program of its language. */
export class NotTranspiled extends Error {
  override readonly name = "NotTranspiled";
}

interface Answer {
  readonly code?: string;
  readonly reading?: unknown;
  readonly error?: string;
}

let worker: Worker | undefined;
let queue: Promise<unknown> = Promise.resolve();

const moduleSyntax = /^\s*(?:import\b(?!\s*\()|export\b)/m;

/** A program as the interpreter of its language takes it: Python as it is, all else as CommonJS. */
export async function interpreted(
  language: string,
  source: string,
): Promise<{ language: "python" | "javascript"; code: string }> {
  if (language === "python") return { language, code: source };
  const code = await toCommonJs(source, language === "typescript" ? language : "javascript");
  return { language: "javascript", code };
}

/** Tests likewise, and what their text says (child/reading.mjs). Those that are no program stay as they are: their interpreter says so,
 * and blames no candidate. */
export async function interpretedTests(
  language: string,
  tests: string,
  entryPoint: string | undefined,
): Promise<{ tests: string; reading?: unknown }> {
  try {
    const { language: own, code } = await interpreted(language, tests);
    if (own === "python") return { tests: code };
    const { reading } = await inTurn({ read: code, entryPoint });
    return { tests: code, reading };
  } catch (error) {
    if (error instanceof NotTranspiled) return { tests };
    throw error;
  }
}

export async function toCommonJs(source: string, language: "javascript" | "typescript"): Promise<string> {
  if (language === "javascript" && !moduleSyntax.test(source)) return source;
  return (await inTurn({ source, language })).code ?? "";
}

function inTurn(request: object): Promise<Answer> {
  const turn = queue.then(() => ask(request));
  queue = turn.catch(() => {});
  return turn;
}

/** Wall time, in which a busy machine must have loaded the compiler too. */
const patienceMs = 60_000;

function ask(request: object): Promise<Answer> {
  worker ??= new Worker(ownFile("child", "transpile.mjs"));
  const mine = worker;
  mine.ref();
  return new Promise((resolve, reject) => {
    const settle = (act: () => void): void => {
      clearTimeout(timer);
      mine.off("message", onMessage).off("error", onError).unref();
      act();
    };
    const onMessage = (answer: Answer): void => {
      settle(() => (answer.error === undefined ? resolve(answer) : reject(new NotTranspiled(answer.error))));
    };
    const onError = (error: unknown): void => {
      worker = undefined;
      void mine.terminate();
      settle(() => reject(error));
    };
    const timer = setTimeout(
      () => onError(new Error(`the TypeScript compiler did not end within ${patienceMs / 1000} s`)),
      patienceMs,
    );
    mine.on("message", onMessage).on("error", onError);
    mine.postMessage(request);
  });
}
