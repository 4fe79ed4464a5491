/** What is wrong with what a row says, by rules that need no model. */
import { encodingDamage } from "./encoding-damage.js";
import { personalData } from "./personal-data.js";
import { refusal } from "./refusals.js";
import { repetition } from "./repetition.js";
import type { RowTexts } from "./row-texts.js";
import { wordsOf } from "./words.js";

export const faultChecks = ["encoding", "repetition", "personal_data", "refusal"] as const;
export type FaultCheck = (typeof faultChecks)[number];

export interface FaultOptions {
  readonly checks: readonly FaultCheck[];
  /** Words of all texts of a row. */
  readonly minWords: number;
  readonly maxWords: number;
  /** ISO 639-1 codes of the languages that answers may be in, and what tells it; undefined where nothing in a text does. */
  readonly languages?:
    | { readonly allowed: readonly string[]; readonly of: (text: string) => string | undefined }
    | undefined;
}

export interface Fault {
  readonly reason: FaultCheck | "length" | "language";
  readonly why: string;
}

/** Everything that is wrong, in an order of its own: what damages most comes first. */
export function faultsOf(
  { asked, answers, rejected, beside }: RowTexts,
  options: FaultOptions,
): readonly Fault[] {
  const { checks, minWords, maxWords, languages } = options;
  const texts = [...asked, ...answers, ...rejected, ...beside];
  const faults: Fault[] = [];
  const look = (
    reason: FaultCheck,
    those: readonly string[],
    find: (text: string) => string | undefined,
  ): void => {
    if (!checks.includes(reason)) return;
    for (const text of those) {
      const why = find(text);
      if (why !== undefined) return void faults.push({ reason, why });
    }
  };
  look("encoding", texts, encodingDamage);
  look("personal_data", texts, personalData);
  look("refusal", answers, (answer) => {
    const words = refusal(answer);
    return words === undefined ? undefined : `an answer declines: ${JSON.stringify(words)}`;
  });
  look("repetition", answers, repetition);
  const bounded = minWords > 0 || maxWords < Number.POSITIVE_INFINITY;
  const words = bounded ? texts.reduce((sum, text) => sum + wordsOf(text).length, 0) : 0;
  if (bounded && (words < minWords || words > maxWords))
    faults.push({
      reason: "length",
      why: `${words} words, ${words < minWords ? `fewer than ${minWords}` : `more than ${maxWords}`}`,
    });
  const language = languages?.of((answers.length > 0 ? answers : asked).join("\n"));
  if (language !== undefined && !languages!.allowed.includes(language))
    faults.push({
      reason: "language",
      why: `its language is ${language}, not ${languages!.allowed.join(" or ")}`,
    });
  return faults;
}
