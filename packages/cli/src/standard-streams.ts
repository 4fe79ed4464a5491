// Standard output and error that can no longer be written: one rule for all commands. A reader that leaves (`| head`, a terminal that is closed) has
// seen enough: what is said to it is dropped, work that is kept in files goes on, and rows that were for it alone end the command without an error. A
// refusal (a full disk) is said once, likewise ends rows and lets kept work go on, and the exit code says that something was lost.
import { exitCodes } from "./failure.js";

/** Ends a command whose result nobody gets; what there was to say is said. */
class OutputGone extends Error {
  override readonly name = "OutputGone";
  constructor(readonly exitCode: number) {
    super("standard output is gone");
  }
}

let gone: OutputGone | undefined;

/** For the whole process, once. */
export function guardStandardStreams(): void {
  for (const stream of [process.stdout, process.stderr]) {
    let said = false;
    stream.on("error", (error: NodeJS.ErrnoException) => {
      const hasLeft = error.code === "EPIPE" || (error.code === "EIO" && stream.isTTY);
      if (stream === process.stdout) gone = new OutputGone(hasLeft ? exitCodes.done : exitCodes.mistake);
      if (hasLeft || said) return;
      said = true;
      process.once("exit", () => {
        process.exitCode ||= exitCodes.mistake;
      });
      if (stream === process.stderr) return;
      process.stderr.write(
        `Standard output cannot be written (${error.message}): what belongs there is lost. What is kept in files is not; check the space that is left on the disk.\n`,
      );
    });
  }
}

/** Writes a part of a command's result to standard output, in the pace of its reader. Throws OutputGone. */
export async function writeResult(text: string): Promise<void> {
  await new Promise<void>((resolve) => process.stdout.write(text, () => resolve()));
  // The stream tells its error after it has told the writer.
  await Promise.resolve();
  throwIfOutputGone();
}

/** For a command that streams its result: whether to go on. */
export function throwIfOutputGone(): void {
  if (gone !== undefined) throw gone;
}
