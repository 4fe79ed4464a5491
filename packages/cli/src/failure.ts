// What a person reads when a command fails, and its exit code. The one place that decides it; knows errors by their name, so that
// nothing heavy is loaded to report one.

/** Shown by --help and in the README. */
export const exitCodes = {
  done: 0,
  /** A mistake in flags, files or rows, or a file that the system does not give: a UserError, or an error of a system call. */
  mistake: 1,
  /** The machine cannot do it: no memory, no such cpu path, kernels that are not built. */
  machine: 2,
  /** Our own bug. */
  bug: 3,
  /** Nothing was left to do: the run that was to be resumed is complete. */
  nothing: 4,
  /** Done, but for rows that this machine could not grade, samples that a server did not give, or a self-test that did not hold. */
  ungraded: 5,
  /** A run of RL sounded an alarm: it is saved, and had better be looked at. */
  alarm: 6,
  /** Ctrl-C, SIGTERM, SIGHUP: at once, or of work that can save itself after it did. */
  interrupted: 130,
  terminated: 143,
  hungUp: 129,
} as const;

/** Of a UserError: a model that another machine could hold. */
const tooLarge = "model_too_large";
const machineCodes = ["kernel_memory", "kernel_device", "kernel_file", "kernel_load"];

export interface Failure {
  readonly text: string;
  readonly exitCode: number;
}

export function describeFailure(error: unknown): Failure {
  if (!(error instanceof Error)) {
    return { text: `posttrain: internal error: ${String(error)}`, exitCode: exitCodes.bug };
  }
  if (error.name === "OutputGone" && "exitCode" in error)
    return { text: "", exitCode: Number(error.exitCode) };
  const code = "code" in error ? String(error.code) : "";
  if (error.name === "UserError") {
    return { text: error.message, exitCode: code === tooLarge ? exitCodes.machine : exitCodes.mistake };
  }
  if ("syscall" in error && /^E[A-Z]+$/.test(code)) {
    return {
      text: `The system refused: ${error.message}. Check the path, its permissions and the space that is left on the disk.`,
      exitCode: exitCodes.mistake,
    };
  }
  if (error.name === "KernelError" && machineCodes.includes(code)) {
    return { text: `${error.message}${machineHint(code)}`, exitCode: exitCodes.machine };
  }
  return {
    text: `posttrain: internal error, a bug of posttrain and not yours. Please report it with the command and this:\n${error.stack}`,
    exitCode: exitCodes.bug,
  };
}

function machineHint(code: string): string {
  if (code !== "kernel_memory") return "";
  return (
    " There is too little memory for this. Of training, posttrain plan says what takes it and what to lower: per_device_train_batch_size, max_length, or " +
    "--gradient_checkpointing; else take a smaller model or fewer and shorter rows. POSTTRAIN_MEMORY is what tensors may take, if not 0.9 of what there is."
  );
}
