// Texts that stand beside their translations, in columns with the names of their languages, as FLORES has them: tasks of translating with known answers.
import { detectLanguage, languageCodes } from "@posttrain/instructions";
import type { Draft, Making } from "../area.js";
import { drop, keep } from "../outcome.js";

const languagesOf = (row: Readonly<Record<string, unknown>>): readonly string[] =>
  languageCodes().filter((code) => typeof row[code] === "string" && (row[code] as string).trim() !== "");

export const isParallel = (row: Readonly<Record<string, unknown>>): boolean => languagesOf(row).length > 1;

const english = new Intl.DisplayNames(["en"], { type: "language" });
export const languageName = (code: string): string => english.of(code) ?? code;

const askings: readonly ((from: string, into: string, text: string) => string)[] = [
  (_, into, text) => `Translate into ${into}:\n\n${text}`,
  (from, into, text) =>
    `Translate the following ${from} text into ${into}. Give the translation alone.\n\n${text}`,
  (_, into, text) => `${text}\n\nSay this in ${into}.`,
  (from, into, text) => `What is the ${into} translation of this ${from} sentence?\n\n"${text}"`,
  (from, into, text) => `${from} to ${into}, please: ${text}`,
];

/** Each text into each other language of its row, or of --languages; texts that are not in the language of their column are left out. */
export function translations({ config, seeds, step, draws }: Making): AsyncGenerator<Draft, void, undefined> {
  let index = 0;
  const pairs = step("pair", seeds(), (seed) => {
    const { row, place } = seed;
    const codes = languagesOf(row);
    if (codes.length < 2) return drop("no_translation", place);
    const into = codes.filter((code) => config.languages?.includes(code) ?? true);
    const texts = new Map(codes.map((code) => [code, (row[code] as string).trim()]));
    const identified = new Map([...texts].map(([code, text]) => [code, detectLanguage(text)]));
    return keep(
      ...codes.flatMap((from) =>
        into
          .filter((code) => code !== from)
          .map((code) => ({ seed, from, code, texts, identified, index: index++ })),
      ),
    );
  });
  return step("identify", pairs, ({ seed, from, code, texts, identified, index: candidate }) => {
    const [text, answer] = [texts.get(from)!, texts.get(code)!];
    const found = [identified.get(from), identified.get(code)];
    if (found[0] !== from || found[1] !== code)
      return drop("other_language", { ...seed.place, columns: [from, code], identified: found });
    return keep({
      task: "translate",
      messages: [
        {
          role: "user",
          content: draws(candidate).pick(askings)(languageName(from), languageName(code), text),
        },
        { role: "assistant", content: answer },
      ],
      columns: { language: code },
      evidence: { from, into: code, identified: found },
      parents: [seed.id],
    } satisfies Draft);
  });
}
