// An optimizer over a model's trained parameters: a rule (adamw.ts) moves each by its accumulated gradient, clipped by the global norm. What
// moves are fp32 masters; for a model in bf16 the same pass writes their rounding into its arena.
import { convert, fill, sumSquares, type Tensor } from "@posttrain/kernels";
import { enableGradients, type Model } from "@posttrain/model";
import { type OwnRange, ownRanges, type Range } from "./own-range.js";
import { bytesOf, type Collected, combineGradients, type DataParallel, undivided } from "./shards.js";

/** One parameter, or this rank's part of it, as a rule sees it: flat fp32 ranges of one size (N), and for a model in bf16 what its forward pass reads. */
export interface UpdatedParameter {
  readonly name: string;
  /** As the model has it; the ranges are flat. */
  readonly shape: readonly number[];
  /** Where its ranges begin in their arenas: a multiple of 64. */
  readonly offset: number;
  readonly master: Tensor;
  readonly rounded: Tensor | undefined;
  readonly gradient: Tensor;
  /** The ranges of the rule's own arenas, in the order of `UpdateRule.state`. */
  readonly state: readonly Tensor[];
  /** Those of `UpdateRule.fixed`. */
  readonly fixed: readonly Tensor[];
  /** f64, for a number by each name of `UpdateRule.reports`. */
  readonly report: Tensor | undefined;
}

export interface UpdateStep {
  readonly learningRate: number;
  /** The gradient is multiplied by it first: clipping. */
  readonly gradientScale: number;
  /** 1 for the first step. */
  readonly step: number;
}

/** How parameters move. */
export interface UpdateRule {
  /** Names of the fp32 arenas that it keeps from step to step: zero at first, saved with the run. */
  readonly state: readonly string[];
  /** What follows from files: not saved with the run, but made again wherever it goes on. */
  readonly fixed?: FixedArenas;
  /** Names of numbers that each update reports: metrics of the step are their sums over the parameters, in `Filled.unit`. */
  readonly reports?: readonly string[];
  /** It looks at a parameter as a whole: no two ranks share one. */
  readonly whole?: boolean;
  /** Moves one parameter and sets its gradient to zero. */
  readonly update: (parameter: UpdatedParameter, step: UpdateStep) => void;
}

export interface FixedArenas {
  readonly names: readonly string[];
  /** Fills the arenas, which are laid out as what is trained, before the model's first backward pass: its gradients are free to be used, and zero again. */
  readonly fill: (model: Model, arenas: ReadonlyMap<string, Tensor>) => Promise<Filled>;
}

export interface Filled {
  /** What the rule's reports are measured in. */
  readonly unit: number;
  /** Sentences for whoever runs it. */
  readonly notes: readonly string[];
}

export interface Optimizer {
  readonly rule: UpdateRule;
  /** The fp32 values that move: a model's own arena in f32, else laid out as what is trained. */
  readonly masters: Tensor;
  /** The rule's arenas by name, of this rank's range, laid out as what is trained. */
  readonly state: ReadonlyMap<string, Tensor>;
  /** These are whole on every rank. */
  readonly fixed: ReadonlyMap<string, Tensor>;
  readonly parallel: DataParallel;
  /** Of each rank, in their order. */
  readonly ranges: readonly OwnRange[];
  readonly collected: Collected;
  /** f64 (parameters, numbers): what the updates of the last step report. */
  readonly reports: Tensor | undefined;
  filled: Filled;
  /** Steps done. */
  step: number;
}

/**
 * State of zero, and a place for gradients in the model. A model in bf16 that was loaded without masters gets its own values for masters.
 * The memory belongs to the model's scope.
 */
