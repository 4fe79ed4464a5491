// A language model in an ONNX file as a teacher, as `posttrain export --format onnx` writes it. Such a file has no cache: each token costs a pass over all before it, so it suits
// short replies and small models. What is said depends on (file, request) alone.
import { dirname } from "node:path";
import { answerText, UserError, uniform } from "@posttrain/data";
import { type OnnxModel, openModelConfigs, openOnnxModel, resolveStopIds } from "@posttrain/model";
import { journalKey } from "@posttrain/run";
import type { LocalTeacherOptions } from "./local-teacher.js";
import type { Teacher, TeacherReply, TeacherRequest } from "./teacher.js";
import { promptStarts, textSide } from "./text-side.js";

export interface OnnxTeacher extends Pick<Teacher, "ask" | "concurrency"> {
  close(): Promise<void>;
}

type Reply = Extract<TeacherReply, { outcome: "reply" }>;

/** onnxruntime spreads one row over all cores. */
const atOnce = 1;

/** Heeds messages, temperature, max_tokens and seed of a request. UserError where the file gives no logits, and what its folder throws. */
export async function openOnnxTeacher(
  file: string,
  { weights, journal, maxTokens, onToken }: LocalTeacherOptions,
): Promise<OnnxTeacher> {
  const { config, generationConfig } = await openModelConfigs(dirname(file));
  const text = textSide(dirname(file), config);
  const tokenizer = await text.tokenizer();
  const model = await openOnnxModel(file);
  if (model.shape.length !== 3) {
    await model.close();
    throw new UserError(
      "bad_onnx",
      `${file}: what it gives has ${model.shape.length} dimensions, expected logits (rows, tokens, words). Export a language model with \`posttrain export --format onnx --onnx_output logits\`.`,
    );
  }
  const stops = new Set(resolveStopIds(generationConfig, config));
  const drawable = Math.min(tokenizer.size, config.vocabSize);
  const context = config.maxPositionEmbeddings;

  const generate = async (
    prompt: readonly number[],
    { temperature = 0, max_tokens: most = maxTokens, seed = 0 }: TeacherRequest,
    signal: AbortSignal | undefined,
  ): Promise<Reply> => {
    const ids = [...prompt];
    let finish = "length";
    while (ids.length < context && ids.length - prompt.length < most && finish === "length") {
      signal?.throwIfAborted();
      const unit = uniform(seed, "evaluation", [ids.length, 0, 0, 0]);
      const id = drawn(await logitsAfter(model, ids), drawable, temperature, unit);
      onToken?.();
      ids.push(id);
      if (stops.has(id)) finish = "stop";
    }
    const said = ids.slice(prompt.length);
    return {
      ...{ outcome: "reply", cached: false, finish },
      text: answerText(tokenizer, said, { stop: [], stopIds: [...stops] }),
      ...{ promptTokens: prompt.length, completionTokens: said.length },
    };
  };
  /** One after the other. */
  let last: Promise<unknown> = Promise.resolve();
  return {
    concurrency: atOnce,
    close: () => model.close(),
    ask: async (request, signal) => {
      const key = journalKey("onnx reply", [weights, request]);
      const known = journal.get(key) as Reply | undefined;
      if (known !== undefined) return { ...known, cached: true };
      const [start] = await promptStarts([{ prompt: request.messages }], text);
      if (!start!.whole || start!.ids.length >= context)
        return {
          outcome: "failed",
          reason: `what the model is asked fills its context of ${context} tokens`,
        };
      const reply = last.catch(() => undefined).then(() => generate(start!.ids, request, signal));
      last = reply;
      return journal.record(key, await reply);
    },
  };
}

/** Those of the token that comes next. */
async function logitsAfter(model: OnnxModel, ids: readonly number[]): Promise<Float32Array> {
  const { dims, data } = await model.run([Int32Array.from(ids)]);
  const words = dims.at(-1) as number;
  return data.subarray(data.length - words);
}

/** The likeliest token without a temperature, else the one at `unit` (in [0, 1)) of the tempered distribution, in the order of ids. */
export function drawn(logits: Float32Array, drawable: number, temperature: number, unit: number): number {
  let best = 0;
  for (let id = 1; id < drawable; id++) if (logits[id]! > logits[best]!) best = id;
  if (temperature === 0) return best;
  const weights = Float64Array.from(logits.subarray(0, drawable), (logit) =>
    Math.exp((logit - logits[best]!) / temperature),
  );
  let left = unit * weights.reduce((sum, weight) => sum + weight, 0);
  for (const [id, weight] of weights.entries()) {
    left -= weight;
    if (left < 0) return id;
  }
  return best;
}
