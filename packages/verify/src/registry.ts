/**
 * The verifiers by name, held open over many rows: a row in, a verdict for each of its responses out. Whatever is wrong with a row
 * or a machine is a verdict too, so that one row never ends the grading of a file.
 */
import { availableParallelism } from "node:os";
import { type AnswerGrader, createAnswerGrader } from "@posttrain/answers";
import type { Verdict } from "@posttrain/data";
import { UNENDED_THINKING, UserError, withDoubles, withoutThinking } from "@posttrain/data";
import type { Route } from "@posttrain/sandbox";
import { closeSandboxes } from "@posttrain/sandbox";
import PQueue from "p-queue";
import { answerVerifiers } from "./answer-verifiers.js";
import { codeVerifiers } from "./code-verifier.js";
import { type Detected, type Detection, detectVerifier as detect } from "./detect.js";
import { instructionVerifiers } from "./instruction-verifiers.js";
import { responsesOf } from "./responses.js";
import {
  type Judged,
  type Row,
  rowFault,
  type Tools,
  type VerifierDefinition,
  type VerifierSettings,
  verifierSettings,
} from "./verifier.js";

const definitions: ReadonlyMap<string, VerifierDefinition> = new Map(
  [...answerVerifiers, ...codeVerifiers, ...instructionVerifiers].map((definition) => [
    definition.name,
    definition,
  ]),
);

export const verifierNames: readonly string[] = [...definitions.keys()];

/** Which verifier a row asks for, or why none can be told. */
export function detectVerifier(row: Row): Detected {
  return detect(row, verifierNames);
}

/** Grades a response with what a row holds. */
export interface Verifier {
  readonly name: string;
  /** Default: response. */
  readonly judges?: Judged;
  grade(response: string, row: Row): Promise<Verdict>;
}

export interface VerifiersOptions extends VerifierSettings {
  /** Responses graded at once; default: one for each core. */
  readonly concurrency?: number;
  /** Tests that must run beside the candidate: `refuse` makes their verdict an infrastructure-error. Default: accept. */
  readonly unsealed?: "accept" | "refuse";
  /** Default: native where this machine proves it, else WebAssembly. */
  readonly route?: Route;
  readonly signal?: AbortSignal;
  /** This verifier for every row, whatever the rows say. */
  readonly verifier?: string | Verifier;
}

export interface GradedResponse extends Verdict {
  readonly verifier: string;
  /** Wall time. */
  readonly seconds: number;
}

export interface Verifiers extends AsyncDisposable {
  get(name: string): Verifier | undefined;
  /** What keeps a row from being graded, said before anything is: a missing field, an unknown name, no response. */
  problemOf(row: Row): string | undefined;
  /** The verifier that will grade the row, and what it needs of it; undefined where problemOf names something. */
  verifierOf(
    row: Row,
  ): { readonly name: string; readonly judges: Judged; readonly needs: unknown } | undefined;
  grade(response: string, row: Row): Promise<GradedResponse>;
  /** A verdict for each response of the row. Never rejects for anything that is in it. */
  gradeRow(row: Row): Promise<readonly GradedResponse[]>;
  close(): Promise<void>;
}

interface Prepared {
  readonly name: string;
  readonly judges: Judged;
  /** What of the row decides its verdicts; of a verifier of the user's own nobody knows. */
  readonly needs: unknown;
  readonly grade: (response: string) => Promise<Verdict>;
}

/** An infrastructure-error is tried again so often, unless the row or the machine's setup is at fault. */
const RETRIES = 1;

