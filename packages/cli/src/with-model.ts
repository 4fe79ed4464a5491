// A model on a device for as long as a command needs it.
import { type Messages, openDevice } from "@posttrain/kernels";
import { computeDtype, loadModel, type Model, type ModelChoice, parameterCount } from "@posttrain/model";
import { count, millions } from "./format.js";
import type { MachineOptions } from "./options.js";
import { rank } from "./ranks.js";
import { visible } from "./visible.js";

/** The device that the options ask for; which one it is when it was chosen for them is said on standard error. */
export function openMachine(
  { device: backend, threads, cpu_path: path, quiet = false }: MachineOptions,
  messages?: Messages,
): ReturnType<typeof openDevice> {
  const device = openDevice({ backend, threads, path, messages });
  if (backend === "auto" && !quiet && rank === 0) console.error(visible(taken(device)));
  return device;
}

function taken({ backend, path, description, passedOver }: ReturnType<typeof openDevice>): string {
  return passedOver === undefined
    ? `--device auto takes ${backend}: ${description}`
    : `--device auto takes ${backend} (${path}), not cuda: ${passedOver}`;
}

export async function withDevice<T>(
  machine: MachineOptions,
  body: (device: ReturnType<typeof openDevice>) => Promise<T>,
  messages?: Messages,
): Promise<T> {
  const device = openMachine(machine, messages);
  try {
    return await body(device);
  } finally {
    await device.close();
  }
}

export async function withModel<T>(
  { model_name_or_path: dir, dtype }: ModelChoice,
  machine: MachineOptions,
  body: (model: Model) => Promise<T>,
): Promise<T> {
  return withDevice(machine, async (device) => {
    const model = await loadModel(device, dir, { dtype: computeDtype(dtype) });
    try {
      return await body(model);
    } finally {
      model.scope.end();
    }
  });
}

/** "134.5 M parameters, 30 layers, context of 8,192 tokens, bf16; cpu avx512, 2 threads"; f32, the usual, is not named. */
export function describeModel({ config, device, dtype }: Model): string {
  const size = `${millions(parameterCount(config))} parameters, ${config.layers} layers, context of ${count(config.maxPositionEmbeddings)} tokens${dtype === "bf16" ? ", bf16" : ""}`;
  return `${size}; ${device.backend} ${device.path}, ${device.threads} thread${device.threads === 1 ? "" : "s"}`;
}
