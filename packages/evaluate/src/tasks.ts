// The benchmarks that evaluate knows by name: how a row is asked, and which verifier grades its response. The rows come from a file,
// as the benchmark publishes them; the sentences are ours.
import { plainAnswer } from "@posttrain/data";

type Doc = Readonly<Record<string, unknown>>;

export interface Task {
  readonly name: string;
  /** The columns that a row must have. */
  readonly columns: readonly string[];
  readonly verifier: string;
  /** Rows that are not the benchmark's own although they have its columns: then its name is a name and no more. */
  readonly isOwn?: (doc: Doc) => boolean;
  /** What the model is asked; undefined where a column is missing. */
  readonly ask: (doc: Doc) => string | undefined;
  /** The reference, for solved examples and for the samples file. */
  readonly answer: (doc: Doc) => string;
  readonly group?: (doc: Doc) => string | undefined;
}

const text = (doc: Doc, ...names: readonly string[]): string | undefined => {
  const value = names.map((name) => doc[name]).find((one) => typeof one === "string" && one.trim() !== "");
  return value as string | undefined;
};

const tasks: readonly Task[] = [
  {
    name: "gsm8k",
    columns: ["question", "answer"],
    verifier: "gsm8k",
    // Questions with plain answers are anybody's; GSM8K's answers show their work.
    isOwn: (doc) => (text(doc, "answer") ?? "").includes("####"),
    ask: (doc) => {
      const question = text(doc, "question");
      return question && `${question}\n\nReason step by step, then write the number alone after ####.`;
    },
    answer: (doc) => text(doc, "answer") ?? plainAnswer(doc["answer"]),
  },
  {
    name: "math",
    columns: ["problem", "solution"],
    verifier: "math",
    ask: (doc) => {
      const problem = text(doc, "problem", "question");
      return problem && `${problem}\n\nReason step by step, and put the final answer in \\boxed{}.`;
    },
    answer: (doc) => text(doc, "solution", "answer") ?? plainAnswer(doc["answer"]),
    group: (doc) => text(doc, "type", "subject"),
  },
  {
    name: "humaneval",
    columns: ["prompt", "entry_point", "test"],
    verifier: "code",
    ask: (doc) => {
      const prompt = text(doc, "prompt");
      return (
        prompt &&
        `Complete this Python function. Answer with the whole function in one code block.\n\n\`\`\`python\n${prompt.trimEnd()}\n\`\`\``
      );
    },
    answer: (doc) => `${text(doc, "prompt") ?? ""}${text(doc, "canonical_solution") ?? ""}`,
  },
  {
    name: "mbpp",
    columns: ["text or prompt", "test_list"],
    verifier: "code",
    ask: (doc) => {
      const task = text(doc, "text", "prompt");
      const tests = doc["test_list"];
      if (task === undefined || !Array.isArray(tests)) return undefined;
      return `${task}\n\nAnswer with Python in one code block. It must pass these tests:\n\n\`\`\`python\n${tests.join("\n")}\n\`\`\``;
    },
    answer: (doc) => text(doc, "code") ?? "",
  },
  {
    name: "ifeval",
    columns: ["prompt", "instruction_id_list", "kwargs"],
    verifier: "ifeval",
    ask: (doc) => (doc["instruction_id_list"] === undefined ? undefined : text(doc, "prompt")),
    answer: () => "",
  },
];

export const taskNames: readonly string[] = tasks.map(({ name }) => name);

export function findTask(name: string | undefined): Task | undefined {
  return tasks.find((task) => task.name === name);
}
