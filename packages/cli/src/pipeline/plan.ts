// What a pipeline would take, step by step, before anything is spent. What a step reads may not be there yet: its model is then taken for the first one of its chain, which
// has its size, and its rows are unknown.
import { stat } from "node:fs/promises";
import { byteText, isJsonObject, readRows, UserError } from "@posttrain/data";
import { type Device, machineMemory } from "@posttrain/kernels";
import {
  computeBytes,
  computeDtype,
  type GenerationRequest,
  kvCacheBytes,
  openModelFolder,
  parameterCount,
  policySampling,
} from "@posttrain/model";
import { planTraining, refusalOf, type TrainingPlan } from "@posttrain/train";
import {
  type GradingOptions,
  gradingOptions,
  openChosenVerifiers,
  proveGraders,
  withResponse,
} from "@posttrain/verify";
import { loadStage, stageNames } from "../stages/registry.js";
import type { StageConfig, StageCounts } from "../stages/stage.js";
import { Books, findMade, isPath } from "./made.js";
import { type Input, type Pipeline, referencesIn, type Step } from "./pipeline.js";

export interface PlannedStep {
  readonly step: string;
  readonly command: string;
  /** The largest that it may take, in bytes; of unknown rows, if all had the most tokens that they may have. */
  readonly resident?: number;
  /** Of unknown rows: what it takes even with the shortest ones. */
  readonly least?: number;
  readonly available?: number;
  readonly steps?: number;
  readonly tokens?: number;
  /** Of a step that samples and trains nothing: responses that it asks for, and the most tokens that they may have together. */
  readonly responses?: number;
  readonly newTokens?: number;
  /** Floating-point operations, those of checkpointing among them. */
  readonly work?: number;
  readonly counts?: Pick<StageCounts, "read" | "kept" | "overlong" | "truncated" | "dropped" | "emptied">;
  /** Why it cannot be run here or as it is. */
  readonly refused?: string;
  /** What is not known yet, and the step that makes it known: sentences. */
  readonly unknown: readonly string[];
  /** By which its responses would be graded. */
  readonly verifiers: readonly string[];
}

/** Plans every step. `watch` hears which. */
export async function planPipeline(
  pipeline: Pipeline,
  device: Device,
  watch: (step: Step) => void,
): Promise<readonly PlannedStep[]> {
  const books = new Books();
  const byName = new Map(pipeline.steps.map((step) => [step.name, step]));
  const planned: PlannedStep[] = [];
  for (const step of pipeline.steps) {
    watch(step);
    const { made } = await findMade(step);
    const own = await planStep(step, books, byName, device).catch((error: unknown) => {
      if (!(error instanceof UserError)) throw error;
      return { refused: error.message, unknown: [] };
    });
    const graded = await verifiersOf(step, books);
    planned.push({
      ...{ step: step.name, command: step.command, verifiers: graded.names },
      ...own,
      unknown: [...own.unknown, ...graded.unknown],
    });
    books.note(step.name, made);
  }
  return planned;
}

type Own = Omit<PlannedStep, "step" | "command" | "verifiers">;

async function planStep(
  step: Step,
  books: Books,
  byName: ReadonlyMap<string, Step>,
  device: Device,
): Promise<Own> {
  const name = stageNames.find((stage) => stage === step.command);
  if (name === undefined) return planSampling(step, books, byName);
  const stage = await loadStage(name);
  const models: Record<string, string | undefined> = {};
  const unknown: string[] = [];
  for (const input of step.inputs) {
    if (input.option === "data" || input.option === "eval_data" || !isPath(step, input)) continue;
    const { path, instead } = modelFor(step, input, books, byName);
    models[input.option] = path;
    if (path === undefined) unknown.push(`${input.option} ${input.text} is not there yet`);
    else if (instead)
      unknown.push(
        `${input.option} ${input.text} is not there yet: planned with ${path}, from which it comes`,
      );
  }
  const { model_name_or_path: model } = models;
  if (model === undefined) return { unknown };
  const rows = (option: string): string | undefined => {
    const input = step.inputs.find((one) => one.option === option);
    return input && books.pathOf(step, input);
  };
  const [data, evalData] = [rows("data"), rows("eval_data")];
  const config = { ...step.options, ...models, data, eval_data: evalData } as unknown as StageConfig;
  if (data === undefined) {
    unknown.push(`data ${String(step.options["data"])} is not there yet: its rows are unknown`);
    return { ...(await planUnknownRows(stage, config, model, device)), unknown };
  }
  const prepared = await stage.prepare(config, "error", () => undefined);
  const run = stage.plan(config, prepared);
  const plan = await planTraining(config, run, device.options);
  const refused = await refusalOf(plan, config, run, device.options);
  return {
    ...known(plan),
    tokens: plan.tokens.run,
    work: plan.work.run + plan.work.again,
    counts: prepared.counts,
    ...(refused !== undefined && { refused }),
    unknown,
  };
}

