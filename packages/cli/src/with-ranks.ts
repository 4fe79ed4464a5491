// A device that trains together with those of the other ranks.
import { availableParallelism } from "node:os";
import { type Device, openMessages } from "@posttrain/kernels";
import type { MachineOptions } from "./options.js";
import { numberOf, ranks } from "./ranks.js";
import { withDevice } from "./with-model.js";

/** The ranks of a machine divide its cores, unless told otherwise, and have a GPU each: the one of their number there. KernelError `kernel_device` where Open MPI cannot be opened. */
export async function withRanks<T>(
  machine: MachineOptions,
  body: (device: Device) => Promise<T>,
): Promise<T> {
  if (ranks === 1) return withDevice(machine, body);
  const messages = openMessages(process.env["POSTTRAIN_MPI"]);
  const share = Math.ceil(availableParallelism() / numberOf("OMPI_COMM_WORLD_LOCAL_SIZE", 1));
  const threads = machine.threads ?? (process.env["POSTTRAIN_THREADS"] ? undefined : share);
  // What they send each other goes through the host's memory (kernels/src/messages.ts); between GPUs NCCL's point-to-point calls would come there.
  const device =
    machine.device === "cuda" ? `cuda:${numberOf("OMPI_COMM_WORLD_LOCAL_RANK", 0)}` : machine.device;
  const result = await withDevice({ ...machine, device, threads }, body, messages);
  await messages.close();
  return result;
}
