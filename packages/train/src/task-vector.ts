// What a model has learnt since its base, read from the folders of both: the arena that online merging adds a little of.
import { UserError } from "@posttrain/data";
import { convert, fill, type MergeMethod, type Tensor, taskVector } from "@posttrain/kernels";
import {
  enableGradients,
  type Model,
  type ModelFolder,
  openModelFolder,
  readWeights,
} from "@posttrain/model";
import type { Filled } from "./optimizer.js";

export interface BaseOf {
  /** Folders of the model that is trained, and of what it was fine-tuned from. */
  readonly start: string;
  readonly base: string;
}

/**
 * Both folders, of which no weights are read. UserError for a base that the model cannot come from: with parameters of another shape, or a reward model where
 * a language model is trained.
 */
export async function openBase(
  { start, base }: BaseOf,
  isTrained: (name: string) => boolean = () => true,
): Promise<{ readonly from: ModelFolder; readonly to: ModelFolder }> {
  const to = await openModelFolder(start, "either");
  const from = await openModelFolder(base, to.config.score === null ? "language" : "either");
  // A reward model's head is nothing that a language model has learnt.
  const headed = to.config.score !== null && from.config.score === null;
  for (const [name, { shape }] of to.tensors) {
    const found = from.tensors.get(name)?.shape;
    if (found?.join() === shape.join() || !isTrained(name)) continue;
    if (found === undefined && headed) continue;
    throw new UserError(
      "other_base",
      `base_model_name_or_path ${base} is no base of ${start}: its ${name} is ${found === undefined ? "not there" : `[${found.join(", ")}]`}, expected ` +
        `[${shape.join(", ")}]. Give the folder of the model that ${start} was fine-tuned from.`,
    );
  }
  return { from, to };
}

/**
 * Fills `arena` with start - base, thinned as `method` says; parameters that one of the folders lacks (a new head) have none. The gradients' memory
 * holds the base meanwhile. `unit` is the L1 distance of the two. UserError as openBase(), or for weights that are no numbers.
 */
export async function fillTaskVector(
  model: Model,
  arena: Tensor,
  { start, base, method }: BaseOf & { readonly method: MergeMethod },
): Promise<Filled> {
  const { device, trained } = model;
  const { from, to } = await openBase({ start, base }, (name) => trained.places.has(name));
  const shared = (name: string): boolean =>
    from.tensors.has(name) && to.tensors.has(name) && trained.places.has(name);
  const gradients = enableGradients(model).arena;
  const read = (folder: ModelFolder, target: Tensor): Promise<void> =>
    readWeights(device, folder, shared, (name, values) => {
      const { offset, shape } = trained.places.get(name) as { offset: number; shape: readonly number[] };
      const scope = device.scope();
      convert(scope.view(target, offset, shape), values);
      scope.end();
    });
  await read(to, arena);
  await read(from, gradients);
  const distance = await device.run(async (scope) => {
    let sum = 0;
    for (const { offset, size } of trained.places.values()) {
      const tau = scope.view(arena, offset, [size]);
      const old = scope.view(gradients, offset, [size]);
      sum += (await taskVector(scope, tau, tau, old, { ...method, first: offset }).read())[0] as number;
    }
    fill(gradients, 0);
    return sum;
  });
  if (!Number.isFinite(distance)) {
    throw new UserError(
      "broken_weights",
      `${base} or ${start} holds NaN or infinite weights: download the model again.`,
    );
  }
  const notes =
    distance === 0
      ? [
          `${start} has the weights of its base ${base}: there is no delta to merge in, so only the masks of online merging act`,
        ]
      : [];
  return { unit: distance, notes };
}
