// What a command is made of. main.ts parses and prints its help; `run` does the work and throws what goes wrong.
import type { z } from "zod";
import type { CommonOptions } from "./options.js";
import type { Sources } from "./settings.js";

/** What every command is told besides its own options. */
export interface RunContext extends CommonOptions {
  /** Where its options have their values from: for configLines. */
  readonly sources: Sources;
}

export interface Command<S extends z.ZodObject = z.ZodObject> {
  readonly options: S;
  /** Commands that work as pasted, with what they do. */
  readonly examples: readonly (readonly [command: string, what: string])[];
  /** Paragraphs below the help: formats of rows and results, and what --json prints. */
  readonly notes?: string;
  run(options: z.output<S>, context: RunContext): Promise<void>;
}

/** Keeps the type of the schema for `run`. */
export function defineCommand<S extends z.ZodObject>(command: Command<S>): Command<S> {
  return command;
}
