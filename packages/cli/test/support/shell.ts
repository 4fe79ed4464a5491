// Runs lines as a person pastes them into a shell, where `npx posttrain` is this process: what the lines say is tested, not the start of a
// program, which costs a second of CPU each. Commands that start processes or threads of posttrain's own are started, since those are built files.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { Readable, Writable } from "node:stream";
import { text } from "node:stream/consumers";
import { main, type Outcome } from "./command-line.js";
import { posttrainHere } from "./in-process.js";

/** Leaves words, environment and input of a call in a folder below `calls`, says so on descriptor 3 and waits on 4 for its exit code. */
const npx = (calls: string): string => `
calls='${calls}'
npx() {
  case "\${2-} \${3-}" in "run "*|"worker "*|"data decontaminate")
    # In the background the program takes the place of this function's process: a signal is for it.
    [[ $BASHPID == $$ ]] || exec npx "$@"
    command npx "$@"; return;;
  esac
  local call code
  call=$(mktemp -d -p "$calls")
  printf '%s\\0' "\${@:2}" > "$call/args"; env -0 > "$call/env"; cat > "$call/input"
  echo "$call" >&3; read -r code <&4
  cat "$call/out"; cat "$call/err" >&2
  return "$code"
}
`;

/** Ends at the first line that fails, in a pipe too, with its exit code. */
export async function inShell(
  lines: string,
  { cwd, env = {}, input = "" }: { readonly cwd: string; readonly env?: object; readonly input?: string },
): Promise<Outcome> {
  const folder = mkdtempSync(join(tmpdir(), "posttrain-shell-"));
  const [calls, bin] = [join(folder, "calls"), join(folder, "bin")];
  for (const dir of [calls, bin]) mkdirSync(dir);
  const program = `#!/bin/sh\nshift\nexec "${process.execPath}" "${main}" "$@"\n`;
  writeFileSync(join(bin, "npx"), program, { mode: 0o755 });
  const shell = spawn("bash", ["-euo", "pipefail", "-c", npx(calls) + lines], {
    cwd,
    env: { ...process.env, ...env, PATH: `${bin}:${process.env["PATH"]}` },
    stdio: ["pipe", "pipe", "pipe", "pipe", "pipe"],
  });
  const [stdin, stdout, stderr, asked, told] = shell.stdio as [
    ...[Writable, Readable, Readable],
    ...[Readable, Writable],
  ];
  // Who reads no input does not mind when it is gone.
  stdin.on("error", () => undefined).end(input);
  const closed = once(shell, "close") as Promise<[number | null]>;
  const calling = createInterface({ input: asked });
  // A server that the lines leave behind holds both descriptors, but asks nothing.
  shell.once("exit", () => {
    calling.close();
    asked.destroy();
    told.destroy();
  });
  const answering = (async () => {
    for await (const call of calling) told.write(`${await answer(call)}\n`);
  })().catch((error: unknown) => {
    shell.kill();
    throw error;
  });
  try {
    const [out, err] = await Promise.all([text(stdout), text(stderr), answering]);
    return { code: (await closed)[0], out, err };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

async function answer(call: string): Promise<number | null> {
  const [args, variables] = ["args", "env"].map((name) =>
    readFileSync(join(call, name), "utf8").split("\0").slice(0, -1),
  ) as [string[], string[]];
  const env: Readonly<Record<string, string>> = Object.fromEntries(
    variables.map((one) => [one.slice(0, one.indexOf("=")), one.slice(one.indexOf("=") + 1)]),
  );
  const input = readFileSync(join(call, "input"), "utf8");
  const { code, out, err } = await posttrainHere(args, { env, cwd: env["PWD"]!, input });
  writeFileSync(join(call, "out"), out);
  writeFileSync(join(call, "err"), err);
  return code;
}