export function createOptimizer(
  model: Model,
  rule: UpdateRule,
  parallel: DataParallel = undivided,
): Optimizer {
  enableGradients(model);
  const { scope, trained } = model;
  const masters = model.masters ?? mastersOf(model);
  const ranges = ownRanges(trained, parallel.ranks.size, rule.whole ?? false);
  const { begin, end } = (ranges[parallel.ranks.rank] as OwnRange).update;
  const arenas = (length: number, names: readonly string[] = []): Map<string, Tensor> =>
    new Map(names.map((name) => [name, scope.empty([length])]));
  const state = arenas(end - begin, rule.state);
  const fixed = arenas(trained.length, rule.fixed?.names);
  for (const arena of [...state.values(), ...fixed.values()]) fill(arena, 0);
  const numbers = rule.reports?.length ?? 0;
  const reports =
    numbers > 0
      ? scope.from(new Float64Array(trained.places.size * numbers), [trained.places.size, numbers])
      : undefined;
  const collected: Collected = { nodes: [], lookups: [] };
  return {
    ...{ rule, masters, state, fixed, parallel, ranges, collected, reports },
    filled: { unit: 1, notes: [] },
    step: 0,
  };
}

/** Makes what of the rule's arenas follows from files. UserError for what is wrong with them. */
export async function fillFixed(model: Model, optimizer: Optimizer): Promise<void> {
  const { rule, fixed } = optimizer;
  if (rule.fixed !== undefined) optimizer.filled = await rule.fixed.fill(model, fixed);
}

/** What the rule reports of the last step, by name: waits for it. */
export async function reportedMetrics({
  rule,
  reports,
  filled,
  parallel,
}: Optimizer): Promise<Record<string, number>> {
  if (rule.reports === undefined || reports === undefined) return {};
  // A parameter is one rank's, and zero in what the others have.
  const ofRanks = await parallel.ranks.exchange((await reports.read()) as Float64Array);
  const values = (ofRanks[0] as Float64Array).map((_, i) =>
    ofRanks.reduce((sum, own) => sum + (own[i] as number), 0),
  );
  const { length } = rule.reports;
  return Object.fromEntries(
    rule.reports.map((name, at) => {
      let sum = 0;
      for (let i = at; i < values.length; i += length) sum += values[i] as number;
      return [name, filled.unit === 0 ? 0 : sum / filled.unit];
    }),
  );
}

function mastersOf({ scope, trained, parameters }: Model): Tensor {
  const masters = scope.empty([trained.length]);
  fill(masters, 0);
  for (const [name, { offset, shape }] of trained.places) {
    convert(scope.view(masters, offset, shape), parameters.get(name) as Tensor);
  }
  return masters;
}

/**
 * The global L2 norm of the gradients that the step has collected: adds them up over shards and ranks, the looked-up rows too. Waits for the
 * backward passes. A sum of squares goes from rank to rank, each adding its blocks, as one alone would.
 */
export async function gradientNorm(model: Model, optimizer: Optimizer): Promise<number> {
  const { parallel, ranges } = optimizer;
  const { rank, size, send, receive, broadcast } = parallel.ranks;
  const gradients = enableGradients(model);
  await combineGradients(model, { ...optimizer, covers: ranges.map(({ cover }) => cover) });
  const { begin, end } = (ranges[rank] as OwnRange).norm;
  const squares = new Float64Array(1);
  if (rank > 0) await receive(rank - 1, bytesOf(squares));
  if (end > begin) {
    await model.device.run(async (scope) => {
      const own = scope.view(gradients.arena, begin, [end - begin]);
      squares[0] = (await sumSquares(scope, own, squares[0]).read())[0] as number;
    });
  }
  if (size > 1) await send((rank + 1) % size, bytesOf(squares));
  if (size > 1 && rank === 0) await receive(size - 1, bytesOf(squares));
  return Math.sqrt((await broadcast(squares))[0] as number);
}

/**
 * One step with the accumulated gradients, scaled by min(1, maxGradNorm / (norm + 1e-6)) (0: no clipping), then gradients of zero.
 * `norm` is gradientNorm()'s.
 */
