// A model of one's own as a teacher: requests that wait are answered together. What is said depends on (weights, request) alone, as with a server that heeds
// the seed of its requests.
import { type Model, resolveStopIds, type SamplingSettings } from "@posttrain/model";
import type { Journal } from "@posttrain/run";
import { type RolloutPrompt, rollOut } from "./rollouts.js";
import type { Teacher, TeacherReply, TeacherRequest } from "./teacher.js";
import { promptStarts, type TextSide } from "./text-side.js";

/** Requests that are generated together. */
const mostAtOnce = 32;

export interface LocalTeacherOptions {
  /** Digest of the model, by which `journal` keeps its replies. */
  readonly weights: string;
  readonly journal: Journal;
  /** Most tokens of a reply, where a request does not say. */
  readonly maxTokens: number;
  /** Called for every new token. */
  readonly onToken?: (() => void) | undefined;
}

interface Waiting {
  readonly request: TeacherRequest;
  readonly resolve: (reply: TeacherReply) => void;
  readonly reject: (error: unknown) => void;
}

type WaitingPrompt = RolloutPrompt & { readonly asked: Waiting };

/** Greedy where a request has no temperature. A request that fills the context fails alone. */
export function localTeacher(
  model: Model,
  text: TextSide,
  { weights, journal, maxTokens, onToken }: LocalTeacherOptions,
): Pick<Teacher, "ask" | "concurrency"> {
  const waiting: Waiting[] = [];
  let isRunning = false;
  const run = async (): Promise<void> => {
    isRunning = true;
    // Who asks asks for several at once.
    await new Promise((resolve) => setImmediate(resolve));
    while (waiting.length > 0) {
      const batch = waiting.splice(0, mostAtOnce);
      try {
        await answer(batch);
      } catch (error) {
        for (const { reject } of batch) reject(error);
      }
    }
    isRunning = false;
  };
  const answer = async (batch: readonly Waiting[]): Promise<void> => {
    const context = model.config.maxPositionEmbeddings;
    const alike = new Map<string, WaitingPrompt[]>();
    const starts = await promptStarts(
      batch.map(({ request }) => ({ prompt: request.messages })),
      text,
    );
    for (const [i, asked] of batch.entries()) {
      const { ids, whole } = starts[i]!;
      if (!whole || ids.length >= context) {
        asked.resolve({
          outcome: "failed",
          reason: `what the model is asked fills its context of ${context} tokens`,
        });
        continue;
      }
      const { messages: _, seed = 0, ...settings } = asked.request;
      const key = JSON.stringify(settings);
      const prompts = alike.get(key) ?? [];
      prompts.push({ ids: Int32Array.from(ids), line: prompts.length + 1, row: seed, asked });
      alike.set(key, prompts);
    }
    for (const prompts of alike.values()) await generate(prompts);
  };
  const generate = async (prompts: readonly WaitingPrompt[]): Promise<void> => {
    const { stop, ...request } = (prompts[0] as WaitingPrompt).asked.request;
    const settings: SamplingSettings = {
      ...{ temperature: request.temperature ?? 0, topP: request.top_p ?? 1, topK: request.top_k ?? 0 },
      ...{ minP: request.min_p ?? 0, repetitionPenalty: request.repetition_penalty ?? 1 },
      maxNewTokens: request.max_tokens ?? maxTokens,
      stopIds: resolveStopIds(model.generationConfig, model.config),
    };
    const options = {
      ...{ tokenizer: await text.tokenizer(), settings, seed: 0, weights, journal },
      stream: "evaluation",
      ...(stop !== undefined && { stop }),
      ...(onToken !== undefined && { onToken }),
    } as const;
    for await (const { prompt, text: said, finish, ids } of rollOut(model, prompts, options)) {
      const { asked, ids: promptIds } = prompts[prompt] as WaitingPrompt;
      const tokens = { promptTokens: promptIds.length, completionTokens: ids.length };
      asked.resolve({ outcome: "reply", cached: false, text: said, finish, ...tokens });
    }
  };
  return {
    concurrency: mostAtOnce,
    ask: (request) =>
      new Promise((resolve, reject) => {
        waiting.push({ request, resolve, reject });
        if (!isRunning) void run();
      }),
  };
}
