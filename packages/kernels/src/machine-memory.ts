// How much memory there is for tensors: of the machine, or what a container grants, or what POSTTRAIN_MEMORY says.
import { totalmem } from "node:os";
import { KernelError } from "./errors.js";

const variable = "POSTTRAIN_MEMORY";
/** Of the machine's memory; the rest is for the process itself and the system. */
const usableShare = 0.9;

/** Bytes of the machine, or what a container (control group) grants. */
export function machineMemory(): number {
  // Undefined, 0 or more than there is where nothing is set.
  const granted: number | undefined = process.constrainedMemory();
  return granted !== undefined && granted > 0 ? Math.min(granted, totalmem()) : totalmem();
}

/** The most bytes that a device's tensors may take when its opener names no limit. A GPU has a limit of its own where nobody asks. */
export function defaultMemoryLimit(): number {
  return askedMemoryLimit() ?? Math.floor(machineMemory() * usableShare);
}

/** What POSTTRAIN_MEMORY asks for. */
export function askedMemoryLimit(): number | undefined {
  const text = process.env[variable];
  return text === undefined || text === "" ? undefined : bytesOf(text);
}

const units = { "": 1, B: 1, KB: 1e3, MB: 1e6, GB: 1e9, KIB: 2 ** 10, MIB: 2 ** 20, GIB: 2 ** 30 } as const;

/** "800MB", "2.5 GiB", "3000000000". */
function bytesOf(text: string): number {
  const [, digits, name = ""] = /^\s*(\d+(?:\.\d+)?)\s*([KMG]I?B|B|)\s*$/i.exec(text) ?? [];
  const bytes = Math.floor(Number(digits) * units[name.toUpperCase() as keyof typeof units]);
  if (digits !== undefined && bytes >= 1) return bytes;
  throw new KernelError(
    "kernel_device",
    `${variable} is "${text}", expected an amount of memory such as 800MB, 2.5GiB or a number of bytes.`,
  );
}
