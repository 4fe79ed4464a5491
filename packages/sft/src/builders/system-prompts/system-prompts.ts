// Area system-prompts: conversations under system prompts that they follow, hundreds of which are composed by the seed; or questions with answers, each under every one of a
// set of system prompts, to measure how much a score depends on them. Qwen2.5's report, section 4.1 (8).
import type { Area, Draft, Making } from "../area.js";
import { questionsOf, readable } from "../conversation.js";
import { drop, keep, type Outcome } from "../outcome.js";
import { askForVerdict, wordAfter } from "../verdict.js";
import { compose } from "./compose.js";
import { spokenIn } from "./parts.js";

export const systemPrompts: Area = {
  version: 1,
  tasks: ["conversation", "probe"],
  seeds: "needed",
  build: (making) => {
    const { tasks } = making;
    // A probe has questions in place of conversations: only who asks for it gets it.
    return tasks.length === 1 && tasks[0] === "probe" ? probes(making) : conversations(making);
  },
};

async function* conversations(making: Making): AsyncGenerator<Draft, void, undefined> {
  const { config, seeds, step, draws, roles } = making;
  let index = 0;
  const read = step("choose", step("read", seeds(), questionsOf), (whole) => {
    const { seed } = whole;
    if (!("response" in whole)) return drop("has_no_answer", seed.place);
    const messages = [...whole.messages, { role: "assistant", content: whole.response } as const];
    if (messages.some(({ role }) => role === "system")) return drop("has_a_system_prompt", seed.place);
    const spoken = spokenIn(messages);
    return keep(
      ...Array.from({ length: config.num_samples }, () => ({ seed, messages, spoken, index: index++ })),
    );
  });
  const composed = step("compose", read, ({ seed, messages, spoken, index: candidate }) => {
    const { text, checked } = compose(draws(candidate), spoken);
    return keep({ seed, messages, system: text, checked });
  });
  yield* step(
    "check",
    making.distinct(composed, ({ seed, system }) => `${seed.id} ${system}`),
    async ({ seed, messages, system, checked }): Promise<Outcome<Draft>> => {
      const values = { system, conversation: readable(messages) };
      const found = roles.has("critic")
        ? await askForVerdict(roles, "critic", { prompt: "system-prompts-check", values }, (said) =>
            wordAfter(said, "verdict", ["consistent", "contradicted"]),
          )
        : undefined;
      if (found !== undefined && !("kept" in found)) return found;
      const [judged] = found?.kept ?? [];
      if (judged?.verdict === "contradicted")
        return drop("contradicted", { ...seed.place, system, said: judged.said.text });
      return keep({
        task: "conversation",
        messages: [{ role: "system", content: system }, ...messages],
        evidence: { checked_parts: checked, ...(judged && { asked: [judged.said.asked] }) },
        parents: [seed.id],
      });
    },
    roles.width("critic"),
  );
}

/** Each question under the same prompts, and under none: column kind says under which. */
function probes({ config, seeds, step, draws, verifiers }: Making): AsyncGenerator<Draft, void, undefined> {
  const prompts = new Set<string>();
  for (let index = 0; prompts.size < config.num_samples; index++)
    prompts.add(compose(draws(index), undefined).text);
  const kinds = [...prompts].map(
    (text, i) => [`system ${String(i + 1).padStart(String(prompts.size).length, "0")}`, text] as const,
  );
  return step("ask", step("read", seeds(), questionsOf), ({ seed, messages }) => {
    const { row, place } = seed;
    const why = verifiers.problemOf({ ...row, response: "x" });
    if (why !== undefined) return drop("no_answer", { ...place, why });
    if (messages.some(({ role }) => role === "system")) return drop("has_a_system_prompt", place);
    const columns = Object.fromEntries(Object.entries(row).filter(([name]) => !asking.has(name)));
    return keep(
      ...([["no system prompt", undefined], ...kinds] as const).map(
        ([kind, text]): Draft => ({
          task: "probe",
          messages: [
            ...(text === undefined ? [] : [{ role: "system", content: text } as const]),
            ...messages,
          ],
          columns: { ...columns, kind },
          evidence: { generator: "system-prompts/probe" },
          parents: [seed.id],
        }),
      ),
    );
  });
}

/** Columns that the messages stand for, and names of the row that it was. */
const asking = new Set([
  ...["schema", "id", "messages", "area", "task", "kind", "category", "parents", "evidence", "prompt"],
  ...["response", "responses", "completion", "completions", "output"],
  ...["question", "conversations", "system", "problem", "query", "instruction", "input", "history"],
]);
