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

/** Tests likewise. Those that are no program stay as they are: their interpreter says so, and blames no candidate. */
export async function interpretedTests(language: string, tests: string): Promise<string> {
  try {
    return (await interpreted(language, tests)).code;
  } catch (error) {
    if (error instanceof NotTranspiled) return tests;
    throw error;
  }
}

export function toCommonJs(source: string, language: "javascript" | "typescript"): Promise<string> {
  if (language === "javascript" && !moduleSyntax.test(source)) return Promise.resolve(source);
  const turn = queue.then(() => transpile(source, language));
  queue = turn.catch(() => {});
  return turn;
}

const patienceMs = 10_000;

function transpile(source: string, language: string): Promise<string> {
  worker ??= new Worker(ownFile("child", "transpile.mjs"));
  const mine = worker;
  mine.ref();
  return new Promise((resolve, reject) => {
    const settle = (act: () => void): void => {
      clearTimeout(timer);
      mine.off("message", onMessage).off("error", onError).unref();
      act();
    };
    const onMessage = ({ code, error }: Answer): void => {
      settle(() => (code === undefined ? reject(new NotTranspiled(error)) : resolve(code)));
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
    mine.postMessage({ source, language });
  });
}
