/**
 * A reward of the user's own: a function in a JavaScript or Python module that is given all responses to a prompt together, as TRL calls it, or
 * one after the other (verl's compute_score, our grade). What it throws and what does not come in time is nobody's lesson: those responses have no reward. What it
 * returns that means nothing is its author's to mend.
 */
import { asDouble, isJsonObject, shortened, stringifyJson, type Verdict } from "@posttrain/data";
import { trlGroupArguments, verdictOf } from "./adapters.js";
import { type OwnModuleOptions, openOwnModule } from "./own-module.js";
import { callOf } from "./own-verifier.js";
import type { Row } from "./verifier.js";

/** A response that a reward is asked for. */
export interface RewardedResponse {
  readonly row: Row;
  /** Without special tokens. */
  readonly text: string;
  readonly ids: Int32Array;
  readonly promptIds: Int32Array;
}

export interface OwnScore {
  /** null: it does not apply, or the function did not answer. */
  readonly value: number | null;
  /** Why there is none, where that was not said by null itself. */
  readonly problem?: string;
  /** Of a function that returns verdicts. */
  readonly verdict?: Verdict;
}

export interface OwnReward extends AsyncDisposable {
  /** Of the function: what metrics call it. */
  readonly name: string;
  /** SHA-256 of the module's file. */
  readonly digest: string;
  /** Of the responses to one prompt, in their order; or what the function returned that means nothing, in words. */
  score(group: readonly RewardedResponse[]): Promise<readonly OwnScore[] | { readonly unusable: string }>;
  close(): Promise<void>;
}

/** `spec` as openOwnModule() takes it. UserError `bad_verifier`. */
export async function openOwnReward(spec: string, options: OwnModuleOptions = {}): Promise<OwnReward> {
  const module = await openOwnModule(spec, "reward", options);
  const { functionName, digest, convention, close } = module;
  const single = async ({
    text,
    row,
  }: RewardedResponse): Promise<OwnScore | { readonly unusable: string }> => {
    const answer = await module.call(callOf(module, text, row));
    if ("error" in answer) return broken(answer.error);
    const { value } = answer;
    if (convention === "own" && isJsonObject(value)) {
      const verdict = verdictOf(value, "own");
      if (verdict.details?.["fault"] === "verifier") return { unusable: shown(value) };
      const reward = verdict.outcome === "infrastructure-error" ? null : Number(verdict.outcome === "pass");
      return { value: reward, verdict };
    }
    return numberOf(isJsonObject(value) && convention === "verl" ? value["score"] : value);
  };
  return {
    name: functionName,
    digest,
    score: async (group) => {
      const [first] = group;
      if (first === undefined) return [];
      if (convention !== "trl") {
        const scores = await Promise.all(group.map(single));
        return scores.find((score) => "unusable" in score) ?? (scores as readonly OwnScore[]);
      }
      const [completions, columns] = trlGroupArguments(group, first.row);
      const answer = await module.call({ args: [completions, columns], kwargs: { completions, ...columns } });
      if ("error" in answer) {
        const said = broken(answer.error);
        return "unusable" in said ? said : group.map(() => said);
      }
      const { value } = answer;
      if (!Array.isArray(value)) return { unusable: shown(value) };
      if (value.length !== group.length) return { unusable: `${value.length} values` };
      const scores = value.map(numberOf);
      return scores.find((score) => "unusable" in score) ?? (scores as readonly OwnScore[]);
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}

function numberOf(given: unknown): OwnScore | { readonly unusable: string } {
  const value = asDouble(given);
  if (value === null) return { value: null };
  if (typeof value === "boolean") return { value: Number(value) };
  return typeof value === "number" && Number.isFinite(value) ? { value } : { unusable: shown(given) };
}

/** NaN and its like do not pass as JSON: the process says that they were returned. */
function broken(error: string): OwnScore | { readonly unusable: string } {
  const returned = /^the reward failed: it returned (.*)$/s.exec(error);
  return returned
    ? { unusable: shortened(returned[1] as string, 200) }
    : { value: null, problem: shortened(error, 500) };
}

function shown(value: unknown): string {
  return stringifyJson(value)?.slice(0, 200) ?? String(value);
}
