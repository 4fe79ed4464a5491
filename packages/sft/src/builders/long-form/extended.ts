// Self-Lengthen (Quan et al., arXiv 2410.23933): the generator answers a query, and extends what it has written part by part, round after round, each part
// with what is finished before it.
import type { Making } from "../area.js";
import { drop, keep, type Outcome } from "../outcome.js";
import type { Asked, Said } from "../roles.js";
import { queryOf } from "../seed-text.js";
import type { LongAnswer } from "./judged.js";
import { inWords, lengthOf, mostBytes, wordsOfGrade } from "./length.js";
import { partsOf } from "./pieces.js";

const mostRounds = 6;
/** Words of a part, which becomes twice as long in one reply. */
const mostOfPart = 500;
/** Characters of what comes before a part that its writer sees. */
const mostBefore = 6000;
/** A round that adds less is the last. */
const leastGrowth = 1.1;

export function extended(making: Making): AsyncIterable<LongAnswer> {
  const { step, seeds, draws, difficultyOf, roles } = making;
  let index = 0;
  const queries = step("read", seeds(), (seed) => {
    const asked = queryOf(seed);
    return "kept" in asked ? keep({ query: asked.kept[0]!, id: seed.id, index: index++ }) : asked;
  });
  const drafts = step(
    "draft",
    queries,
    async (one) => {
      const said = await roles.ask("generator", { messages: [{ role: "user", content: one.query }] });
      return "kept" in said ? keep({ ...one, draft: said.kept[0]! }) : said;
    },
    roles.width("generator"),
  );
  return step(
    "extend",
    drafts,
    async ({ query, id, index, draft }): Promise<Outcome<LongAnswer>> => {
      const difficulty = difficultyOf(index);
      const wanted = wordsOfGrade(difficulty);
      const rounds = [wordsIn(draft.text)];
      const asked: Asked[] = [draft.asked];
      let text = draft.text;
      while (wordsIn(text) < wanted * 0.9 && rounds.length <= mostRounds) {
        const longer = await extendOnce(query, text, rounds.length, making);
        if ("unanswered" in longer) return longer;
        // What went wrong in this round does not undo those before it.
        if (!("kept" in longer)) break;
        const [next] = longer.kept as [{ text: string; asked: Asked }];
        if (Buffer.byteLength(next.text) > mostBytes || wordsIn(next.text) < wordsIn(text) * leastGrowth)
          break;
        text = next.text;
        rounds.push(wordsIn(text));
        if (asked.length === 1) asked.push(next.asked);
      }
      if (wordsIn(text) < wanted * 0.6) return drop("too_short", { query, wanted, rounds });
      return keep({
        ...{ task: "extended", query, response: text, difficulty, draw: draws(index) },
        ...{ asked, evidence: { rounds }, parents: [id] },
      });
    },
    roles.width("generator"),
  );
}

const wordsIn = (text: string): number => Math.round(inWords(lengthOf(text)));

/** Each part anew. Dropped: a reply was cut off, or is shorter than the part. */
async function extendOnce(
  query: string,
  text: string,
  round: number,
  { roles }: Making,
): Promise<Outcome<{ readonly text: string; readonly asked: Asked }>> {
  const written: string[] = [];
  let asked: Asked | undefined;
  for (const part of partsOf(text, mostOfPart)) {
    const before = written.join("\n\n");
    const said = await roles.ask("generator", {
      prompt: "long-form-extend",
      values: {
        query,
        before: before === "" ? "(nothing: this is the beginning)" : before.slice(-mostBefore),
        part,
      },
      sample: round,
    });
    if (!("kept" in said)) return said;
    const [reply] = said.kept as [Said];
    if (wordsIn(reply.text) < wordsIn(part)) return drop("part_shrank");
    written.push(reply.text);
    asked = reply.asked;
  }
  return asked === undefined ? drop("no_parts") : keep({ text: written.join("\n\n"), asked });
}
