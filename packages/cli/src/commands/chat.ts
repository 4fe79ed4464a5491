// posttrain chat: a conversation with a model. Answers go to standard output, everything else to standard error, so that piped
// questions give plain answers.
import { createInterface, type Interface } from "node:readline";
import { type AnswerText, type ChatMessage, createAnswerText, type Tokenizer } from "@posttrain/data";
import { type Model, modelOptions, openModelFolder } from "@posttrain/model";
import {
  promptStarts,
  resolveSampling,
  rollOut,
  type Sampling,
  samplingOptions,
  type TextSide,
  textSide,
} from "@posttrain/rollout";
import { z } from "zod";
import { defineCommand } from "../command.js";
import { exitCodes } from "../failure.js";
import { count } from "../format.js";
import { readModelCard } from "../model-card.js";
import { createOutput, type Output } from "../output.js";
import { samplingText, textOptions } from "../sampling-text.js";
import { conversationScorer } from "../score-conversation.js";
import { throwIfOutputGone } from "../standard-streams.js";
import { unstoppedTemplate } from "../turn-ends.js";
import { visibleStream } from "../visible.js";
import { describeModel, withModel } from "../with-model.js";
import { withScorer } from "../with-scorer.js";

export const command = defineCommand({
  options: z.strictObject({
    ...modelOptions,
    reward_model: z
      .string()
      .optional()
      .describe("reward model (a folder, or an ONNX file) whose score is shown under each answer"),
    ...samplingOptions,
    ...textOptions,
  }),
  examples: [
    [
      "npx posttrain chat --model_name_or_path runs/quickstart-1/sft/checkpoint-800",
      "talk to the model that npm start has made; Ctrl-D leaves",
    ],
    [
      'echo "What is 47 + 35?" | npx posttrain chat \\\n--model_name_or_path runs/quickstart-1/sft/checkpoint-800',
      "one answer for each line",
    ],
  ],
  notes:
    "In the conversation: /reset starts over, /exit or Ctrl-D leaves, Ctrl-C stops an answer. --json prints an object for each " +
    'answer: {"prompt", "text", "finish_reason"}, the reason being stop, length or stopped.',
  run: async (options, context) => {
    const output = createOutput(context, process.stderr);
    const { say } = output;
    const dir = options.model_name_or_path;
    const { config, generationConfig } = await openModelFolder(dir);
    const text = textSide(dir, config, options);
    const tokenizer = await text.tokenizer();
    const template = await text.template();
    const card = await readModelCard(dir);
    const sampling = resolveSampling(options, generationConfig, config);
    const talk = async (model: Model, judge?: Session["judge"]): Promise<void> => {
      say(card ? card.description : `${dir}: ${describeModel(model)}`);
      if (card) say(`For example: ${card.example}`);
      say(samplingText(sampling, tokenizer));
      const warning = unstoppedTemplate({ tokenizer, template }, sampling.settings.stopIds, sampling.stop);
      if (warning !== undefined) say(warning);
      const singleTurn = card?.single_turn ?? false;
      if (singleTurn) say("It was trained on single questions: each one starts a new conversation.");
      if (process.stdin.isTTY) say("/reset starts over, /exit or Ctrl-D leaves, Ctrl-C stops an answer.");
      await converse({
        model,
        output,
        tokenizer,
        text,
        sampling,
        seed: options.seed,
        singleTurn,
        showSpecialTokens: options.show_special_tokens,
        judge,
      });
    };
    const { reward_model: reward } = options;
    await withModel(options, context, (model) =>
      reward === undefined
        ? talk(model)
        : withScorer({ model_name_or_path: reward, dtype: "float32" }, context, async (scorer) => {
            say(`${reward}: ${scorer.description}`);
            return talk(model, await conversationScorer(scorer));
          }),
    );
  },
});

interface Session {
  readonly model: Model;
  readonly output: Output;
  readonly tokenizer: Tokenizer;
  readonly text: TextSide;
  readonly sampling: Sampling;
  readonly seed: number;
  /** Forget each question once it is answered. */
  readonly singleTurn: boolean;
  readonly showSpecialTokens: boolean;
  /** The score of a conversation that ends with an answer. */
  readonly judge: ((messages: readonly ChatMessage[]) => Promise<number | null>) | undefined;
}