export function openVerifiers(options: VerifiersOptions = {}): Verifiers {
  const { concurrency, unsealed = "accept", route, signal, verifier: forced, ...defaults } = options;
  if (typeof forced === "string" && !definitions.has(forced)) {
    throw new UserError(
      "unknown_verifier",
      `There is no verifier ${JSON.stringify(forced)}. Known verifiers: ${verifierNames.join(", ")}; or the path of a module of your own, such as ./my-verifier.mjs.`,
    );
  }
  const closing = new AbortController();
  const ended = signal === undefined ? closing.signal : AbortSignal.any([signal, closing.signal]);
  const queue = new PQueue({ concurrency: concurrency ?? availableParallelism() });
  let grader: AnswerGrader | undefined;
  const tools: Tools = {
    // Processes start with the first answer.
    get answers() {
      grader ??= createAnswerGrader({ workers: concurrency ?? availableParallelism() });
      return grader;
    },
    sandbox: {
      objects: unsealed === "refuse" ? "refuse" : "allow",
      ...(route !== undefined && { route }),
      signal: ended,
    },
  };

  function detected(row: Row): Detected {
    return typeof forced === "string" ? { name: forced, by: "verifier" } : detectVerifier(row);
  }

  /** Reads the row once: which verifier, what it needs, how strictly. */
  function prepare(row: Row): Prepared | { readonly problem: string; readonly name: string } {
    if (typeof forced === "object")
      return {
        name: forced.name,
        judges: forced.judges ?? "response",
        needs: undefined,
        grade: (response) => forced.grade(response, row),
      };
    const detection = detected(row);
    if ("problem" in detection) return { problem: detection.problem, name: "none" };
    const { name } = detection;
    const definition = definitions.get(name)!;
    const own = verifierSettings.safeParse(withDoubles(settingsOf(detection, row)));
    if (!own.success) {
      const { path, message, code } = own.error.issues[0]!;
      const unknown = code === "unrecognized_keys" ? `; known: ${settingNames.join(", ")}` : "";
      return {
        problem: `verifier${path.length > 0 ? `.${path.join(".")}` : ""}: ${message}${unknown}`,
        name,
      };
    }
    const needs = definition.needs.safeParse(row);
    if (!needs.success) {
      const { path, message } = needs.error.issues[0]!;
      const where = path.length > 0 ? `${path.join(".")}: ` : "";
      return { problem: `${where}${message} (verifier ${name}, from ${detection.by})`, name };
    }
    const settings = { ...defaults, ...own.data };
    return {
      name,
      judges: definition.judges,
      needs: needs.data,
      grade: (response) => gradeSeen(definition, response, needs.data, settings, tools),
    };
  }

  function gradeWith(prepared: ReturnType<typeof prepare>, response: string): Promise<GradedResponse> {
    return queue.add(async () => {
      const started = performance.now();
      const verdict =
        "problem" in prepared
          ? rowFault(prepared.problem)
          : await withRetries(() => prepared.grade(response), ended);
      const seconds = Number(((performance.now() - started) / 1000).toFixed(4));
      return { ...verdict, verifier: prepared.name, seconds };
    });
  }

  const close = async (): Promise<void> => {
    // Processes that nobody waits for do not keep ours alive until they are gone.
    closing.abort();
    const alive = setInterval(() => undefined, 1000);
    try {
      await grader?.close();
      await closeSandboxes();
    } finally {
      clearInterval(alive);
    }
  };
  return {
    get: (name) => {
      const definition = definitions.get(name);
      if (definition === undefined) return undefined;
      return {
        name,
        judges: definition.judges,
        grade: async (response, row) => {
          const needs = definition.needs.safeParse(row);
          if (!needs.success)
            return rowFault(`${needs.error.issues[0]!.message} (verifier ${definition.name})`);
          return gradeSeen(definition, response, needs.data, defaults, tools);
        },
      };
    },
    problemOf: (row) => {
      const prepared = prepare(row);
      if ("problem" in prepared) return prepared.problem;
      const responses = responsesOf(row);
      return "problem" in responses ? responses.problem : undefined;
    },
    verifierOf: (row) => {
      const prepared = prepare(row);
      return "problem" in prepared ? undefined : prepared;
    },
    grade: (response, row) => gradeWith(prepare(row), response),
    gradeRow: async (row) => {
      const responses = responsesOf(row);
      const prepared = prepare(row);
      if ("problem" in responses)
        return [{ ...rowFault(responses.problem), verifier: prepared.name, seconds: 0 }];
      return Promise.all(responses.texts.map((text) => gradeWith(prepared, text)));
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}

/** Our verifiers see no thinking; those of the user's own get the response as it is. */
async function gradeSeen(
  definition: VerifierDefinition,
  response: string,
  needs: unknown,
  settings: VerifierSettings,
  tools: Tools,
): Promise<Verdict> {
  const seen = withoutThinking(response);
  return seen === undefined ? UNENDED_THINKING : definition.grade(seen, needs, settings, tools);
}

const settingNames = Object.keys(verifierSettings.shape);

/** Beside the name in `verifier`, or in a column of their own. */
function settingsOf({ settings }: Detection, row: Row): unknown {
  const column = row["verifier_settings"];
  return { ...(typeof column === "object" && column !== null && column), ...settings };
}

async function withRetries(grade: () => Promise<Verdict>, signal: AbortSignal): Promise<Verdict> {
  for (let attempt = 0; ; attempt++) {
    if (signal.aborted) return { outcome: "infrastructure-error", evidence: "Not graded: cancelled." };
    let verdict: Verdict;
    try {
      verdict = await grade();
    } catch (error) {
      const said = error instanceof Error ? (error.stack ?? error.message) : String(error);
      verdict = { outcome: "infrastructure-error", evidence: `Not graded: the verifier failed: ${said}` };
    }
    // What has a fault would only say the same again.
    const mayChange = verdict.outcome === "infrastructure-error" && verdict.details?.["fault"] === undefined;
    if (!mayChange || attempt >= RETRIES) return verdict;
  }
}

/**
 * Grades what a model said to a row, its `response` among the columns. A response that never ended has no answer; programs
 * and instructions are judged by what is there.
 */
export async function gradeSaid(
  verifiers: Verifiers,
  row: Row,
  { text, finish }: { readonly text: string; readonly finish: "stop" | "length" },
): Promise<GradedResponse> {
  const { name, judges } = verifiers.verifierOf(row) ?? {};
  if (finish === "length" && name !== undefined && (judges === "answer" || judges === "response")) {
    return { ...UNENDED, verifier: name, seconds: 0 };
  }
  return verifiers.grade(text, row);
}

const UNENDED: Verdict = {
  outcome: "unparseable",
  evidence: "No answer was taken from the response: it never ended.",
};
