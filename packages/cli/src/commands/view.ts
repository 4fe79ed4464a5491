// posttrain view: a run as figures, groups and tokens on a local page, or its figures in the terminal. Reads files only.
import { UserError } from "@posttrain/data";
import { type FiguresAnswer, openRunAnswers, openViewServer } from "@posttrain/view";
import { z } from "zod";
import { defineCommand } from "../command.js";
import { columnsOf, curve } from "../curve.js";
import { count } from "../format.js";
import { createOutput, type Output } from "../output.js";

export const command = defineCommand({
  options: z.strictObject({
    run: z.string().describe("folder of a run of sft, dpo, reward or grpo"),
    port: z.int().min(0).max(65_535).default(0).describe("of 127.0.0.1; 0: a free one"),
    terminal: z.boolean().default(false).describe("print the figures here instead, once"),
  }),
  argument: "run",
  examples: [
    ["npx posttrain view runs/rl", "prints the address of a page that follows the run"],
    ["npx posttrain view runs/rl --terminal", "the same figures, without a browser"],
  ],
  notes:
    "The page is served to this machine alone, until Ctrl-C; it asks nothing of any other. From afar: ssh -L 8000:127.0.0.1:8000 HOST, with --port 8000 there. " +
    '--json prints {"url"}, with --terminal {"run", "figures"}; --quiet the address alone.',
  run: async ({ run, port, terminal }, context) => {
    const output = createOutput(context, process.stdout);
    const answers = await openRunAnswers(run);
    if (terminal) {
      if (port !== 0) {
        throw new UserError("bad_option", "--port is of the page: give either it or --terminal.");
      }
      await printFigures(await answers.run(), await answers.figures(), output);
      return;
    }
    const { url } = await openViewServer(port, answers);
    output.print(`${url}\nOpen it in a browser. It follows ${run}; Ctrl-C ends it.`);
    output.result({ quiet: url, json: { url } });
  },
});

async function printFigures(
  run: Awaited<ReturnType<Awaited<ReturnType<typeof openRunAnswers>>["run"]>>,
  { sections }: FiguresAnswer,
  output: Output,
): Promise<void> {
  const of = run.totalSteps === undefined ? "" : ` of ${count(run.totalSteps)}`;
  const left = run.remaining === undefined || run.step === run.totalSteps ? "" : `, ${run.remaining} left`;
  output.print(`${run.dir}: ${run.stage}, step ${count(run.step)}${of}${left}`);
  for (const note of run.notes) output.say(note);
  if (sections.length === 0) output.print("No step has been logged yet.");
  for (const { title, figures } of sections) {
    output.print(`\n${title.toUpperCase()}`);
    for (const { title: name, unit, series } of figures) {
      for (const { label, steps, values } of series) {
        const ends = { rows: 5, first: steps[0] ?? 0, last: steps.at(-1) ?? 0 };
        output.print(`\n${name}${unit === "" ? "" : ` (${unit})`}, ${label}: ${rounded(values.at(-1) ?? 0)}`);
        output.print(curve(columnsOf(values), ends, rounded).join("\n"));
      }
    }
  }
  output.result({ json: { run, figures: sections.flatMap(({ figures }) => figures) } });
}

/** Of at most 8 characters. */
function rounded(value: number): string {
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-3 || size >= 1e6)) return value.toExponential(1);
  return String(Number(value.toPrecision(4)));
}
