// A model behind any server that speaks the OpenAI protocol (vLLM, SGLang, llama.cpp, a provider): asked within a number of requests at once
// and a budget; every reply is kept by its request, so that what was paid for once is not paid for again.
import { createHash } from "node:crypto";
import { canonicalJson, UserError } from "@posttrain/data";
import type { Journal } from "@posttrain/run";
import type { OpenAI } from "openai";
import PQueue from "p-queue";
import { z } from "zod";

export interface TeacherOptions {
  /** Such as http://127.0.0.1:8000/v1 */
  readonly baseUrl: string;
  readonly model: string;
  /** Sent as a bearer token, and to nobody else: no error repeats it. */
  readonly apiKey?: string;
  /** Requests at once. Default: 8. */
  readonly concurrency?: number;
  /** How often a request is tried again: after 408, 409, 429, 5xx, broken connections and replies that are none. Default: 5. */
  readonly retries?: number;
  /** Default: 600. */
  readonly timeoutSeconds?: number;
  /** Keeps replies by their request. */
  readonly cache?: Journal;
  /** Most tokens of prompts and replies that may be asked for; what the cache has costs none. */
  readonly budgetTokens?: number;
}

/** In the protocol's own names. A seed that differs asks for another reply. */
export interface TeacherRequest {
  readonly messages: readonly { readonly role: "system" | "user" | "assistant"; readonly content: string }[];
  readonly temperature?: number;
  readonly top_p?: number;
  /** These three are no part of OpenAI's own: vLLM's and SGLang's names. */
  readonly top_k?: number;
  readonly min_p?: number;
  readonly repetition_penalty?: number;
  readonly max_tokens?: number;
  readonly stop?: readonly string[];
  readonly seed?: number;
}

const replySchema = z.object({
  text: z.string(),
  /** Some servers hand out what the model thought apart. */
  reasoning: z.string().optional(),
  finish: z.string(),
  promptTokens: z.int().nonnegative(),
  completionTokens: z.int().nonnegative(),
});

export type TeacherReply =
  | ({ readonly outcome: "reply"; readonly cached: boolean } & Readonly<z.infer<typeof replySchema>>)
  /** This request has no reply: the server refused it, or nothing that it said was one. */
  | { readonly outcome: "failed"; readonly reason: string };

export interface TeacherCounters {
  readonly asked: number;
  readonly cached: number;
  readonly failed: number;
  readonly promptTokens: number;
  readonly completionTokens: number;
}

export interface Teacher {
  /**
   * Throws UserError for what concerns every request: `teacher_unreachable`, `teacher_refused` (key, address or name of the model),
   * `budget_spent`. With `keeps` false a reply is kept only when `keep` is told to: for whoever has to read it first.
   */
  ask(
    request: TeacherRequest,
    signal?: AbortSignal,
    options?: { readonly keeps: boolean },
  ): Promise<TeacherReply>;
  keep(request: TeacherRequest, reply: TeacherReply): Promise<void>;
  counters(): TeacherCounters;
  /** Requests at once. */
  readonly concurrency: number;
}

