// posttrain grpo queue: where the prompts of a run stand, from its newest checkpoint.
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { UserError } from "@posttrain/data";
import { movers, type QueuedPrompt, readQueue } from "@posttrain/grpo";
import { z } from "zod";
import { columns } from "../columns.js";
import { defineCommand } from "../command.js";
import { count, plural } from "../format.js";
import { createOutput } from "../output.js";

const options = z.strictObject({
  run: z.string().describe("folder of a run of grpo"),
  show: z.int().nonnegative().default(10).describe("most prompts of each list"),
});

export const command = defineCommand({
  options,
  argument: "run",
  examples: [
    ["npx posttrain grpo queue runs/rl", "solve rates, what comes next, movers, and prompts that rest"],
  ],
  notes:
    "Solve rates count earlier visits queue_decay times less at each new one. A line is that of the prompts' file. --json prints every prompt with its solve rates, variance, visits, and the pass in which it was retired.",
  run: async ({ run, show }, context) => {
    const output = createOutput(context, process.stdout);
    const report = await readQueue(run);
    if (report === undefined) {
      throw new UserError(
        "no_sound_checkpoint",
        `${run} has no checkpoint yet: the queue is written with the first (--save_steps).`,
      );
    }
    const { checkpoint, pass, left, prompts, histogram } = report;
    const lines = await linesOf(run);
    const byId = new Map(prompts.map((prompt) => [prompt.id, prompt]));
    const retired = prompts.filter((prompt) => prompt.retired !== undefined);
    const unseen = prompts.filter(({ solveRate }) => solveRate === undefined).length;
    output.print(
      `After step ${count(checkpoint.manifest.step)}: ${plural(prompts.length, "prompt")}, pass ${count(pass + 1)} with ${count(left.length)} yet to come, ${count(retired.length)} at rest${unseen > 0 ? `, ${count(unseen)} not graded yet` : ""}`,
    );
    const most = Math.max(1, ...histogram.map((bin) => bin.count));
    const bars = histogram.map((bin) => [
      bin.label,
      count(bin.count),
      "█".repeat(Math.ceil((40 * bin.count) / most)),
    ]);
    output.print(
      `\nSolved\n${bars.map(([label, number, bar]) => `  ${label!.padEnd(12)}${number!.padStart(7)}  ${bar}`.trimEnd()).join("\n")}`,
    );
    const list = (title: string, chosen: readonly QueuedPrompt[]): void => {
      if (chosen.length === 0) return;
      const rows = chosen.map(({ id, firstSolveRate, solveRate, variance, groups }) => [
        `line ${lines.get(id) ?? "?"}`,
        share(firstSolveRate),
        share(solveRate),
        variance?.toFixed(3) ?? "-",
        count(groups),
      ]);
      output.print(
        `\n${title}\n${columns([["prompt", "first solved", "solved", "variance", "visits"], ...rows])}`,
      );
    };
    list(
      "Next",
      left.slice(0, show).map((id) => byId.get(id)!),
    );
    list("Moved most", movers(prompts, show));
    list("At rest: no difference in reward", retired.slice(0, show));
    output.result({
      json: {
        checkpoint: checkpoint.dir,
        pass,
        left,
        prompts: prompts.map((prompt) => ({ line: lines.get(prompt.id), ...prompt })),
      },
    });
  },
});

function share(rate: number | undefined): string {
  return rate === undefined ? "-" : `${(100 * rate).toFixed(0)} %`;
}

/** Id to line, from the run's list of prompts. */
async function linesOf(run: string): Promise<ReadonlyMap<string, number>> {
  const text = await readFile(join(run, "prompts.jsonl"), "utf8").catch(() => "");
  const rows = text
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as { id: string; line: number });
  return new Map(rows.map(({ id, line }) => [id, line]));
}
