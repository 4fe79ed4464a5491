// A reward model in an ONNX file as a scorer. Each sequence goes alone, so that its score depends on nothing beside it.
import { UserError } from "@posttrain/data";
import { type OnnxModel, openOnnxModel } from "@posttrain/model";
import type { Scorer } from "./scorer.js";

export interface OnnxScorer {
  readonly scorer: Scorer;
  close(): Promise<void>;
}

/**
 * `vocabSize`: ids that the tokenizer beside the file may give; `context`: the longest sequence that is scored (null beyond).
 * @throws UserError `bad_onnx` when the file is no reward model of one score, or knows fewer tokens.
 */
export async function openOnnxScorer(
  file: string,
  {
    vocabSize,
    context,
    threads,
  }: { readonly vocabSize: number; readonly context: number; readonly threads?: number | undefined },
): Promise<OnnxScorer> {
  const model = await openOnnxModel(file, threads);
  try {
    refuseOtherShape(model);
    await refuseSmallerVocabulary(model, vocabSize);
  } catch (error) {
    await model.close();
    throw error;
  }
  const scoreOf = async (ids: Int32Array): Promise<number | null> =>
    ids.length === 0 || ids.length > context ? null : ((await model.run([ids])).data[0] as number);
  return {
    scorer: async (sequences) => {
      const scores: (number | null)[] = [];
      for (const ids of sequences) scores.push(await scoreOf(ids));
      return scores;
    },
    close: () => model.close(),
  };
}

function refuseOtherShape({ file, shape }: OnnxModel): void {
  const isOne = shape.length === 1 || (shape.length === 2 && (shape[1] === 1 || shape[1] === null));
  if (isOne) return;
  const sizes = shape.map((size) => size ?? "any").join(", ");
  throw new UserError(
    "bad_onnx",
    `${file}: what it gives has the shape [${sizes}], expected one score a row, [any, 1]. ${shape.length === 3 ? "It looks like a language model. " : ""}Export a reward model with \`posttrain export --format onnx\`.`,
  );
}

/** Looks the tokenizer's last id up: an embedding that lacks it is another model's. */
async function refuseSmallerVocabulary({ file, run }: OnnxModel, vocabSize: number): Promise<void> {
  const { dims } = await run([Int32Array.of(vocabSize - 1)]).catch((cause: Error) => {
    throw new UserError(
      "bad_onnx",
      `${file}: it does not take token ${vocabSize - 1}, the last of the tokenizer beside it (${firstLine(cause)}). The file and the tokenizer belong to different models: copy both from the same one.`,
      { cause },
    );
  });
  const values = dims.reduce((product, size) => product * size, 1);
  if (values === 1) return;
  throw new UserError(
    "bad_onnx",
    `${file}: it gives ${values} numbers for one row, expected one score. It is no reward model of one score.`,
  );
}

const firstLine = ({ message }: Error): string => (message.split("\n")[0] as string).slice(0, 200);
