// What an area of data is made of. An area is a function from what it is given to conversations, a pipeline of steps to be read from top to bottom.
import type { ChatMessage } from "@posttrain/data";
import type { Journal } from "@posttrain/run";
import type { JournalledGrader, Verifiers } from "@posttrain/verify";
import type { BuildConfig } from "./config.js";
import type { Draws } from "./draws.js";
import type { Roles } from "./roles.js";
import type { Steps } from "./steps.js";

export interface Area {
  /** Goes up when what it makes of a seed changes. */
  readonly version: number;
  /** Kinds of tasks that --tasks chooses from. */
  readonly tasks: readonly string[];
  /** Whether it reads --seeds: it must have them, can do without, or takes none. */
  readonly seeds: "needed" | "taken" | "none";
  build(making: Making): AsyncIterable<Draft>;
}

/** What an area is given. */
export interface Making extends Pick<Steps, "step" | "distinct"> {
  readonly config: BuildConfig;
  /** Those of --tasks, else all of the area. */
  readonly tasks: readonly string[];
  /** Draws of candidate `index`. */
  readonly draws: (index: number) => Draws;
  /** The grade that is candidate `index`'s turn, 1 to 5. */
  readonly difficultyOf: (index: number) => number;
  /** Rows of --seeds, with their ids. */
  readonly seeds: () => AsyncIterable<Seed>;
  readonly roles: Roles;
  /** Keeps what must not be paid for twice, beside replies: verdicts of the sandbox. */
  readonly journal: Journal;
  /** Answers, programs, instructions, graded by what a row says; verdicts are kept in the journal. */
  readonly grader: JournalledGrader;
  readonly verifiers: Verifiers;
  /** Of --reward_model_name_or_path, where there is one. */
  readonly reward: Reward | undefined;
}

export interface Reward {
  /** Folder or file, with the beginning of its digest. */
  readonly model: string;
  /** Of a conversation that ends with an answer; null where it is longer than the model's context. Kept in the journal. */
  score(messages: readonly ChatMessage[]): Promise<number | null>;
}

export interface Seed {
  readonly id: string;
  /** Where it stands, for errors. */
  readonly place: { readonly path: string; readonly line: number };
  readonly row: Readonly<Record<string, unknown>>;
}

/** A conversation before it is a row. */
export interface Draft {
  readonly task: string;
  readonly messages: readonly ChatMessage[];
  /** 1 to 5, where it is graded. */
  readonly difficulty?: number;
  /** Further columns, for whoever asks the question again: `answer`, `tests`, `instructions`. */
  readonly columns?: Readonly<Record<string, unknown>>;
  /** Why it may be believed: how it was made and checked. */
  readonly evidence: Readonly<Record<string, unknown>>;
  /** Ids of the seeds that it was made from. */
  readonly parents?: readonly string[];
}