/** A step that samples: what it asks for, and weights and cache of the largest of its models. Any other step takes nothing that is planned. */
async function planSampling(step: Step, books: Books, byName: ReadonlyMap<string, Step>): Promise<Own> {
  const { max_new_tokens: longest, num_samples: samples, limit, dtype, temperatures } = step.options;
  const inputs = (option: string): readonly Input[] =>
    step.inputs.filter((one) => one.option === option && isPath(step, one));
  const [data] = inputs("data");
  if (typeof longest !== "number" || data === undefined || inputs("responses").length > 0)
    return { unknown: [] };
  const unknown: string[] = [];
  const rows = books.pathOf(step, data);
  let read = 0;
  if (rows === undefined) unknown.push(`data ${data.text} is not there yet: its rows are unknown`);
  else for await (const _ of readRows(rows)) read++;
  const models = inputs("model_name_or_path").map((input) => modelFor(step, input, books, byName));
  const sources = models.length + (step.options["base_url"] === undefined ? 0 : 1);
  const visits = Array.isArray(temperatures) ? temperatures.length : 1;
  const each = visits * Number(samples ?? 1);
  const asked = Math.min(read, Number(limit ?? read)) * each * sources;
  const counted = rows === undefined ? {} : { responses: asked, newTokens: asked * longest };
  const own = { ...counted, unknown, available: machineMemory() };
  let largest: Pick<PlannedStep, "resident" | "least"> = {};
  for (const { path } of models) {
    if (path === undefined) continue;
    const { config } = await openModelFolder(path);
    const room = config.maxPositionEmbeddings - longest;
    if (room < 1) {
      const context = `${path}'s context of ${config.maxPositionEmbeddings} tokens has no room for a prompt beside max_new_tokens ${longest}`;
      return { ...own, refused: `${context}. Lower max_new_tokens.` };
    }
    const compute = computeDtype(dtype === "bfloat16" ? "bfloat16" : "float32");
    const weights = computeBytes[compute] * parameterCount(config);
    const settings = { ...policySampling, maxNewTokens: longest, stopIds: [] };
    const bytes = (prompt: number): number => {
      const request = {
        promptIds: new Int32Array(prompt),
        samples: Number(samples ?? 1),
        row: 0,
        visit: 0,
        settings,
      };
      const requests = new Array<GenerationRequest>(Math.max(1, Math.min(read, mostAtOnce))).fill(request);
      return weights + kvCacheBytes({ config, dtype: compute }, requests);
    };
    const most = bytes(room);
    if (most > (largest.resident ?? 0))
      largest = { resident: most, least: bytes(Math.min(room, shortestRow)) };
  }
  const { least = 0 } = largest;
  const refused =
    least > own.available
      ? {
          refused: `Weights and the keys and values of its responses take ${byteText(least)} even with short prompts: more than the ${byteText(own.available)} that this machine or its container has. Take a smaller model, or lower num_samples or max_new_tokens.`,
        }
      : {};
  return { ...own, ...largest, ...refused };
}

/** Sequences that generation runs at once, at the most. */
const mostAtOnce = 128;

const known = (plan: TrainingPlan) => ({
  resident: plan.resident,
  available: plan.available,
  steps: plan.totalSteps,
});

