// A model on a device for as long as a command needs it.
import { openDevice } from "@posttrain/kernels";
import { loadModel, type Model, parameterCount } from "@posttrain/model";
import { count, millions } from "./format.js";
import type { MachineOptions } from "./options.js";

export async function withDevice<T>(
  { threads, cpu_path: path }: MachineOptions,
  body: (device: ReturnType<typeof openDevice>) => Promise<T>,
): Promise<T> {
  const device = openDevice({ threads, path });
  try {
    return await body(device);
  } finally {
    await device.close();
  }
}

export async function withModel<T>(
  dir: string,
  machine: MachineOptions,
  body: (model: Model) => Promise<T>,
): Promise<T> {
  return withDevice(machine, async (device) => {
    const model = await loadModel(device, dir);
    try {
      return await body(model);
    } finally {
      model.scope.end();
    }
  });
}

/** "134.5 M parameters, 30 layers, context of 8,192 tokens; cpu avx512, 2 threads". */
export function describeModel({ config, device }: Model): string {
  const size = `${millions(parameterCount(config))} parameters, ${config.layers} layers, context of ${count(config.maxPositionEmbeddings)} tokens`;
  return `${size}; ${device.backend} ${device.path}, ${device.threads} thread${device.threads === 1 ? "" : "s"}`;
}
