// A model from a Hugging Face folder: weights stored in f32, bf16 or f16 to the dtype that the model computes in.
import { open } from "node:fs/promises";
import { UserError } from "@posttrain/data";
import { type Device, MappedFile, type Scope, sumSquares, type Tensor } from "@posttrain/kernels";
import type { Qwen2Config } from "./config.js";
import { emptyModel, initialiseParameter, type Model, type ModelOptions, setParameter } from "./model.js";
import { type ModelFolder, openModelFolder, type StoredTensor } from "./model-folder.js";
import { refuseTooLarge } from "./model-size.js";

/** Bytes of files that are in memory beside the model while it is read, or one tensor's if that is more. */
const readAtOnce = 1 << 26;

export interface LoadOptions extends ModelOptions {
  /** What the folder must hold. Default: a language model. */
  readonly kind?: Parameters<typeof openModelFolder>[1];
  /**
   * The config that the model gets, where it is another than the folder's: the same layers with a head of its own. What the folder lacks is
   * fresh, drawn from `seed`.
   */
  readonly as?: { readonly config: Qwen2Config; readonly seed: number };
}

/**
 * Reads a Hugging Face folder, by default into f32. With `masters` a model in bf16 keeps the file's own values beside their rounding.
 * UserError when it is no model folder, or a weight is not a finite number.
 */
export async function loadModel(device: Device, dir: string, options: LoadOptions = {}): Promise<Model> {
  const { kind, as, ...rest } = options;
  const folder = await openModelFolder(dir, kind);
  const { generationConfig } = folder;
  refuseTooLarge(dir, folder.config, rest.dtype ?? "f32", device.memoryLimit);
  const model = emptyModel(device, as?.config ?? folder.config, { ...rest, generationConfig });
  try {
    await readWeights(
      device,
      folder,
      (name) => model.parameters.has(name),
      (name, values) => setParameter(model, name, values),
    );
    for (const name of model.parameters.keys()) {
      if (!folder.tensors.has(name)) initialiseParameter(model, name, as?.seed ?? 0);
    }
    await checkFinite(model, dir);
    return model;
  } catch (error) {
    model.scope.end();
    throw error;
  }
}

/** Reads the wanted tensors of a folder, each once and in its own dtype; `visit` enqueues what is to be done with it. Done when that is done. */
export async function readWeights(
  device: Device,
  { tensors }: Pick<ModelFolder, "tensors">,
  wanted: (name: string) => boolean,
  visit: (name: string, values: Tensor) => void,
): Promise<void> {
  await device.run(async (scope) => {
    const files = new Map<string, MappedFile>();
    let read = 0;
    const forget = async (): Promise<void> => {
      await device.drain();
      for (const file of files.values()) file.forget();
      read = 0;
    };
    for (const [name, stored] of tensors) {
      if (!wanted(name)) continue;
      const file = files.get(stored.file) ?? new MappedFile(stored.file);
      files.set(stored.file, file);
      visit(name, await storedTensor(scope, file, stored));
      read += stored.end - stored.begin;
      if (read >= readAtOnce) await forget();
    }
    await forget();
  });
}

const dtypes = { F32: "f32", BF16: "bf16", F16: "f16" } as const;
const dtypeBytes = { F32: 4, BF16: 2, F16: 2 } as const;

/** Mapped where the file's alignment allows it, else read. */
async function storedTensor(scope: Scope, file: MappedFile, stored: StoredTensor): Promise<Tensor> {
  const dtype = dtypes[stored.dtype];
  const { begin, end, shape } = stored;
  if (begin % dtypeBytes[stored.dtype] === 0) return file.tensor(scope, begin, dtype, shape);
  const handle = await open(stored.file);
  try {
    const bytes = new Uint8Array(end - begin);
    await handle.read(bytes, 0, bytes.length, begin);
    const data = dtype === "f32" ? new Float32Array(bytes.buffer) : new Uint16Array(bytes.buffer);
    return scope.from(data, shape, dtype);
  } finally {
    await handle.close();
  }
}

/** Names of the parameters that hold NaN or infinite values, in the model's dtype. Waits for what is enqueued. */
export async function brokenWeights(model: Model): Promise<readonly string[]> {
  return model.device.run(async (scope) => {
    const finite = async (tensor: Tensor): Promise<boolean> =>
      Number.isFinite((await sumSquares(scope, tensor).read())[0]);
    if (await finite(model.arena)) return [];
    const broken: string[] = [];
    for (const [name, tensor] of model.parameters) if (!(await finite(tensor))) broken.push(name);
    return broken;
  });
}

async function checkFinite(model: Model, dir: string): Promise<void> {
  const broken = await brokenWeights(model);
  if (broken.length === 0) return;
  throw new UserError(
    "broken_weights",
    `${dir}: ${broken.length} of ${model.parameters.size} weight tensors hold NaN or infinite values (${broken.slice(0, 5).join(", ")}${
      broken.length > 5 ? ", ..." : ""
    }). Nothing sensible can be computed from them: take the last checkpoint before the run diverged, or download the model again.`,
  );
}
