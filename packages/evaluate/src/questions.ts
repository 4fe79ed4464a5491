// Questions with their reference answers, from a file, checked row by row.

import {
  askedByRow,
  type ChatMessage,
  createRecordIds,
  isJsonNumber,
  isJsonObject,
  messagesOf,
  type OnProgress,
  placeText,
  plainAnswer,
  promptColumns,
  type Rendering,
  type RowPlace,
  readRows,
  stringifyJson,
  UserError,
} from "@posttrain/data";
import type { EvaluateConfig } from "./config.js";
import { findTask, type Task } from "./tasks.js";

export interface Question {
  readonly line: number;
  /** Of the row, as in training. */
  readonly id: string;
  readonly doc: Readonly<Record<string, unknown>>;
  /** The conversation that the response ends. */
  readonly messages: readonly ChatMessage[];
  readonly tools: readonly unknown[] | undefined;
  /** What the chat template is given beside them (chat_template_kwargs). */
  readonly variables: Rendering["variables"];
  /** As the row has it. */
  readonly answer: string;
  /** Of `kind`, `task` or `category`, the first that the row has. */
  readonly group: string | undefined;
}

export interface ReadOptions {
  /** A benchmark whose rows are asked in its own way. */
  readonly task?: Task | undefined;
  /** A verifier was asked for that reads the row itself: it may have no answer column. */
  readonly answerless?: boolean;
  readonly onProgress?: OnProgress | undefined;
}

/** Of rows that nothing else is said about: a question and its answer. */
export const plainVerifier = "exact_match";

/** How the rows of a config are read. A benchmark's rows that are graded as plain ones are asked as plain ones. */
export async function readingOf({
  task: name,
  verifier,
  data,
}: Pick<EvaluateConfig, "task" | "verifier" | "data">): Promise<ReadOptions> {
  const task = verifier === plainVerifier ? undefined : await taskOf(name, data);
  return { task, answerless: verifier !== undefined && verifier !== plainVerifier };
}

/** The benchmark of this name, unless the first row of the file is none of its own. */
async function taskOf(name: string | undefined, path: string): Promise<Task | undefined> {
  const task = findTask(name);
  if (task?.isOwn === undefined) return task;
  for await (const { value } of readRows(path)) {
    return typeof value === "object" && value !== null && task.isOwn(value as Question["doc"])
      ? task
      : undefined;
  }
  return task;
}

/** Reads them all. UserError naming file, line and field. */
export async function readQuestions(path: string, options: ReadOptions = {}): Promise<readonly Question[]> {
  const recordId = createRecordIds();
  const questions: Question[] = [];
  for await (const { line, place, value } of readRows(path, { onProgress: options.onProgress })) {
    const question =
      options.task === undefined
        ? parseQuestion(value, place, options.answerless)
        : taskQuestion(options.task, value, place);
    questions.push({ line, id: recordId(value), ...question });
  }
  return questions;
}

function taskQuestion(task: Task, value: unknown, place: RowPlace): Omit<Question, "line" | "id"> {
  const doc = isJsonObject(value) ? value : {};
  const content = task.ask(doc);
  if (content === undefined) {
    const found = isJsonObject(value)
      ? Object.keys(doc).join(", ") || "none"
      : stringifyJson(value).slice(0, 60);
    throw new UserError(
      "bad_question",
      `${placeText(place)}: a row of ${task.name} has ${task.columns.join(", ")}; its columns are ${found}. Give another task, or rename the columns.`,
    );
  }
  return {
    doc,
    messages: [{ role: "user", content }],
    tools: undefined,
    variables: undefined,
    answer: task.answer(doc),
    group: task.group?.(doc),
  };
}

function parseQuestion(value: unknown, place: RowPlace, answerless = false): Omit<Question, "line" | "id"> {
  const refuse = (text: string): UserError => new UserError("bad_question", `${placeText(place)}: ${text}`);
  if (!isJsonObject(value)) {
    throw refuse(`expected a JSON object, came ${stringifyJson(value).slice(0, 60)}.`);
  }
  const { answer } = value;
  if (answer == null && !answerless) {
    const found = Object.keys(value).join(", ") || "none";
    throw refuse(
      `a question needs an answer beside ${promptColumns.join(", ")}; its columns are ${found}. Rename or convert the columns.`,
    );
  }
  // With a verifier of its own it says what is wrong with it.
  if (!answerless && (typeof answer !== "string" || answer.trim() === "") && !isJsonNumber(answer)) {
    throw refuse(`answer: expected text or a number, came ${stringifyJson(answer).slice(0, 60)}.`);
  }
  const asked = askedByRow(value, place);
  if ("problem" in asked) throw refuse(asked.problem);
  if (asked.kind === "tokens") {
    throw refuse("input_ids are tokens, and a question is rendered as text: give it as prompt or messages.");
  }
  return {
    doc: value,
    messages: messagesOf(asked),
    tools: asked.tools,
    variables: asked.variables,
    answer: plainAnswer(answer),
    group: groupOf(value),
  };
}

function groupOf(doc: Readonly<Record<string, unknown>>): string | undefined {
  const value = ["kind", "task", "category"]
    .map((name) => doc[name])
    .find((text) => typeof text === "string" && text !== "");
  return value as string | undefined;
}

/** The first `count` examples that are not the question itself. UserError when there are not so many. */
export function examplesFor(
  question: Question,
  examples: readonly Question[],
  count: number,
  path: string,
): readonly Question[] {
  const others = examples.filter(({ id }) => id !== question.id).slice(0, count);
  if (others.length === count) return others;
  throw new UserError(
    "too_few_examples",
    `${path} has ${others.length} examples for the question on line ${question.line}, num_fewshot is ${count} (a question is no example for itself). ` +
      "Lower num_fewshot, or add rows.",
  );
}
