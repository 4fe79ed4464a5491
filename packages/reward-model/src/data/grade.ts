// Verdicts on responses, each kept by what decides it.
import { inOrder, type Journal } from "@posttrain/run";
import { type ChosenVerifiers, createJournalledGrader, type JournalledGrader } from "@posttrain/verify";
import type { Query, Response } from "./candidates.js";
import type { RewardDataRun } from "./make.js";
import type { Group } from "./respond.js";

/** Verdicts on all responses of rows that a verifier fits. */
export async function grade(
  groups: readonly Group[],
  chosen: ChosenVerifiers,
  run: RewardDataRun,
  journal: Journal,
): Promise<readonly (readonly Response[])[]> {
  const { verifiers } = chosen;
  const grader = createJournalledGrader(chosen, journal);
  const fits = groups.map(({ query }) => verifiers.problemOf({ ...query.row, response: "x" }) === undefined);
  const names = new Set(
    groups.flatMap(({ query }, i) =>
      fits[i] ? (verifiers.verifierOf({ ...query.row, response: "x" })?.name ?? []) : [],
    ),
  );
  await chosen.prove(names);
  const total = groups.reduce((sum, { responses }, i) => sum + (fits[i] ? responses.length : 0), 0);
  let done = 0;
  const all: (readonly Response[])[] = [];
  const one = async (group: Group, fit: boolean): Promise<readonly Response[]> => {
    if (!fit) return group.responses;
    const graded = await Promise.all(
      group.responses.map((response) => verdictOn(group.query, response, grader)),
    );
    run.signal?.throwIfAborted();
    done += graded.length;
    run.onProgress?.({ doing: "grading", done, total });
    return graded;
  };
  const tasks = groups.map((group, i) => () => one(group, fits[i] as boolean));
  for await (const graded of inOrder(tasks, 32)) all.push(graded);
  return all;
}

async function verdictOn(query: Query, response: Response, grader: JournalledGrader): Promise<Response> {
  if (response.verdict !== undefined) return response;
  return { ...response, verdict: await grader.grade(query, response) };
}
