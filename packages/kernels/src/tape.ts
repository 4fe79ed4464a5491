// The gradient tape: ops record what they computed and how to go back; backward() walks the records in reverse.
//
// A backward rule gets the gradients of its outputs and returns those of its activation inputs; gradients of parameters it adds
// to parameter.gradient itself (d<parameter> accumulates). Where an activation has two consumers the tape adds. A record holds
// the tensors that its rule needs, and lets go of them as soon as the rule has run.
//
// What an op can make again from tensors that its record holds anyway (a normed input from its sum, SwiGLU's output from gate and
// up), the records of matrix products that read it do not hold: the first of them to be walked has it made again, and it lives
// until the walk reaches the op that made it. The same op on the same inputs gives the same bits.
import { addForward } from "./binding.generated.js";
import { Scope } from "./scope.js";
import type { Tensor } from "./tensor.js";

export interface TapeRecord {
  readonly outputs: readonly Tensor[];
  /** Activations that get a gradient, in the order in which backward returns them. */
  readonly inputs: readonly Tensor[];
  /** What backward reads: held until then. */
  readonly saved: readonly Tensor[];
  /** What backward reads as its last argument: held until then, or the same values made again. */
  readonly replaceable?: readonly Tensor[];
  readonly backward: (
    scope: Scope,
    gradients: readonly (Tensor | undefined)[],
    replaceable: readonly Tensor[],
  ) => readonly (Tensor | undefined)[];
  /** Makes the first output again from what is saved, where that is cheaper than holding it. */
  readonly remake?: (scope: Scope) => Tensor;
}

/** A record on its way back. */
interface Step {
  readonly record: TapeRecord;
  /** Its replaceable tensors: held, or made again in `scope`. */
  readonly replaceable: (scope: Scope) => readonly Tensor[];
}

export class Tape {
  readonly #remakes: boolean;
  readonly #records: TapeRecord[] = [];
  /** Outputs that nobody holds, how they are made again, and what was. */
  readonly #remade = new Map<Tensor, { readonly remake: (scope: Scope) => Tensor; again?: Tensor }>();

  /** `remakes`: false holds all that backward rules read, for a tape that is walked at once. */
  constructor(remakes = true) {
    this.#remakes = remakes;
  }

  record(record: TapeRecord): void {
    for (const tensor of this.#held(record)) tensor.hold();
    const [first] = record.outputs;
    if (this.#remakes && record.remake !== undefined && first !== undefined) {
      this.#remade.set(first, { remake: record.remake });
    }
    this.#records.push(record);
  }

  /** Takes all records, newest first, each once; what a record holds is let go of when the next is asked for. */
  *unwind(): Generator<Step> {
    for (let record = this.#records.pop(); record !== undefined; record = this.#records.pop()) {
      const { outputs, replaceable = [] } = record;
      this.#forget(outputs);
      try {
        yield { record, replaceable: (scope) => replaceable.map((tensor) => this.#find(scope, tensor)) };
      } finally {
        for (const tensor of this.#held(record)) tensor.drop();
      }
    }
  }

  /** Lets go of everything that was not walked (an abandoned forward pass). */
  clear(): void {
    for (const _ of this.unwind());
  }

  #held({ saved, replaceable = [] }: TapeRecord): readonly Tensor[] {
    return [...saved, ...replaceable.filter((tensor) => !this.#remade.has(tensor))];
  }

  #find(scope: Scope, tensor: Tensor): Tensor {
    const entry = this.#remade.get(tensor);
    if (entry === undefined) return tensor;
    entry.again ??= entry.remake(scope).hold();
    return entry.again;
  }

  /** No record that is left reads these. */
  #forget(outputs: readonly Tensor[]): void {
    for (const output of outputs) {
      this.#remade.get(output)?.again?.drop();
      this.#remade.delete(output);
    }
  }
}

/** A gradient to start from, of the same shape as its tensor. */
export interface Seed {
  readonly tensor: Tensor;
  readonly gradient: Tensor;
}

/**
 * Walks the tape back from `seeds`. Parameter gradients are added where they belong; returns the gradients of `wanted`
 * activations (undefined where none arrived), held by `scope`. The tape is empty afterwards.
 */
export function backward(
  scope: Scope,
  tape: Tape,
  seeds: readonly Seed[],
  wanted: readonly Tensor[] = [],
): readonly (Tensor | undefined)[] {
  const gradients = new Map<Tensor, Tensor>();
  const keepGradient = (tensor: Tensor, gradient: Tensor): void => {
    gradients.get(tensor)?.drop();
    gradients.set(tensor, gradient.hold());
  };
  for (const seed of seeds) keepGradient(seed.tensor, seed.gradient);
  const arrive = (inner: Scope, tensor: Tensor, gradient: Tensor): void => {
    const present = gradients.get(tensor);
    if (present === undefined) {
      keepGradient(tensor, gradient);
      return;
    }
    const sum = inner.empty(present.shape);
    addForward(sum, present, gradient);
    keepGradient(tensor, sum);
  };
  try {
    for (const { record, replaceable } of tape.unwind()) {
      const incoming = record.outputs.map((output) => gradients.get(output));
      if (incoming.every((gradient) => gradient === undefined)) continue;
      const inner = new Scope(scope.device);
      try {
        const outgoing = record.backward(inner, incoming, replaceable(inner));
        for (const [i, input] of record.inputs.entries()) {
          const gradient = outgoing[i];
          if (gradient !== undefined) arrive(inner, input, gradient);
        }
      } finally {
        inner.end();
      }
      for (const output of record.outputs) {
        if (wanted.includes(output)) continue;
        gradients.get(output)?.drop();
        gradients.delete(output);
      }
    }
    return wanted.map((tensor) => {
      const gradient = gradients.get(tensor);
      if (gradient !== undefined) scope.keep(gradient);
      return gradient;
    });
  } finally {
    tape.clear();
    for (const gradient of gradients.values()) gradient.drop();
  }
}

/**
 * Activation checkpointing: runs `segment` without recording and records only its inputs; going back, the segment runs again
 * with a tape of its own. The same ops on the same inputs give the same bits, so the gradients are those without it.
 */
export function checkpoint(
  scope: Scope,
  inputs: readonly Tensor[],
  segment: (inner: Scope) => Tensor,
): Tensor {
  if (scope.tape === undefined) return scope.child(segment);
  const output = scope.child(segment, null);
  const once = [...new Set(inputs)];
  if (once.includes(output)) return output; // a segment that does nothing
  scope.tape.record({
    outputs: [output],
    inputs: once,
    saved: once,
    backward: (inner, [gradient]) => {
      if (gradient === undefined) return [];
      const tape = new Tape(false); // one layer's: nothing is worth a third time
      try {
        const again = inner.child(segment, tape);
        return backward(inner, tape, [{ tensor: again, gradient }], once);
      } finally {
        tape.clear();
      }
    },
  });
  return output;
}
