// Ctrl-C and SIGTERM for work that can save itself: the first asks it to stop at a good place, a second Ctrl-C ends the process at once.
import { exitCodes } from "./failure.js";

export interface Stopping {
  /** Aborted when somebody asked to stop. */
  readonly signal: AbortSignal;
  /** The exit code of who was asked to stop and did: 130 after Ctrl-C, 143 after SIGTERM. */
  exitCode(): number;
  [Symbol.dispose](): void;
}

/** Takes SIGINT and SIGTERM over until it is disposed of. `asked` tells the person that it was heard. */
export function stopOnSignal(asked: () => void): Stopping {
  const controller = new AbortController();
  let code: number = exitCodes.interrupted;
  const interrupt = (): void => {
    if (controller.signal.aborted) process.exit(exitCodes.interrupted);
    asked();
    controller.abort();
  };
  const terminate = (): void => {
    if (controller.signal.aborted) return;
    code = exitCodes.terminated;
    asked();
    controller.abort();
  };
  const others = process.listeners("SIGINT");
  process.removeAllListeners("SIGINT");
  process.on("SIGINT", interrupt);
  process.on("SIGTERM", terminate);
  return {
    signal: controller.signal,
    exitCode: () => code,
    [Symbol.dispose]: () => {
      process.off("SIGINT", interrupt);
      process.off("SIGTERM", terminate);
      for (const other of others) process.on("SIGINT", other);
    },
  };
}
