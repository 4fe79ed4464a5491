// Responses of a model to questions, and their grades, which are given while the model goes on.
import {
  type ChatMessage,
  type ChatTemplate,
  saidAfter,
  type Tokenizer,
  UserError,
  type Verdict,
} from "@posttrain/data";
import { type Model, policySampling, resolveStopIds } from "@posttrain/model";
import { checkRoom, promptStarts, rollOut, type TextSide } from "@posttrain/rollout";
import type { Question } from "./questions.js";

export interface ModelResponse {
  readonly text: string;
  /** length: it did not end by itself. */
  readonly finish: "stop" | "length";
}

/** `infrastructure-error` counts neither way; any other outcome but `pass` counts as wrong. */
export type Grader = (
  question: Pick<Question, "answer"> & Partial<Pick<Question, "doc">>,
  response: ModelResponse,
) => Verdict | Promise<Verdict>;

/** What of a question is asked, and the solved examples before it. */
export interface Asked
  extends Pick<Question, "messages" | "answer" | "line">,
    Partial<Pick<Question, "doc">> {
  readonly tools?: readonly unknown[] | undefined;
  readonly variables?: Question["variables"];
  readonly examples?: readonly Question[];
}

export interface RespondOptions {
  /** 0: greedy. */
  readonly temperature: number;
  readonly maxNewTokens: number;
  readonly seed: number;
  /** Token ids that end a response, by default the model's, and text that does. */
  readonly stopIds?: readonly number[];
  readonly stop?: readonly string[];
  /** Responses to each question. Default: 1. */
  readonly samples?: number;
  readonly maxSequences?: number;
  readonly onToken?: () => void;
  /** Called for every response that was graded. */
  readonly onGraded?: () => void;
}

export interface Graded extends ModelResponse {
  /** As it was rendered. */
  readonly prompt: string;
  readonly tokens: number;
  readonly verdict: Verdict;
}

export interface Prompts {
  readonly texts: readonly string[];
  readonly ids: readonly Int32Array[];
  readonly tokenizer: Tokenizer;
  readonly template: ChatTemplate;
}

/** Renders and tokenises, before the model is loaded. UserError for a prompt that leaves no room in the model's context. */
export async function renderPrompts(questions: readonly Asked[], text: TextSide): Promise<Prompts> {
  const starts = await promptStarts(
    questions.map(({ messages, tools, variables, examples = [] }) => ({
      prompt: withExamples(messages, examples),
      ...{ tools, variables },
    })),
    text,
  );
  const ids = starts.map(({ ids: own, refusal }, i) => {
    if (refusal) {
      throw new UserError(refusal.code, `The prompt on line ${questions[i]!.line}: ${refusal.message}`);
    }
    return Int32Array.from(own);
  });
  const asked = ids.map((own, i) => ({ ids: own, line: questions[i]!.line }));
  checkRoom(asked, text.config.maxPositionEmbeddings, "Shorten it, or lower num_fewshot.");
  return {
    texts: starts.map((start) => start.text),
    ids,
    tokenizer: await text.tokenizer(),
    template: await text.template(),
  };
}

/** After a system turn, where there is one, as earlier turns of the conversation. */
function withExamples(
  messages: readonly ChatMessage[],
  examples: readonly Question[],
): readonly ChatMessage[] {
  const turns = examples.flatMap(({ messages, answer }): ChatMessage[] => [
    ...messages.filter(({ role }) => role !== "system"),
    { role: "assistant", content: answer },
  ]);
  const system = messages[0]?.role === "system" ? 1 : 0;
  return [...messages.slice(0, system), ...turns, ...messages.slice(system)];
}

/** All graded responses to each question, in their order. */
export async function respondSeveral(
  model: Model,
  questions: readonly Asked[],
  { texts, ids, tokenizer }: Prompts,
  grader: Grader,
  { temperature, maxNewTokens, seed, samples = 1, onGraded, ...rest }: RespondOptions,
): Promise<readonly (readonly Graded[])[]> {
  const {
    stopIds = resolveStopIds(model.generationConfig, model.config),
    stop,
    maxSequences,
    onToken,
  } = rest;
  const prompts = ids.map((own, i) => ({ ids: own, line: questions[i]!.line }));
  const grading: Promise<Graded>[][] = questions.map(() => []);
  for await (const response of rollOut(model, prompts, {
    tokenizer,
    settings: { ...policySampling, temperature, maxNewTokens, stopIds },
    samples,
    seed,
    stream: "evaluation",
    ...(stop && { stop }),
    ...(maxSequences !== undefined && { maxSequences }),
    ...(onToken && { onToken }),
  })) {
    const { prompt, sample, text, finish } = response;
    const said = saidAfter(texts[prompt]!, text);
    const graded = Promise.resolve(grader(questions[prompt]!, { text: said, finish })).then((verdict) => {
      onGraded?.();
      return { prompt: texts[prompt]!, text, finish, tokens: response.ids.length, verdict };
    });
    // Whoever awaits it below sees the error; until then it is not unhandled.
    graded.catch(() => undefined);
    grading[prompt]![sample] = graded;
  }
  return Promise.all(grading.map((own) => Promise.all(own)));
}
