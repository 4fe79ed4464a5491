// Runs a command line within this process: for what a command reads, says and refuses. What a process does beside it (signals, streams that
// close, exit while work goes on) takes a start of its own, `posttrain` of command-line.ts.
import { Readable, Writable } from "node:stream";
import { runCommandLine } from "../../src/command-line.js";
import type { Outcome, posttrain } from "./command-line.js";

/** One at a time: they share the process's streams, environment and exit code. */
let last: Promise<unknown> = Promise.resolve();

type Options = NonNullable<Parameters<typeof posttrain>[1]> & {
  /** Of a terminal in colour that gets both streams: `out` is what it gets. */
  readonly columns?: number;
};

/** As `posttrain`, without a process of its own. */
export function posttrainHere(args: readonly string[], options: Options = {}): Promise<Outcome> {
  const outcome = last.then(() => run(args, options));
  last = outcome.catch(() => undefined);
  return outcome;
}

async function run(
  args: readonly string[],
  { input = "", env = {}, cwd, columns }: Options,
): Promise<Outcome> {
  const [out, err] = [collector(), collector()];
  const terminal = { isTTY: true, columns, hasColors: () => true };
  const screen = Object.assign(out.stream, columns === undefined ? {} : terminal);
  const before = { env: process.env, cwd: process.cwd(), exitCode: process.exitCode };
  const { log, error } = console;
  const streams = {
    stdin: Readable.from([Buffer.from(input)]),
    stdout: screen,
    stderr: columns === undefined ? err.stream : screen,
  };
  const own = Object.entries(streams).map(([name, value]) => {
    const descriptor = Object.getOwnPropertyDescriptor(process, name)!;
    Object.defineProperty(process, name, { ...{ value, configurable: true, writable: true } });
    return [name, descriptor] as const;
  });
  try {
    process.env = { ...before.env, ...env };
    process.exitCode = undefined;
    if (cwd !== undefined) process.chdir(cwd);
    console.log = (text: string) => out.stream.write(`${text}\n`);
    console.error = (text: string) => err.stream.write(`${text}\n`);
    await runCommandLine(args);
    return { code: Number(process.exitCode ?? 0), out: out.text(), err: err.text() };
  } finally {
    Object.assign(console, { log, error });
    for (const [name, descriptor] of own) Object.defineProperty(process, name, descriptor);
    process.chdir(before.cwd);
    process.exitCode = before.exitCode;
    process.env = before.env;
  }
}

function collector(): { readonly stream: Writable; text(): string } {
  const chunks: Buffer[] = [];
  const stream = new Writable({
    write(chunk: Buffer, _encoding, done) {
      chunks.push(chunk);
      done();
    },
  });
  return { stream, text: () => Buffer.concat(chunks).toString("utf8") };
}