async function converse(session: Session): Promise<void> {
  const { json, say } = session.output;
  const terminal = process.stdin.isTTY === true && process.stdout.isTTY === true && !json;
  const screen = terminal ? { output: process.stdout, prompt: "> " } : { prompt: "" };
  const lines = createInterface({ input: process.stdin, terminal, ...screen });
  const interrupts = watchInterrupts(lines, say);
  const ask = (): void => {
    if (!terminal) return;
    say("");
    lines.prompt();
  };
  let messages: ChatMessage[] = [];
  let turn = 0;
  ask();
  for await (const line of lines) {
    throwIfOutputGone();
    const said = line.trim();
    if (said === "/exit") break;
    if (said === "/reset") {
      messages = [];
      say("A new conversation.");
    } else if (/^\/\w+$/.test(said)) {
      say(`${said} is not a command; there are /reset and /exit.`);
    } else if (said !== "") {
      const question: ChatMessage = { role: "user", content: said };
      interrupts.begin();
      const content = await answer(session, [...messages, question], turn++, interrupts.asked);
      interrupts.end();
      if (content !== undefined && !session.singleTurn)
        messages.push(question, { role: "assistant", content });
    }
    ask();
  }
  lines.close();
}

/** Streams one answer to standard output. undefined: the conversation has no room for one. */
async function answer(
  { model, output, tokenizer, text, sampling, seed, showSpecialTokens, judge }: Session,
  messages: readonly ChatMessage[],
  turn: number,
  stopped: () => boolean,
): Promise<string | undefined> {
  const { settings, stop } = sampling;
  const [start] = await promptStarts([{ prompt: messages }], text);
  const prompt = start!;
  const promptIds = Int32Array.from(prompt.ids);
  const context = model.config.maxPositionEmbeddings;
  const room = context - prompt.atLeast;
  const { json, say } = output;
  if (prompt.refusal !== undefined && room >= 1) {
    console.error(prompt.refusal.message);
    return undefined;
  }
  if (room < 1) {
    // Said with --quiet too: an answer is missing.
    console.error(
      `This conversation has ${prompt.whole ? "" : "at least "}${count(prompt.atLeast)} tokens, the model's context holds ${count(context)}. /reset starts over.`,
    );
    return undefined;
  }
  const maxNewTokens = Math.min(settings.maxNewTokens, room);
  const ends = { stop, stopIds: settings.stopIds };
  const spoken = createAnswerText(tokenizer, ends);
  // What is shown is not what the model is told of its answer.
  const full = showSpecialTokens
    ? createAnswerText(tokenizer, { ...ends, skipSpecialTokens: false })
    : undefined;
  const shown = process.stdout.isTTY ? visibleStream() : (piece: string) => piece;
  let said = "";
  let printed = "";
  const hear = (next: (text: AnswerText) => string): void => {
    const piece = next(spoken);
    said += piece;
    const printing = full === undefined ? piece : next(full);
    printed += printing;
    if (!json) process.stdout.write(shown(printing));
  };
  let ended: "stop" | "length" | "stopped" = "stopped";
  const onToken = (_prompt: number, _sample: number, id: number): void => {
    if (stopped()) throw new Stopped();
    throwIfOutputGone();
    hear((answer) => answer.push(id));
  };
  try {
    const prompt = { ids: promptIds, line: turn + 1, row: 0 };
    const options = { ...sampling, tokenizer, seed, stream: "evaluation", visit: turn, onToken } as const;
    for await (const { finish } of rollOut(model, [prompt], options)) ended = finish;
  } catch (error) {
    if (!(error instanceof Stopped)) throw error;
  }
  hear((answer) => answer.flush());
  if (!json) process.stdout.write("\n");
  const score = judge && (await judge([...messages, { role: "assistant", content: said }]));
  output.result({
    json: {
      prompt: messages.at(-1)!.content,
      text: printed,
      finish_reason: ended,
      ...(score !== undefined && { reward_score: score }),
    },
  });
  if (score !== undefined) {
    say(
      score === null ? "(no score: longer than the reward model's context)" : `(score ${score.toFixed(3)})`,
    );
  }
  if (ended === "length") {
    say(
      maxNewTokens < settings.maxNewTokens
        ? `(cut: the model's context of ${count(context)} tokens is full; /reset starts over)`
        : `(cut at max_new_tokens ${maxNewTokens}; --max_new_tokens allows more)`,
    );
  }
  if (ended === "stopped") say("(stopped)");
  return said;
}

class Stopped extends Error {}

/** On a terminal Ctrl-C stops an answer; a second one, or two at the prompt, leave. */
function watchInterrupts(
  lines: Interface,
  say: (text: string) => void,
): { begin(): void; end(): void; asked(): boolean } {
  let asked = 0;
  let answering = false;
  lines.on("SIGINT", () => {
    asked++;
    if (asked > 1) process.exit(exitCodes.interrupted);
    if (answering) return;
    say("\nCtrl-C again leaves, as Ctrl-D and /exit do.");
    lines.prompt();
  });
  lines.on("line", () => {
    if (!answering) asked = 0;
  });
  return {
    begin: () => {
      answering = true;
      asked = 0;
    },
    end: () => {
      answering = false;
      asked = 0;
    },
    asked: () => asked > 0,
  };
}
