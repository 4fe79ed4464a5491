// A model in an ONNX file, run by onnxruntime: our own exports, and models that others exported with the usual names (Optimum, torch.onnx).
import { stat } from "node:fs/promises";
import { join } from "node:path";
import { UserError } from "@posttrain/data";
import type { InferenceSession } from "onnxruntime-node";

export interface OnnxModel {
  readonly file: string;
  /** Sizes of the first output; null where the file leaves one open. */
  readonly shape: readonly (number | null)[];
  /** The first output for rows of token ids, padded to one length on the right; its sizes, and its values row-major. */
  run(
    rows: readonly Int32Array[],
  ): Promise<{ readonly dims: readonly number[]; readonly data: Float32Array }>;
  close(): Promise<void>;
}

/** What a decoder without a cache takes, and what each of them is made from. All int64 (B, T). */
const knownInputs: Readonly<Record<string, (id: number | undefined, place: number) => number>> = {
  input_ids: (id) => id ?? 0,
  attention_mask: (id) => (id === undefined ? 0 : 1),
  position_ids: (_, place) => place,
  token_type_ids: () => 0,
};

/** The file of a path that is one, or a folder with model.onnx in it; undefined where it is neither. */
export async function onnxFileAt(path: string): Promise<string | undefined> {
  if (path.endsWith(".onnx")) return path;
  const file = join(path, "model.onnx");
  return (await stat(file).catch(() => undefined))?.isFile() === true ? file : undefined;
}

/**
 * Opens an ONNX file. `threads`: default one per core.
 * @throws UserError `bad_onnx` when onnxruntime cannot read it, or it takes something else than token ids or gives something else than one tensor of float32.
 */
export async function openOnnxModel(file: string, threads?: number): Promise<OnnxModel> {
  const { InferenceSession, Tensor } = await import("onnxruntime-node");
  const session = await InferenceSession.create(file, {
    // Its errors come as exceptions too.
    logSeverityLevel: 4,
    ...(threads === undefined ? {} : { intraOpNumThreads: threads }),
  }).catch((cause: Error) => {
    throw bad(
      file,
      `onnxruntime cannot read it (${cause.message})`,
      "Export it again, with the data file beside it.",
      cause,
    );
  });
  const [output] = session.outputMetadata;
  const problem = inputProblem(session.inputMetadata) ?? outputProblem(output);
  if (problem !== undefined || output?.isTensor !== true) {
    await session.release();
    throw bad(
      file,
      problem ?? "it has no output",
      "It is another kind of model: export one with `posttrain export --format onnx`.",
    );
  }
  const names = session.inputNames;
  return {
    file,
    shape: output.shape.map((size) => (typeof size === "number" && size > 0 ? size : null)),
    async run(rows) {
      const width = Math.max(...rows.map((row) => row.length));
      const feeds = names.map((name) => {
        const values = new BigInt64Array(rows.length * width);
        for (const [b, row] of rows.entries()) {
          for (let t = 0; t < width; t++) values[b * width + t] = BigInt(knownInputs[name]!(row[t], t));
        }
        return [name, new Tensor("int64", values, [rows.length, width])] as const;
      });
      const result = (await session.run(Object.fromEntries(feeds), [output.name]))[output.name]!;
      return { dims: result.dims, data: result.data as Float32Array };
    },
    close: () => session.release(),
  };
}

function inputProblem(inputs: readonly InferenceSession.ValueMetadata[]): string | undefined {
  const other = inputs.find((input) => !Object.hasOwn(knownInputs, input.name));
  if (other !== undefined)
    return `it takes an input ${JSON.stringify(other.name)}, which is none of ${Object.keys(knownInputs).join(", ")}`;
  if (!inputs.some(({ name }) => name === "input_ids")) return "it takes no input_ids";
  const wrong = inputs.find((input) => !input.isTensor || input.type !== "int64" || input.shape.length !== 2);
  return wrong && `its input ${wrong.name} is no int64 tensor of two dimensions (rows, tokens)`;
}

function outputProblem(output: InferenceSession.ValueMetadata | undefined): string | undefined {
  if (output === undefined) return "it has no output";
  return output.isTensor && output.type === "float32"
    ? undefined
    : `its output ${JSON.stringify(output.name)} is no tensor of float32`;
}

function bad(file: string, problem: string, remedy: string, cause?: unknown): UserError {
  return new UserError("bad_onnx", `${file}: ${problem}. ${remedy}`, { cause });
}
