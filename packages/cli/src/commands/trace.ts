// posttrain trace: from a checkpoint, a rollout, a pair or an evaluation's sample to the rows that it came from.
import { z } from "zod";
import { defineCommand } from "../command.js";
import { createOutput } from "../output.js";
import { rowsBelow } from "../trace/rows-on-disk.js";
import { trace } from "../trace/trace.js";
import { drawn, isWhole, type Node } from "../trace/tree.js";

export const command = defineCommand({
  options: z.strictObject({
    id: z
      .string()
      .describe("a checkpoint's or a run's folder, FILE:LINE, or a row's id (its first 8 digits and more)"),
    search: z
      .array(z.string())
      .default(["."])
      .describe("files, and folders with files of rows, in which rows are looked for"),
  }),
  argument: "id",
  examples: [
    [
      "npx posttrain trace runs/pipeline/grpo",
      "the data and models that its newest checkpoint comes from, down to the first",
    ],
    [
      "npx posttrain trace runs/pipeline/grpo/rollouts/step-000001.jsonl:3 --search runs/pipeline",
      "a rollout: its prompt's row, and the run that sampled it",
    ],
    [
      "npx posttrain trace 83670d46 --search runs/pipeline",
      "a pair by its id: the query, and the models that answered",
    ],
  ],
  notes:
    "It follows what is written down: a checkpoint's manifest.json names its data and models with their SHA-256, rows name their parents by id, rollouts their prompt, an evaluation's samples hold their question and its results the model. " +
    "Nothing is guessed: what is not found, or has other bytes now, is said by name, and --json has whole: false. A row's id is the SHA-256 of its canonical JSON. --json prints the tree: kind, place (null: not found), text, from.",
  run: async ({ id, search }, context) => {
    const output = createOutput(context, process.stderr);
    const progress = output.progress();
    const rows = await rowsBelow(search, (file) => progress.show(() => `reading ${file}`));
    progress.end();
    const nodes = await trace(id, rows, search);
    if (context.json) output.result({ json: { whole: nodes.every(isWhole), trees: nodes.map(plain) } });
    else for (const node of nodes) process.stdout.write(`${drawn(node).join("\n")}\n`);
  },
});

const plain = ({ kind, place, text, from }: Node): object => ({
  kind,
  place: place ?? null,
  text,
  from: from.map(plain),
});
