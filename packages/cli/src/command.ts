// What a command is made of. main.ts parses and prints its help; `run` does the work and throws what goes wrong.
import type { z } from "zod";
import type { MachineOptions } from "./options.js";

export interface Command<S extends z.ZodObject = z.ZodObject> {
  readonly options: S;
  /** Commands that work as pasted, with what they do. */
  readonly examples: readonly (readonly [command: string, what: string])[];
  /** Paragraphs below the help: formats of rows and results. */
  readonly notes?: string;
  run(options: z.output<S>, machine: MachineOptions): Promise<void>;
}

/** Keeps the type of the schema for `run`. */
export function defineCommand<S extends z.ZodObject>(command: Command<S>): Command<S> {
  return command;
}
