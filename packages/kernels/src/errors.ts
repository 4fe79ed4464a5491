// The one error of this package. Codes: kernel_argument (a call that cannot be right: shape, dtype, freed tensor, mixed devices),
// kernel_memory, kernel_device (a backend or path that is not there), kernel_file, kernel_stream (an op failed while it ran;
// the message names the op and its shapes), kernel_load (the native library could not be loaded).

export type KernelErrorCode =
  | "kernel_argument"
  | "kernel_memory"
  | "kernel_device"
  | "kernel_file"
  | "kernel_stream"
  | "kernel_load";

export class KernelError extends Error {
  override readonly name = "KernelError";
  readonly code: KernelErrorCode;

  constructor(code: KernelErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/** Turns an error of the addon (an Error with our code) into a KernelError; anything else passes through. */
export function asKernelError(error: unknown): unknown {
  if (!(error instanceof Error) || error instanceof KernelError) return error;
  const code = (error as { code?: unknown }).code;
  if (typeof code !== "string" || !code.startsWith("kernel_")) return error;
  return new KernelError(code as KernelErrorCode, error.message, { cause: error });
}
