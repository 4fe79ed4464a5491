// What a command is told about a model behind a server, and the teacher that comes of it. The key is none of it: it comes from the
// environment, so that no config, command line or log has it.
import { UserError } from "@posttrain/data";
import { lockFile, openJournal } from "@posttrain/run";
import { z } from "zod";
import { openTeacher, type Teacher } from "./teacher.js";

/** Names as lm-evaluation-harness has them. Spread into the options of a command; `openServer` takes their values. */
export const serverOptions = {
  base_url: z
    .string()
    .superRefine((url, context) => {
      const message = problemOf(url);
      if (message !== undefined) context.addIssue({ code: "custom", message });
    })
    .optional()
    .describe(
      "a server that speaks OpenAI's protocol, such as http://127.0.0.1:8000/v1; its key, if it wants one: variable OPENAI_API_KEY",
    ),
  model: z.string().optional().describe("name of the model on that server"),
  num_concurrent: z.int().min(1).max(1024).default(8).describe("requests to the server at once"),
  max_retries: z
    .int()
    .min(0)
    .max(100)
    .default(5)
    .describe("how often a request is tried again, with growing pauses"),
  request_timeout: z
    .number()
    .positive()
    .max(86_400)
    .default(600)
    .describe("seconds to wait for a reply of the server"),
  budget_tokens: z
    .int()
    .positive()
    .optional()
    .describe("most tokens of prompts and replies to ask the server for (default: no limit)"),
  reply_cache: z
    .string()
    .optional()
    .describe("file that keeps replies by their request: what it has is not asked again"),
};

export type ServerChoice = z.output<z.ZodObject<typeof serverOptions>>;

export interface Server extends Teacher {
  /** Lets go of the cache. */
  close(): Promise<void>;
}

/** Opened before the long work. UserError `bad_option`, `cache_locked`, `bad_journal`, `cannot_write`. */
export async function openServer(
  { base_url: baseUrl, model, ...choice }: ServerChoice,
  environment: NodeJS.ProcessEnv = process.env,
): Promise<Server> {
  if (baseUrl === undefined || model === undefined) {
    throw new UserError(
      "bad_option",
      "A server needs both: base_url, its address, and model, the name of the model there.",
    );
  }
  const apiKey = environment["OPENAI_API_KEY"] || undefined;
  const cache = choice.reply_cache === undefined ? undefined : await openCache(choice.reply_cache);
  const teacher = openTeacher({
    ...{ baseUrl, model, concurrency: choice.num_concurrent, retries: choice.max_retries },
    timeoutSeconds: choice.request_timeout,
    ...(apiKey !== undefined && { apiKey }),
    ...(choice.budget_tokens !== undefined && { budgetTokens: choice.budget_tokens }),
    ...(cache && { cache: cache.journal }),
  });
  return { ...teacher, close: async () => cache?.close() };
}

async function openCache(path: string) {
  const lock = await lockFile(path);
  if ("holder" in lock) {
    throw new UserError(
      "cache_locked",
      `reply_cache ${path} is being written by another process. Wait for it, or give another file.`,
    );
  }
  const journal = await openJournal(path).catch((error: unknown) => {
    lock.close();
    throw error;
  });
  return { journal, close: () => journal.close().finally(lock.close) };
}

/** What is wrong with an address. */
function problemOf(text: string): string | undefined {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !/^https?:$/.test(url.protocol)) {
    return "expected an address such as http://127.0.0.1:8000/v1";
  }
  if (url.username !== "" || url.password !== "") {
    return "it has a name or a password in it, which logs would keep; give the key as variable OPENAI_API_KEY";
  }
  return undefined;
}
