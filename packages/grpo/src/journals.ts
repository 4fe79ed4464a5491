// The journals of a run, in episodes/: what was sampled and what graders said, for a run that goes on after a kill. A checkpoint needs those that
// were begun after it; when the oldest checkpoint has all that one holds, it goes.
import { readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { checkpointSteps } from "@posttrain/run";
import { readState } from "./state.js";

const folderOf = (dir: string): string => join(dir, "episodes");
const padded = (number: number): string => String(number).padStart(6, "0");

export const prepassJournal = (dir: string): string => join(folderOf(dir), "prepass.journal");
export const episodeJournal = (dir: string, episode: number): string =>
  join(folderOf(dir), `${padded(episode)}.journal`);
export const evaluationJournal = (dir: string, step: number): string =>
  join(folderOf(dir), `evaluation-${padded(step)}.journal`);

const journalName = /^(?:prepass|(evaluation-)?(\d+))\.journal$/;

/** After a save in the run folder `dir`: deletes the journals that no checkpoint there needs. Where the oldest cannot be read, none. */
export async function pruneJournals(dir: string): Promise<void> {
  const [step] = await checkpointSteps(dir);
  if (step === undefined) return;
  const oldest = await readState({ dir: join(dir, `checkpoint-${step}`) }).catch(() => undefined);
  if (oldest === undefined) return;
  for (const name of await readdir(folderOf(dir))) {
    const [journal, ofEvaluation, number = 0] = journalName.exec(name) ?? [];
    const done = ofEvaluation === undefined ? oldest.episode : step;
    if (journal !== undefined && Number(number) <= done) await rm(join(folderOf(dir), name));
  }
}