export function optimizerStep(
  model: Model,
  optimizer: Optimizer,
  { learningRate, maxGradNorm, norm }: { learningRate: number; maxGradNorm: number; norm: number },
): void {
  const gradients = enableGradients(model);
  const gradientScale = maxGradNorm > 0 ? Math.min(1, maxGradNorm / (norm + 1e-6)) : 1;
  optimizer.step++;
  const { rule, masters, state, fixed, reports, step, parallel, ranges } = optimizer;
  const { update } = ranges[parallel.ranks.rank] as OwnRange;
  const numbers = rule.reports?.length ?? 0;
  const { arena, dtype } = model;
  const scope = model.device.scope();
  try {
    for (const { at, name, shape, offset, size, own } of partsIn(model, update)) {
      const range = (of: Tensor, from = offset): Tensor => scope.view(of, from, [size]);
      const parameter: UpdatedParameter = {
        name,
        shape,
        offset,
        master: range(masters, masters === arena ? own : offset),
        rounded: dtype === "f32" ? undefined : range(arena, own),
        gradient: range(gradients.arena),
        state: rule.state.map((of) => range(state.get(of) as Tensor, offset - update.begin)),
        fixed: [...fixed.values()].map((of) => range(of)),
        report: reports && scope.view(reports, at * numbers, [numbers]),
      };
      rule.update(parameter, { learningRate, gradientScale, step });
    }
  } finally {
    scope.end();
  }
  gradients.lookups?.clear();
  // Values of the cover that another rank moves.
  if (parallel.ranks.size > 1) fill(gradients.arena, 0);
}

/** A parameter, or what of it lies in a range. */
interface Part {
  /** Its place among what is trained. */
  readonly at: number;
  readonly name: string;
  readonly shape: readonly number[];
  /** Where it begins among what is trained, and where in the model's arena. */
  readonly offset: number;
  readonly own: number;
  readonly size: number;
}

function partsIn({ layout, trained }: Pick<Model, "layout" | "trained">, range: Range): readonly Part[] {
  return [...trained.places].flatMap(([name, { offset, shape, size }], at) => {
    const begin = Math.max(offset, range.begin);
    const end = Math.min(offset + size, range.end);
    if (end <= begin) return [];
    const own = (layout.places.get(name)?.offset as number) + begin - offset;
    return [{ at, name, shape, offset: begin, own, size: end - begin }];
  });
}

/** Values of a parameter that travel at a time. */
const chunk = 1 << 22;

/** After a step: gives every rank what the others have moved, as the forward pass reads it. */
export async function shareParameters(model: Model, { parallel, ranges }: Optimizer): Promise<void> {
  const { rank, size, send, receive } = parallel.ranks;
  if (size === 1) return;
  const { arena, device } = model;
  const others = ranges.map((_, other) => other).filter((other) => other !== rank);
  const pieces = ({ update }: OwnRange): readonly (readonly [at: number, length: number])[] =>
    partsIn(model, update).flatMap(({ own, size: length }) =>
      Array.from({ length: Math.ceil(length / chunk) }, (_, i): readonly [number, number] => [
        own + i * chunk,
        Math.min(chunk, length - i * chunk),
      ]),
    );
  const give = async (): Promise<void> => {
    for (const [at, length] of pieces(ranges[rank] as OwnRange)) {
      const values = await device.run((scope) => scope.view(arena, at, [length]).read());
      await Promise.all(others.map((to) => send(to, bytesOf(values))));
    }
  };
  const take = async (from: number): Promise<void> => {
    for (const [at, length] of pieces(ranges[from] as OwnRange)) {
      const values = model.dtype === "f32" ? new Float32Array(length) : new Uint16Array(length);
      await receive(from, bytesOf(values));
      await device.run((scope) => scope.view(arena, at, [length]).write(values));
    }
  };
  await Promise.all([give(), ...others.map(take)]);
}
