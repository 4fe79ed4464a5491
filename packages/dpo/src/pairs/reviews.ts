// What people and machines said of a pair, and how far they agree.
import { createHash } from "node:crypto";

/** Which side is better, whatever the row calls it. */
export type Opinion = "chosen" | "rejected" | "tie";

export interface Review {
  /** A person's name, or what the machine is: a judge's model, a folder, a module. */
  readonly by: string;
  readonly kind: "person" | "judge" | "reward model" | "verifier";
  /** null: there was no judgement. */
  readonly opinion: Opinion | null;
  /** Against the pair as it stands. */
  readonly veto: boolean;
  /** What was said or computed; of no judgement, why. */
  readonly evidence?: string;
}

/** People decide where they have an opinion; else one machine's veto is enough. */
export function isVetoed(reviews: readonly Review[]): boolean {
  const people = reviews.filter(({ kind, opinion }) => kind === "person" && opinion !== null);
  return (people.length > 0 ? people : reviews).some(({ veto }) => veto);
}

/** Whether a pair's chosen side is shown first: by its id, so that it is the same for everybody and says nothing. */
export const isChosenFirst = (pair: string): boolean =>
  createHash("sha256").update(`place of ${pair}`).digest()[0]! % 2 === 0;

export interface Agreement {
  readonly between: readonly [string, string];
  /** Pairs that both have an opinion of. */
  readonly pairs: number;
  readonly share: number;
  /** Cohen's, over first, second and tie as the places of a pair are drawn; null where chance alone explains all. */
  readonly kappa: number | null;
}

/** Of each two raters that share a pair. `opinions`: rater -> pair -> opinion. */
export function agreements(
  opinions: ReadonlyMap<string, ReadonlyMap<string, Opinion>>,
): readonly Agreement[] {
  const raters = [...opinions];
  return raters.flatMap(([first, own], i) =>
    raters.slice(i + 1).flatMap(([second, other]): readonly Agreement[] => {
      const both = [...own].flatMap(([pair, opinion]) => {
        const theirs = other.get(pair);
        return theirs === undefined ? [] : [[placed(pair, opinion), placed(pair, theirs)] as const];
      });
      if (both.length === 0) return [];
      const { share, kappa } = cohen(both);
      return [{ between: [first, second], pairs: both.length, share, kappa }];
    }),
  );
}

function placed(pair: string, opinion: Opinion): "first" | "second" | "tie" {
  if (opinion === "tie") return "tie";
  return (opinion === "chosen") === isChosenFirst(pair) ? "first" : "second";
}

/** Share of equal labels, and Cohen's kappa: how much of what chance leaves they agree beyond it. */
export function cohen(labels: readonly (readonly [string, string])[]): {
  readonly share: number;
  readonly kappa: number | null;
} {
  const total = labels.length;
  const share = labels.filter(([a, b]) => a === b).length / total;
  const names = new Set(labels.flat());
  let chance = 0;
  for (const name of names) {
    const of = (side: 0 | 1): number => labels.filter((pair) => pair[side] === name).length / total;
    chance += of(0) * of(1);
  }
  return { share, kappa: chance === 1 ? null : (share - chance) / (1 - chance) };
}
