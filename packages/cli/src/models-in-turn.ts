// Several models, one after the other or one within the other.
import type { Device } from "@posttrain/kernels";
import { computeDtype, loadModel, type Model } from "@posttrain/model";
import type { RunContext } from "./command.js";
import type { Output } from "./output.js";
import { describeModel, openMachine } from "./with-model.js";

interface Loaded {
  readonly dir: string;
  readonly model: Model;
  /** Blocks that compute with it. */
  users: number;
}

/** All on one device. The last one stays loaded for the next block; one that a block computes with stays until the block ends. */
export function modelsInTurn(
  machine: RunContext,
  { dtype }: { readonly dtype: Parameters<typeof computeDtype>[0] },
  output: Output,
) {
  let opened: Device | undefined;
  let last: Loaded | undefined;
  const described = new Set<string>();
  const device = (): Device => {
    opened ??= openMachine(machine);
    return opened;
  };
  const letGo = (loaded: Loaded | undefined): void => {
    if (loaded !== undefined && loaded !== last && loaded.users === 0) loaded.model.scope.end();
  };
  return {
    device,
    use: async <T>(dir: string, body: (model: Model) => Promise<T>): Promise<T> => {
      if (last?.dir !== dir) {
        const before = last;
        last = undefined;
        letGo(before);
        last = { dir, model: await loadModel(device(), dir, { dtype: computeDtype(dtype) }), users: 0 };
      }
      const own = last;
      if (!described.has(dir)) output.say(`${dir}: ${describeModel(own.model)}`);
      described.add(dir);
      own.users++;
      try {
        return await body(own.model);
      } finally {
        own.users--;
        letGo(own);
      }
    },
    close: async (): Promise<void> => {
      last?.model.scope.end();
      await opened?.close();
    },
  };
}
