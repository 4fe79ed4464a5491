// Builds as tests run them: in a folder of their own, with a scripted server as the teacher.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll } from "vitest";
import {
  type Answer,
  completion,
  json,
  openScriptedServer,
  type ScriptedServer,
  type ServedRequest,
} from "../../../../tests/support/openai-server.js";
import { type BuildReport, type BuildRun, build, buildConfig } from "../../src/index.js";

export interface Building {
  /** Open while tests run. */
  readonly server: () => ScriptedServer;
  /** Takes what no test has scripted; each test sets it anew. */
  readonly answering: (otherwise: (body: ServedRequest) => string | Answer) => void;
  readonly at: (name: string) => string;
  readonly write: (name: string, rows: readonly unknown[]) => string;
  readonly lines: <Row>(name: string) => readonly Row[];
  /** A name for a new file. */
  readonly output: () => string;
  readonly make: (
    options: Readonly<Record<string, unknown>>,
    run?: Partial<BuildRun>,
  ) => Promise<BuildReport>;
}

/** Answers by the prompt, and by how often it came before. */
export function byPrompt(
  teacher: (prompt: string, nth: number) => string | Answer,
): (body: ServedRequest) => string | Answer {
  const counts = new Map<string, number>();
  return ({ messages }) => {
    const prompt = messages.map(({ content }) => content).join("\n");
    const nth = counts.get(prompt) ?? 0;
    counts.set(prompt, nth + 1);
    return teacher(prompt, nth);
  };
}

export const says = (text: string, finish = "stop"): Answer => json(200, completion(text, {}, finish));

/** For the tests of the file that calls it. */
export function building(): Building {
  const folder = mkdtempSync(join(tmpdir(), "posttrain-build-"));
  const at = (name: string): string => join(folder, name);
  let server: ScriptedServer;
  let otherwise: ((body: ServedRequest) => string | Answer) | undefined;
  beforeAll(async () => {
    server = await openScriptedServer((body, response) => {
      const said = otherwise?.(body) ?? "nothing was scripted";
      (typeof said === "string" ? says(said) : said)(body, response);
    });
  });
  afterEach(() => {
    server.reset();
    otherwise = undefined;
  });
  afterAll(() => {
    server.close();
    rmSync(folder, { recursive: true });
  });
  let outputs = 0;
  return {
    server: () => server,
    answering: (answer) => {
      otherwise = answer;
    },
    at,
    write: (name, rows) => {
      writeFileSync(at(name), rows.map((row) => `${JSON.stringify(row)}\n`).join(""));
      return at(name);
    },
    lines: <Row>(name: string) =>
      readFileSync(at(name), "utf8")
        .split("\n")
        .filter((line) => line !== "")
        .map((line) => JSON.parse(line) as Row),
    output: () => `out-${outputs++}.jsonl`,
    make: (options, run = {}) =>
      build(buildConfig.parse({ num_concurrent: 1, max_retries: 1, ...options }), { ...noModels, ...run }),
  };
}

export const noModels: BuildRun = {
  withModel: () => Promise.reject(new Error("no model here")),
  withReward: () => Promise.reject(new Error("no reward model here")),
};
