// What a command is made of. command-line.ts parses and prints its help; `run` does the work and throws what goes wrong.
import type { z } from "zod";
import type { CommonOptions } from "./options.js";
import type { Sources } from "./settings.js";

/** The commands of the command line, for a command that runs others. */
export interface CommandList {
  has(name: string): boolean;
  load(name: string): Promise<Command>;
  /** Options -> the commands that have them. */
  owners(): Promise<ReadonlyMap<string, readonly string[]>>;
}

/** What every command is told besides its own options. */
export interface RunContext extends CommonOptions {
  /** Where its options have their values from: for configLines. */
  readonly sources: Sources;
  readonly commands: CommandList;
}

export interface Command<S extends z.ZodObject = z.ZodObject> {
  readonly options: S;
  /** The option that may be given without its name, before all others: `posttrain dpo review FILE`. */
  readonly argument?: string;
  /** Whether the processes that mpirun starts share its work. */
  readonly sharesWork?: boolean;
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
