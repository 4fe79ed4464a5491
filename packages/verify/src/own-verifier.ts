/**
 * A verifier of the user's own: a function in a JavaScript or Python module, called in child processes that can be killed. What it
 * throws, what it returns that means nothing, and what it does not return in time is an infrastructure-error: a broken verifier
 * teaches nobody.
 */
import { shortened, type Verdict } from "@posttrain/data";
import { trlArguments, verdictOf, verlArguments } from "./adapters.js";
import { type Call, type OwnModule, type OwnModuleOptions, openOwnModule } from "./own-module.js";
import type { Verifier } from "./registry.js";
import type { Row } from "./verifier.js";

export interface OwnVerifierOptions extends OwnModuleOptions {
  readonly passScore?: number;
}

export interface OwnVerifier extends Verifier, AsyncDisposable {
  /** SHA-256 of the module's file. */
  readonly digest: string;
  close(): Promise<void>;
}

/** `spec` as openOwnModule() takes it. UserError `bad_verifier`. */
export async function openOwnVerifier(spec: string, options: OwnVerifierOptions = {}): Promise<OwnVerifier> {
  const { passScore = 1 } = options;
  const module = await openOwnModule(spec, "verifier", options);
  const { name, digest, convention, close } = module;
  return {
    name,
    digest,
    grade: async (response, row) => {
      const answer = await module.call(callOf(module, response, row));
      return "error" in answer
        ? failed(shortened(answer.error, 2000))
        : verdictOf(answer.value, convention, passScore);
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}

function failed(reason: string): Verdict {
  return {
    outcome: "infrastructure-error",
    evidence: `Not graded: ${reason}`,
    details: { fault: "verifier" },
  };
}

/** Of one response. */
export function callOf({ convention }: Pick<OwnModule, "convention">, response: string, row: Row): Call {
  if (convention === "own") return { args: [response, row] };
  if (convention === "trl") {
    const [completions, columns] = trlArguments(response, row);
    return { args: [completions, columns], kwargs: { completions, ...columns } };
  }
  const args = verlArguments(response, row);
  const [data_source, solution_str, ground_truth, extra_info] = args;
  return { args, kwargs: { data_source, solution_str, ground_truth, extra_info } };
}
