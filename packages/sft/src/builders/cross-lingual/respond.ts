// Instructions in another language: translated, answered, and each answer held against the answer to the original.
import { detectLanguage } from "@posttrain/instructions";
import type { Draft, Making, Seed } from "../area.js";
import { questionsOf } from "../conversation.js";
import { drop, keep, type Outcome } from "../outcome.js";
import type { Said } from "../roles.js";
import { grouped } from "../steps.js";
import { askForVerdict, wordAfter } from "../verdict.js";
import { languageName } from "./parallel.js";

interface Original {
  readonly seed: Seed;
  readonly instruction: string;
  /** As the row has it. */
  readonly response?: string;
  readonly language: string;
}

export async function* responded(
  { config, seeds, step, roles }: Making,
  languages: readonly string[],
): AsyncGenerator<Draft, void, undefined> {
  const originals = step("choose", step("read", seeds(), questionsOf), ({ seed, messages, ...answered }) => {
    const [turn, ...others] = messages;
    if (turn?.role !== "user" || others.length > 0 || typeof turn.content !== "string")
      return drop("no_single_question", seed.place);
    const { content: instruction } = turn;
    const own = detectLanguage(instruction);
    const into = languages.filter((language) => language !== own);
    if (into.length === 0) return drop("in_this_language_already", seed.place);
    const response = "response" in answered ? { response: answered.response as string } : {};
    return keep(...into.map((language): Original => ({ seed, instruction, ...response, language })));
  });
  const translated = step(
    "translate",
    originals,
    async (original) => {
      const { seed, instruction, language } = original;
      const values = { text: instruction, language: languageName(language) };
      const reply = await roles.ask("translator", { prompt: "cross-lingual-translate", values });
      if (!("kept" in reply)) return reply;
      const translation = reply.kept[0] as Said;
      const identified = detectLanguage(translation.text);
      const shown = { ...seed.place, language, identified, said: translation.text };
      if (translation.text === instruction) return drop("not_translated", shown);
      if (identified !== language) return drop("translated_into_another_language", shown);
      return keep({ ...original, translation });
    },
    roles.width("translator"),
  );
  const samples = step("sample", translated, (one) =>
    keep(...Array.from({ length: config.num_samples }, (_, sample) => ({ ...one, sample }))),
  );
  const answered = step(
    "respond",
    samples,
    async (one) => {
      const { seed, translation, language, sample } = one;
      const reply = await roles.ask("generator", {
        messages: [{ role: "user", content: translation.text }],
        sample,
      });
      if (!("kept" in reply)) return reply;
      const said = reply.kept[0] as Said;
      const identified = detectLanguage(said.text);
      if (identified !== language)
        return drop("answered_in_another_language", { ...seed.place, language, identified, said: said.text });
      return keep({ ...one, said });
    },
    roles.width("generator"),
  );
  const aligned = step(
    "align",
    answered,
    async (one) => {
      const { seed, instruction, translation, language, said } = one;
      const original = await originalAnswer(one);
      if (!("kept" in original)) return original;
      const [reference] = original.kept as [Pick<Said, "text"> & Partial<Said>];
      const values = {
        ...{ instruction, response: reference.text, language: languageName(language) },
        ...{ translated_instruction: translation.text, translated_response: said.text },
      };
      const found = await askForVerdict(
        roles,
        "judge",
        { prompt: "cross-lingual-align", values },
        alignmentOf,
      );
      if (!("kept" in found)) return found;
      const [{ verdict: score, said: judged }] = found.kept as [(typeof found.kept)[number]];
      if (score < config.min_alignment)
        return drop("not_aligned", { ...seed.place, language, score, said: said.text, judge: judged.text });
      return keep({ ...one, reference, score, judged });
    },
    roles.width("judge"),
  );
  type Aligned = typeof aligned extends AsyncGenerator<infer T> ? T : never;
  const best = (group: readonly Aligned[]): number =>
    group.reduce((at, { score }, i) => (score > group[at]!.score ? i : at), 0);
  const ranked = async function* () {
    for await (const group of grouped(
      aligned,
      ({ seed, instruction, language }) => `${seed.id} ${language} ${instruction}`,
    ))
      yield* group.map((one, i) => ({ ...one, isBest: i === best(group) }));
  };
  yield* step("best", ranked(), (one) => {
    if (!one.isBest) return drop("another_is_as_good");
    const { seed, instruction, translation, language, said, reference, score, judged } = one;
    return keep({
      task: "respond",
      messages: [
        { role: "user", content: translation.text },
        { role: "assistant", content: said.text },
      ],
      columns: { language },
      evidence: {
        asked: [translation.asked, said.asked, ...(reference.asked ? [reference.asked] : []), judged.asked],
        original: { instruction, response: reference.text },
        alignment: score,
      },
      parents: [seed.id],
    } satisfies Draft);
  });

  /** The row's own, else the generator's. */
  async function originalAnswer({
    instruction,
    response,
  }: Original): Promise<Outcome<Pick<Said, "text"> & Partial<Said>>> {
    if (response !== undefined) return keep({ text: response });
    return roles.ask("generator", { messages: [{ role: "user", content: instruction }] });
  }
}

const alignmentOf = (said: string): number | undefined => {
  const word = wordAfter(said, "alignment", ["[1-5]"]);
  return word === undefined ? undefined : Number(word);
};
