// Responses of a model to questions, and their grades: the same chat template, forward pass and sampler as training and generate.
import {
  answerText,
  type ChatMessage,
  type ChatTemplate,
  loadChatTemplate,
  loadTokenizer,
  stopWatch,
  type Tokenizer,
  UserError,
} from "@posttrain/data";
import {
  type GenerationOptions,
  generate,
  type Model,
  policySampling,
  resolveStopIds,
} from "@posttrain/model";
import { saidAfter, type Verdict } from "@posttrain/verify";
import type { Grader, ModelResponse } from "./grade.js";
import type { Question } from "./questions.js";

/** What of a question is asked, and the solved examples before it. */
export interface Asked
  extends Pick<Question, "messages" | "answer" | "line">,
    Partial<Pick<Question, "doc">> {
  readonly tools?: readonly unknown[] | undefined;
  readonly examples?: readonly Question[];
}

export interface RespondOptions {
  /** 0: greedy. */
  readonly temperature: number;
  readonly maxNewTokens: number;
  readonly seed: number;
  /** Token ids and text that end a response, besides the model's ids. */
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

/** Renders and tokenises, before the model is loaded. UserError for a prompt that leaves no room in a context of `context` tokens. */
export async function renderPrompts(
  dir: string,
  questions: readonly Asked[],
  context: number,
): Promise<Prompts> {
  const [tokenizer, template] = await Promise.all([loadTokenizer(dir), loadChatTemplate(dir)]);
  const texts = questions.map(({ messages, tools, examples = [] }) =>
    template.render(withExamples(messages, examples), { tools, addGenerationPrompt: true }),
  );
  const ids = (await tokenizer.encodeBatch(texts)).map((own) => Int32Array.from(own));
  const full = ids.findIndex((own) => own.length >= context);
  if (full >= 0) {
    throw new UserError(
      "row_too_long",
      `The question on line ${questions[full]!.line} has ${ids[full]!.length} tokens as it is asked and fills the model's context of ${context}: nothing can follow. Shorten it, or lower num_fewshot.`,
    );
  }
  return { texts, ids, tokenizer, template };
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

/** One graded response to each question, in their order. */
export async function respond(
  model: Model,
  questions: readonly Asked[],
  prompts: Prompts,
  grader: Grader,
  options: RespondOptions,
): Promise<readonly Graded[]> {
  const samples = await respondSeveral(model, questions, prompts, grader, { ...options, samples: 1 });
  return samples.flat();
}

/** All graded responses to each question, in their order. */
export async function respondSeveral(
  model: Model,
  questions: readonly Asked[],
  { texts, ids, tokenizer }: Prompts,
  grader: Grader,
  { temperature, maxNewTokens, seed, samples = 1, maxSequences, onToken, onGraded, ...ends }: RespondOptions,
): Promise<readonly (readonly Graded[])[]> {
  const { config, generationConfig } = model;
  const { stop = [] } = ends;
  const stopIds = [...resolveStopIds(generationConfig, config), ...(ends.stopIds ?? [])];
  const settings = { ...policySampling, temperature, stopIds };
  const room = (prompt: Int32Array): number =>
    Math.min(maxNewTokens, config.maxPositionEmbeddings - prompt.length);
  const options: GenerationOptions = {
    seed,
    stream: "evaluation",
    drawable: Math.min(tokenizer.size, config.vocabSize),
    isEnd: stopWatch(tokenizer, stop),
    ...(maxSequences !== undefined && { maxSequences }),
    ...(onToken && { onToken }),
  };
  const requests = ids.map((promptIds, row) => ({
    promptIds,
    samples,
    row,
    visit: 0,
    settings: { ...settings, maxNewTokens: room(promptIds) },
  }));
  const sequences = await generate(model, requests, options);
  const graded = await Promise.all(
    sequences.map(async ({ ids: own, finish }, i) => {
      const question = Math.floor(i / samples);
      const text = answerText(tokenizer, own, { stop, stopIds });
      const prompt = texts[question]!;
      const verdict = await grader(questions[question]!, { text: saidAfter(prompt, text), finish });
      onGraded?.();
      return { prompt, text, finish, tokens: own.length, verdict };
    }),
  );
  return questions.map((_, i) => graded.slice(i * samples, (i + 1) * samples));
}
