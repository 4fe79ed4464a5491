// What a command prints and where. Talk is for the person who waits: --quiet leaves it out, --json sends it to standard error, so that
// standard output has the result alone.
import { stringifyJson } from "@posttrain/data";
import { glue, widthOf, wrap, wrapCommand } from "./format.js";
import { createProgress, type Progress } from "./progress.js";
import { rank } from "./ranks.js";
import { visible, visibleJson } from "./visible.js";

/** Text beside a label; a label of "" goes on with the line before. */
export type Line = readonly [label: string, text: string];

export interface Output {
  readonly json: boolean;
  readonly quiet: boolean;
  /** Of the terminal, at most 160; 80 without one: for what is drawn, which fills them. */
  readonly columns: number;
  readonly coloured: boolean;
  /** Talk: broken at spaces to the width of the terminal. */
  say(text: string): void;
  /** Talk that keeps its lines. */
  print(text: string): void;
  /** Talk in colour, from text that is ours, or made visible; all other talk is made visible here. */
  draw(text: string): void;
  /** Talk as a table: labels on the left, text beside them; commands can be pasted. */
  table(lines: readonly Line[]): void;
  progress(): Progress;
  /** The result in the form that was asked for; where neither was, talk has said it. */
  result(forms: { readonly quiet?: string; readonly json: object }): void;
}

const labelColumns = 12;

const noProgress: Progress = { show: () => undefined, end: () => undefined };

/** `talk` is where a command talks without --json. */
export function createOutput(
  { quiet, json }: { readonly quiet: boolean; readonly json: boolean },
  talk: NodeJS.WriteStream,
): Output {
  const stream = json ? process.stderr : talk;
  const isSilent = quiet || rank > 0;
  const draw = (text: string): void => {
    if (!isSilent) stream.write(`${text}\n`);
  };
  const print = (text: string): void => draw(visible(text));
  const onScreen = (text: string, shown: (text: string) => string): string =>
    process.stdout.isTTY ? shown(text) : text;
  return {
    json,
    quiet,
    columns: stream.isTTY ? Math.min(stream.columns || 80, 160) : 80,
    coloured: stream.isTTY === true && stream.hasColors(),
    say: (text) => draw(stream.isTTY ? wrap(visible(text), widthOf(stream)) : visible(text)),
    print,
    draw,
    table(lines) {
      for (const [label, given] of lines) {
        const text = visible(given);
        const width = widthOf(stream) - labelColumns;
        const isCommand = text.startsWith("npx ");
        const broken = !isCommand ? wrap(text, width) : stream.isTTY ? wrapCommand(text, width) : text;
        const wrapped = broken.replaceAll("\n", `\n${" ".repeat(labelColumns)}`).replaceAll(glue, " ");
        draw((label.padEnd(labelColumns) + wrapped).trimEnd());
      }
    },
    progress: () => (isSilent ? noProgress : createProgress(stream)),
    result(forms) {
      if (rank > 0) return;
      if (json) process.stdout.write(`${onScreen(stringifyJson(forms.json), visibleJson)}\n`);
      else if (quiet && forms.quiet !== undefined)
        process.stdout.write(`${onScreen(forms.quiet, visible)}\n`);
    },
  };
}
