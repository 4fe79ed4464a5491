// Responses of a model to questions, and their grades: the same chat template, forward pass and sampler as training and generate.
import {
  type ChatMessage,
  loadChatTemplate,
  loadTokenizer,
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
import type { Verdict } from "@posttrain/verify";
import type { Grader, ModelResponse } from "./grade.js";
import type { Question } from "./questions.js";

/** What of a question is asked, and the solved examples before it. */
export interface Asked extends Pick<Question, "messages" | "answer" | "line"> {
  readonly tools?: readonly unknown[] | undefined;
  readonly examples?: readonly Question[];
}

export interface RespondOptions {
  /** 0: greedy. */
  readonly temperature: number;
  readonly maxNewTokens: number;
  readonly seed: number;
  readonly maxSequences?: number;
  readonly onToken?: () => void;
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
  return { texts, ids, tokenizer };
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

/** Graded responses in the order of the questions. */
export async function respond(
  model: Model,
  questions: readonly Asked[],
  { texts, ids, tokenizer }: Prompts,
  grader: Grader,
  { temperature, maxNewTokens, seed, maxSequences, onToken }: RespondOptions,
): Promise<readonly Graded[]> {
  const { config, generationConfig } = model;
  const settings = { ...policySampling, temperature, stopIds: resolveStopIds(generationConfig, config) };
  const room = (prompt: Int32Array): number =>
    Math.min(maxNewTokens, config.maxPositionEmbeddings - prompt.length);
  const options: GenerationOptions = {
    seed,
    stream: "evaluation",
    drawable: Math.min(tokenizer.size, config.vocabSize),
    ...(maxSequences !== undefined && { maxSequences }),
    ...(onToken && { onToken }),
  };
  const requests = ids.map((promptIds, row) => ({
    promptIds,
    samples: 1,
    row,
    visit: 0,
    settings: { ...settings, maxNewTokens: room(promptIds) },
  }));
  const sequences = await generate(model, requests, options);
  return Promise.all(
    sequences.map(async ({ ids: own, finish }, i) => {
      const text = tokenizer.decode([...own], { skipSpecialTokens: true });
      const verdict = await grader(questions[i]!, { text, finish });
      return { prompt: texts[i]!, text, finish, tokens: own.length, verdict };
    }),
  );
}
