// Random choices of a builder: those of candidate `index` are a function of (seed, area, index), whatever was drawn for others.
import { createHash } from "node:crypto";
import { uniform4 } from "@posttrain/data";

export interface Draws {
  /** In [0, 1). */
  unit(): number;
  /** Whole numbers from `least` to `most`, both included. */
  int(least: number, most: number): number;
  pick<T>(from: readonly T[]): T;
  /** `count` different ones, in random order. */
  some<T>(from: readonly T[], count: number): T[];
  shuffled<T>(from: readonly T[]): T[];
  /** True with this probability. */
  chance(probability: number): boolean;
}

export function createDraws(seed: number, area: string, index: number): Draws {
  const purpose = purposeOf(area);
  let [block, at] = [0, 4];
  let numbers: readonly number[] = [];
  const unit = (): number => {
    if (at === 4) {
      numbers = uniform4(seed, "dataBuilding", [index >>> 0, block++, Math.floor(index / 2 ** 32), purpose]);
      at = 0;
    }
    return numbers[at++] as number;
  };
  const int = (least: number, most: number): number => least + Math.floor(unit() * (most - least + 1));
  const some = <T>(from: readonly T[], count: number): T[] => {
    const left = [...from];
    // Fisher-Yates, as far as it is needed.
    for (let i = 0; i < count; i++) {
      const j = int(i, left.length - 1);
      [left[i], left[j]] = [left[j] as T, left[i] as T];
    }
    return left.slice(0, count);
  };
  return {
    ...{ unit, int, some },
    pick: (from) => from[int(0, from.length - 1)] as (typeof from)[number],
    shuffled: (from) => some(from, from.length),
    chance: (probability) => unit() < probability,
  };
}

const purposes = new Map<string, number>();

/** The area's word of the counter. 0 and 1 are others'. */
function purposeOf(area: string): number {
  const known = purposes.get(area);
  if (known !== undefined) return known;
  const purpose = (createHash("sha256").update(area).digest().readUInt32LE(0) | 2) >>> 0;
  purposes.set(area, purpose);
  return purpose;
}
