// What a run is about: its queries, the responses that are there already, and what of them cannot be asked or graded.
import type { OnProgress } from "@posttrain/data";
import { type UnfitRow, unfitError, type Verifiers } from "@posttrain/verify";
import type { PairsConfig } from "./config.js";
import { type Query, readQueries } from "./queries.js";
import { type Response, readResponses } from "./responses.js";

export interface Asked {
  readonly queries: readonly Query[];
  readonly responses?: ReadonlyMap<number, readonly Response[]>;
  readonly rows: number;
  readonly unfit: readonly UnfitRow[];
  readonly repeated: number;
  readonly verifiers: ReadonlyMap<string, number>;
}

/** What is asked, without what cannot be graded. UserError where nothing is left. */
export async function readAsked(
  config: PairsConfig,
  verifiers: Verifiers,
  progress: OnProgress | undefined,
): Promise<Asked> {
  const { responses: files, data, raw } = config;
  const read =
    files === undefined
      ? await readQueries(data!, raw, progress).then(({ queries, repeated }) => ({
          ...{ queries, repeated },
          rows: queries.length + repeated,
          unfit: [] as readonly UnfitRow[],
          responses: undefined,
        }))
      : {
          ...(await readResponses(files, {
            ...{ raw, verifiers, data },
            keepVerdicts: !config.regrade,
            ...(progress && { onProgress: progress }),
          })),
          repeated: 0,
        };
  const names = new Map<string, number>();
  const unfit: UnfitRow[] = [...read.unfit];
  const queries = read.queries.filter(({ row, line, number }) => {
    const one = { ...row, response: "x" };
    const given = read.responses?.get(number) ?? [];
    const isJudged = given.length > 0 && given.every(({ verdict }) => verdict !== undefined);
    const problem = isJudged ? undefined : verifiers.problemOf(one);
    if (problem !== undefined) {
      unfit.push({ line, problem });
      return false;
    }
    const name = isJudged ? given[0]!.verdict!.verifier : verifiers.verifierOf(one)!.name;
    names.set(name, (names.get(name) ?? 0) + 1);
    return true;
  });
  const path = files?.join(", ") ?? data!;
  if (queries.length === 0) {
    throw unfitError(path, read.rows, unfit, "No pair can be made.");
  }
  return {
    queries,
    ...(read.responses !== undefined && { responses: read.responses }),
    rows: read.rows,
    unfit,
    repeated: read.repeated,
    verifiers: names,
  };
}
