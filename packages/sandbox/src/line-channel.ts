/**
 * Lines to and from an interpreter. A side that may be a candidate's: no line is longer than the limit, and what is no
 * line ends the channel.
 */
import type { Readable, Writable } from "node:stream";

export interface LineChannel {
  readonly send: (line: string) => void;
  /** The next line; undefined once the other side is gone or said too much. */
  readonly receive: () => Promise<string | undefined>;
}

const newline = 10;

export function lineChannel(to: Writable, from: Readable, maxBytes: number): LineChannel {
  const lines: string[] = [];
  const waiting: ((line: string | undefined) => void)[] = [];
  let parts: Buffer[] = [];
  let size = 0;
  let closed = false;

  const close = (): void => {
    closed = true;
    parts = [];
    for (const resolve of waiting.splice(0)) resolve(undefined);
  };
  from.on("data", (chunk: Buffer) => {
    let start = 0;
    for (let end = chunk.indexOf(newline); end >= 0 && !closed; end = chunk.indexOf(newline, start)) {
      parts.push(chunk.subarray(start, end));
      const line = Buffer.concat(parts).toString("utf8");
      const resolve = waiting.shift();
      if (resolve) resolve(line);
      else lines.push(line);
      // Nobody asked for that many answers.
      if (lines.length > 100) close();
      parts = [];
      size = 0;
      start = end + 1;
    }
    if (closed || start === chunk.length) return;
    parts.push(chunk.subarray(start));
    size += chunk.length - start;
    if (size > maxBytes) close();
  });
  from.once("close", close).once("end", close);

  return {
    send: (line) => {
      if (!to.destroyed) to.write(`${line}\n`);
    },
    receive: () => {
      const line = lines.shift();
      if (line !== undefined) return Promise.resolve(line);
      return closed ? Promise.resolve(undefined) : new Promise((resolve) => waiting.push(resolve));
    },
  };
}
