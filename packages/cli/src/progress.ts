// Progress of long work: one line that updates itself on a terminal, else a plain line now and then.

import { visible } from "./visible.js";

const terminalInterval = 100;
const plainInterval = 5000;

export interface Progress {
  /** Calls `line` when it is time to show it. */
  show(line: () => string): void;
  /** Shows the last line for good, or takes the updating line away. */
  end(line?: string): void;
}

export function createProgress(stream: NodeJS.WriteStream): Progress {
  const terminal = stream.isTTY === true;
  let shown = terminal ? Number.NEGATIVE_INFINITY : performance.now();
  let latest: string | undefined;
  const write = (text: string): void => {
    const line = visible(text);
    stream.write(terminal ? `\r${line.slice(0, (stream.columns || 80) - 1)}\x1b[K` : `${line}\n`);
    latest = text;
  };
  return {
    show(line) {
      const now = performance.now();
      if (now - shown < (terminal ? terminalInterval : plainInterval)) return;
      shown = now;
      write(line());
    },
    end(line) {
      if (line !== undefined && line !== latest) write(line);
      if (!terminal) return;
      if (line !== undefined) stream.write("\n");
      else if (latest !== undefined) stream.write("\r\x1b[K");
    },
  };
}
