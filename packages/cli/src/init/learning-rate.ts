// The learning rate that init suggests: what is published for large models, and larger rates for smaller ones.
import { millions, plainNumber } from "../format.js";
import type { Suggestion } from "./suggest.js";

export interface Rates {
  /** Rates of models with fewer parameters than so many, ascending. */
  readonly smaller: readonly (readonly [parameters: number, rate: number])[];
  /** Of all larger models. */
  readonly published: number;
  /** Whose that is, as a reason and as a name. */
  readonly reason: string;
  readonly source: string;
}

export function suggestRate(
  parameters: number,
  { smaller, published, reason, source }: Rates,
): Suggestion & { readonly value: number } {
  const value = smaller.find(([most]) => parameters < most)?.[1] ?? published;
  const ownReason = `a usual start for ${millions(parameters)} parameters, to be tried: smaller models take larger rates (${source}: ${plainNumber(published)})`;
  return { key: "learning_rate", value, reason: value === published ? reason : ownReason };
}
