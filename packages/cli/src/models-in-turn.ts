// Several checkpoints, one after the other.
import type { Device } from "@posttrain/kernels";
import { computeDtype, loadModel, type Model } from "@posttrain/model";
import type { RunContext } from "./command.js";
import type { Output } from "./output.js";
import { describeModel, openMachine } from "./with-model.js";

/** One checkpoint at a time on one device: the last stays loaded for the next block of queries. */
export function modelsInTurn(
  machine: RunContext,
  { dtype }: { readonly dtype: Parameters<typeof computeDtype>[0] },
  output: Output,
) {
  let device: Device | undefined;
  let held: { readonly dir: string; readonly model: Model } | undefined;
  const described = new Set<string>();
  return {
    use: async <T>(dir: string, body: (model: Model) => Promise<T>): Promise<T> => {
      device ??= openMachine(machine);
      if (held?.dir !== dir) {
        held?.model.scope.end();
        held = undefined;
        held = { dir, model: await loadModel(device, dir, { dtype: computeDtype(dtype) }) };
      }
      if (!described.has(dir)) output.say(`${dir}: ${describeModel(held.model)}`);
      described.add(dir);
      return body(held.model);
    },
    close: async (): Promise<void> => {
      held?.model.scope.end();
      await device?.close();
    },
  };
}
