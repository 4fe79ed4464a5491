// posttrain plan PIPELINE: what each step would take of this machine, as far as it can be known before the steps before it have run. Nothing is run or written.
import { byteText } from "@posttrain/data";
import { probeFmaPeak } from "@posttrain/kernels";
import { z } from "zod";
import { defineCommand } from "../command.js";
import { exitCodes } from "../failure.js";
import { count, duration, plural } from "../format.js";
import { createOutput, type Line } from "../output.js";
import { missingInputs } from "../pipeline/made.js";
import { badPipeline, openPipeline } from "../pipeline/pipeline.js";
import { canariesOf, type PlannedStep, planPipeline } from "../pipeline/plan.js";
import { withDevice } from "../with-model.js";
import { probeSeconds, reachedShare } from "./plan.js";

export const command = defineCommand({
  options: z.strictObject({ pipeline: z.string().describe("YAML file of the steps") }),
  argument: "pipeline",
  examples: [
    ["npx posttrain plan examples/pipeline.yaml", "what every step would take, before anything is spent"],
  ],
  run: async ({ pipeline: path }, context) => {
    const pipeline = await openPipeline(path, context.commands);
    const missing = await missingInputs(pipeline, pipeline.steps);
    if (missing.length > 0) throw badPipeline(path, missing);
    const output = createOutput(context, process.stdout);
    const progress = output.progress();
    await withDevice(context, async (device) => {
      const steps = await planPipeline(pipeline, device, ({ name }) => progress.show(() => `${name} ...`));
      progress.end();
      const rate = reachedShare * (await probeFmaPeak(device, probeSeconds));
      for (const step of steps) output.table(linesOf(step, rate));
      const names = [...new Set(steps.flatMap(({ verifiers }) => verifiers))].sort();
      const wrong = names.length === 0 ? undefined : await canariesOf(names);
      const most = steps.reduce<PlannedStep | undefined>(
        (a, b) => ((b.resident ?? 0) > (a?.resident ?? 0) ? b : a),
        undefined,
      );
      const timed = steps.filter(({ work }) => work !== undefined);
      const seconds = timed.reduce((sum, { work = 0 }) => sum + work / rate, 0);
      const refused = steps.filter((step) => step.refused !== undefined);
      output.print("");
      output.table([
        ...(most?.resident === undefined
          ? []
          : ([
              [
                "memory",
                `${byteText(most.resident)} at most, of step ${most.step}; there are ${byteText(most.available ?? 0)}`,
              ],
            ] as const)),
        [
          "time",
          timed.length === 0
            ? "not known before the first steps have run"
            : `about ${duration(seconds)} for ${timed.map(({ step }) => step).join(", ")}: an estimate, as of posttrain plan; the other steps are not in it`,
        ],
        ...(names.length === 0
          ? []
          : ([["canaries", wrong ?? `${names.join(", ")}: graded as they must be`]] as const)),
        refused.length === 0 && wrong === undefined
          ? ["ok", "nothing is known that cannot be run here"]
          : [
              "refused",
              [...refused.map(({ step }) => step), ...(wrong === undefined ? [] : ["canaries"])].join(", "),
            ],
      ]);
      const fits = refused.length === 0 && wrong === undefined;
      output.result({
        quiet: String(Math.round(most?.resident ?? 0)),
        json: {
          fits,
          steps,
          memory: most?.resident ?? null,
          seconds,
          verifiers: names,
          canaries: wrong ?? null,
        },
      });
      if (!fits) process.exitCode = exitCodes.mistake;
    });
  },
});

function linesOf(step: PlannedStep, rate: number): readonly Line[] {
  const { counts, resident, least, steps, tokens, responses, newTokens, work, refused, unknown, verifiers } =
    step;
  const lost =
    counts && counts.overlong > 0
      ? `; ${plural(counts.overlong, "row")} too long: ${count(counts.truncated)} cut, ${count(counts.dropped)} dropped, ${count(counts.emptied)} left out`
      : "";
  const texts = [
    ...(counts === undefined
      ? []
      : [`${plural(counts.read, "row")} read, ${count(counts.kept)} kept${lost}`]),
    ...(steps === undefined
      ? []
      : [`${plural(steps, "step")}${tokens === undefined ? "" : `, ${plural(tokens, "token")}`}`]),
    ...(responses === undefined
      ? []
      : [`${plural(responses, "response")}, at most ${plural(newTokens ?? 0, "token")} together`]),
    ...(resident === undefined
      ? []
      : [
          least === undefined
            ? `${byteText(resident)} at most`
            : `${byteText(least)} with the shortest rows, ${byteText(resident)} with the longest that are taken${steps === undefined && tokens === undefined && newTokens !== undefined ? ", weights and the keys and values of what is sampled at once" : ""}`,
        ]),
    ...(work === undefined ? [] : [`about ${duration(work / rate)}`]),
    ...(verifiers.length === 0 ? [] : [`graded by ${verifiers.join(", ")}`]),
  ];
  const head = texts.length === 0 ? "what it takes is not planned" : texts.join("; ");
  return [
    ["", ""],
    [step.step, `posttrain ${step.command}`],
    ["", head],
    ...unknown.map((text): Line => ["", text]),
    ...(refused === undefined ? [] : ([["refused", refused]] as const)),
  ];
}