/** As large as rows may be, and as small: it cannot fit only where the smallest cannot. */
async function planUnknownRows(
  stage: Awaited<ReturnType<typeof loadStage>>,
  config: StageConfig,
  model: string,
  device: Device,
): Promise<Omit<Own, "unknown">> {
  const { config: shape } = await openModelFolder(model, "either");
  const planWith = async (
    tokens: number,
  ): Promise<TrainingPlan & { readonly refusal: string | undefined }> => {
    const row = stage.suggest.row(new Int32Array(tokens));
    const size = config.per_device_train_batch_size * config.gradient_accumulation_steps;
    const units = Array.from({ length: size }, () => [row]);
    const run = stage.plan(config, { model: shape, units, evalRows: [] });
    const plan = await planTraining(config, run, device.options);
    return { ...plan, refusal: await refusalOf(plan, config, run, device.options) };
  };
  const least = await planWith(shortestRow);
  if (least.refusal !== undefined)
    return { resident: least.resident, available: least.available, refused: least.refusal };
  const all = config as Readonly<Record<string, unknown>>;
  const limit = Number(all[stage.limits.longest]);
  const context = shape.maxPositionEmbeddings - Number(all["max_completion_length"] ?? 0);
  const longest =
    all["allow_beyond_context"] === true ? limit : Math.max(shortestRow, Math.min(limit, context));
  const most = await planWith(longest);
  const steps = config.max_steps === undefined ? {} : { steps: config.max_steps };
  return { resident: most.resident, least: least.resident, available: most.available, ...steps };
}

const shortestRow = 4;

/** The model that an input leads to: itself where it is there, else the one that it is trained from, and so on. */
function modelFor(
  step: Step,
  input: Input,
  books: Books,
  byName: ReadonlyMap<string, Step>,
): { readonly path: string | undefined; readonly instead: boolean } {
  const path = books.pathOf(step, input);
  if (path !== undefined) return { path, instead: false };
  const [reference] = referencesIn(input.text);
  const maker = reference && byName.get(reference.step);
  const from = maker?.inputs.find(({ option }) => option === "model_name_or_path");
  if (maker === undefined || from === undefined || maker.kind.resumes !== "checkpoint")
    return { path: undefined, instead: false };
  return { path: modelFor(maker, from, books, byName).path, instead: true };
}

/** The verifiers that a step's rows ask for, as far as its rows are there. */
async function verifiersOf(
  step: Step,
  books: Books,
): Promise<{ readonly names: readonly string[]; readonly unknown: readonly string[] }> {
  const none = { names: [], unknown: [] };
  const { options } = step;
  const grades =
    Object.hasOwn(step.kind.reads, "verifier") &&
    (step.command !== "evaluate" || options["verifier"] !== undefined) &&
    (step.command !== "reward data" || options["verify"] === true) &&
    (step.command !== "grpo" || (options["reward_funcs"] as readonly string[]).includes("verifier"));
  const input = step.inputs.find(({ option }) => option === "data");
  if (!grades || input === undefined) return none;
  const data = books.pathOf(step, input);
  if (data === undefined || !(await stat(data).catch(() => undefined)))
    return { names: [], unknown: [`data ${input.text} is not there yet: what grades its rows is unknown`] };
  const given = Object.fromEntries(Object.keys(gradingOptions).map((name) => [name, options[name]]));
  await using chosen = await openChosenVerifiers(given as GradingOptions);
  const names = new Set<string>();
  for await (const { value } of readRows(data)) {
    if (!isJsonObject(value)) continue;
    const asked = chosen.verifiers.verifierOf(withResponse(value, "x"))?.name;
    if (asked !== undefined) names.add(asked);
  }
  return { names: [...names].sort(), unknown: [] };
}

/** Canaries of these verifiers, graded on this machine: undefined, or the sentence that says which was graded wrongly or not at all. */
export async function canariesOf(names: readonly string[]): Promise<string | undefined> {
  try {
    await proveGraders([...names]);
    return undefined;
  } catch (error) {
    if (error instanceof UserError) return error.message;
    throw error;
  }
}