export function openTeacher(options: TeacherOptions): Teacher {
  const { baseUrl, model, apiKey, concurrency = 8, retries = 5, timeoutSeconds = 600, cache } = options;
  const settings = {
    baseURL: baseUrl,
    apiKey: apiKey ?? "none",
    maxRetries: retries,
    timeout: timeoutSeconds * 1000,
  };
  let client: OpenAI | undefined;
  const queue = new PQueue({ concurrency });
  const open = new Map<string, Promise<TeacherReply>>();
  const kept = cache === undefined ? "." : "; what it has said so far is kept.";
  const counters = { asked: 0, cached: 0, failed: 0, promptTokens: 0, completionTokens: 0 };

  const send = async (request: TeacherRequest, signal: AbortSignal | undefined): Promise<TeacherReply> => {
    signal?.throwIfAborted();
    const { budgetTokens: budget = Number.POSITIVE_INFINITY } = options;
    const spent = counters.promptTokens + counters.completionTokens;
    if (spent >= budget) {
      throw new UserError(
        "budget_spent",
        `${model} at ${baseUrl} has been asked for ${spent} tokens, the budget is ${budget}. Raise the budget to go on${kept}`,
      );
    }
    counters.asked++;
    // Its 150 modules are loaded by what asks a server.
    const library = await import("openai");
    client ??= new library.OpenAI(settings);
    const { messages, stop, ...rest } = request;
    const body = { ...rest, model, messages: [...messages], ...(stop && { stop: [...stop] }) };
    for (let tries = 0; ; tries++) {
      try {
        const completion = await client.chat.completions.create(body, signal && { signal });
        const reply = readReply(completion);
        if (typeof reply !== "string") {
          counters.promptTokens += reply.promptTokens;
          counters.completionTokens += reply.completionTokens;
          return { outcome: "reply", cached: false, ...reply };
        }
        if (tries >= retries) return failed(reply);
      } catch (error) {
        signal?.throwIfAborted();
        const reason = reasonOf(library, error, tries >= retries);
        if (reason !== undefined) return failed(reason);
      }
    }
  };
  const failed = (reason: string): TeacherReply => {
    counters.failed++;
    return { outcome: "failed", reason };
  };
  /** Why this request has no reply; undefined: it is worth another try. Throws what concerns every request. */
  const reasonOf = (
    library: typeof import("openai"),
    error: unknown,
    isLast: boolean,
  ): string | undefined => {
    const said = hidden((error as Error).message, apiKey);
    if (
      error instanceof library.AuthenticationError ||
      error instanceof library.PermissionDeniedError ||
      error instanceof library.NotFoundError
    ) {
      throw new UserError(
        "teacher_refused",
        `${baseUrl} refuses to answer as ${model} (${said}). Check the address (it ends in /v1 with most servers), the name of the model and the key.`,
      );
    }
    if (error instanceof library.APIConnectionTimeoutError) return `no reply within ${timeoutSeconds} s`;
    if (error instanceof library.APIConnectionError) {
      const cause = (error.cause as Error | undefined)?.message ?? said;
      throw new UserError(
        "teacher_unreachable",
        `${baseUrl} cannot be reached (${hidden(cause, apiKey)}), tried ${retries + 1} times. Start the server, or mend the address${kept}`,
      );
    }
    if (error instanceof library.APIError) return `the server said ${said}`;
    // A body that breaks off, or is no JSON.
    return isLast ? `its reply could not be read (${said})` : undefined;
  };

  const keyOf = (request: TeacherRequest): string =>
    createHash("sha256").update(canonicalJson({ model, request })).digest("hex");
  const keep = async (request: TeacherRequest, reply: TeacherReply): Promise<void> => {
    if (reply.outcome === "failed" || reply.cached || cache === undefined) return;
    const { outcome: _, cached: __, ...kept } = reply;
    await cache.record(keyOf(request), kept);
  };
  const fresh = async (
    request: TeacherRequest,
    keeps: boolean,
    signal?: AbortSignal,
  ): Promise<TeacherReply> => {
    const reply = await queue.add(() => send(request, signal));
    if (keeps) await keep(request, reply);
    return reply;
  };
  return {
    concurrency,
    counters: () => ({ ...counters }),
    keep,
    ask: async (request, signal, { keeps } = { keeps: true }) => {
      const key = keyOf(request);
      const found = replySchema.safeParse(cache?.get(key));
      if (found.success) {
        counters.cached++;
        return { outcome: "reply", cached: true, ...found.data };
      }
      const running = open.get(key);
      if (running !== undefined) return running;
      const asking = fresh(request, keeps, signal).finally(() => open.delete(key));
      open.set(key, asking);
      return asking;
    },
  };
}

const completionSchema = z.object({
  choices: z
    .array(
      z.object({
        message: z.object({
          content: z.string().nullish(),
          reasoning_content: z.string().nullish(),
          refusal: z.string().nullish(),
        }),
        finish_reason: z.string().nullish(),
      }),
    )
    .min(1),
  usage: z
    .object({
      prompt_tokens: z.int().nonnegative().catch(0),
      completion_tokens: z.int().nonnegative().catch(0),
    })
    .nullish(),
});

/** What a completion says, or why it says nothing. */
function readReply(completion: unknown): z.infer<typeof replySchema> | string {
  const parsed = completionSchema.safeParse(completion);
  if (!parsed.success) {
    const text = typeof completion === "string" ? completion : JSON.stringify(completion);
    return `its reply is no chat completion: ${text.slice(0, 200)}`;
  }
  const { choices, usage } = parsed.data;
  const [{ message, finish_reason: finish }] = choices as [(typeof choices)[number]];
  const text = message.content ?? message.refusal ?? "";
  if (text === "" && (message.reasoning_content ?? "") === "") return "its reply is empty";
  return {
    text,
    ...(message.reasoning_content ? { reasoning: message.reasoning_content } : {}),
    finish: finish ?? "stop",
    promptTokens: usage?.prompt_tokens ?? 0,
    completionTokens: usage?.completion_tokens ?? 0,
  };
}

const hidden = (text: string, secret: string | undefined): string =>
  secret === undefined || secret === "" ? text : text.replaceAll(secret, "***");
