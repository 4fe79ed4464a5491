/**
 * Preferences as token ids, as TRL renders them: the prompt with the generation prompt, and each side as what follows it in the rendering of
 * prompt and side together. So a side ends as the template ends it, after its end token. Text gets its end token, where it has none.
 */
import type { ChatTemplate } from "./chat-template.js";
import {
  contentAsText,
  refuseSpecialTokens,
  type TokenInContent,
  tokensInContent,
} from "./content-tokens.js";
import { checkEos, type EncodingTools, withEos, withReasoning } from "./encoding.js";
import { prefixMismatch } from "./encoding-plan.js";
import { splitPrompt } from "./implicit-prompt.js";
import type { ChatMessage } from "./messages.js";
import { type PreferenceRow, type Side, sides } from "./preference-row.js";
import type { TextStart, Tokenizer } from "./tokenizer.js";
import { UserError } from "./user-error.js";

/** Ids of both sides, each with the prompt; of a text that was not read to its end its first ones. */
export interface EncodedPair extends Sides {
  /** Tokens that are the prompt's, in both. */
  readonly promptTokens: number;
}

export interface PreferencePlan {
  readonly texts: readonly string[];
  readonly tokensInContent?: readonly TokenInContent[];
  /** Takes what `texts` became. Throws UserError. */
  finish(starts: readonly TextStart[]): EncodedPair;
}

export interface PreferenceTools extends Omit<EncodingTools, "lossOn"> {
  /** Whether the prompt must be the same tokens in all three texts; else what they share is the prompt, if it is nothing. */
  readonly prompt: "required" | "optional";
}

/**
 * Plans a row of any kind. Throws UserError, then or from `finish`, without the row's place: as planRow does; `prompt_not_prefix` and
 * `prompts_differ` where a prompt is required.
 */
export function planPreference(row: PreferenceRow, tools: PreferenceTools): PreferencePlan {
  if (row.kind === "tokens") return planTokens(row, tools);
  return row.kind === "text" ? planTexts(row, tools) : planMessages(row, tools);
}

function planTokens(
  { prompt, chosen, rejected }: Extract<PreferenceRow, { kind: "tokens" }>,
  { prompt: needed }: Pick<PreferenceTools, "prompt">,
): PreferencePlan {
  const pair =
    prompt === undefined
      ? { chosen, rejected, promptTokens: shared(chosen, rejected) }
      : {
          chosen: [...prompt, ...chosen],
          rejected: [...prompt, ...rejected],
          promptTokens: prompt.length,
        };
  return { texts: [], finish: () => withPrompt(pair, needed) };
}

function planTexts(
  { prompt, chosen, rejected }: Extract<PreferenceRow, { kind: "text" }>,
  { tokenizer, prompt: needed }: PreferenceTools,
): PreferencePlan {
  const whole = (side: string): string => withEos(tokenizer, (prompt ?? "") + side);
  const asked = prompt ?? splitPrompt(chosen, rejected)?.prompt ?? "";
  return {
    texts: [whole(chosen), whole(rejected), asked],
    finish: ([better, worse, before]) => {
      for (const { ids, whole } of [better!, worse!]) if (whole) checkEos(tokenizer, ids);
      const pair = { chosen: better!.ids, rejected: worse!.ids };
      // Where texts part inside a token, a prompt that nobody wrote ends before it.
      if (prompt === undefined && mismatch(pair, before!, tokenizer) !== undefined) {
        return withPrompt({ ...pair, promptTokens: shared(pair.chosen, pair.rejected) }, needed);
      }
      return withGivenPrompt(pair, before!, tokenizer, needed, MELTING_TEXT);
    },
  };
}

const MELTING_TEXT =
  "The characters where they meet make one token: move white space from the end of the prompt to the start of both sides, or end the prompt " +
  'with a line feed or a special token. For a chat model give the prompt as messages: [{"role": "user", "content": ...}].';

function planMessages(
  row: Extract<PreferenceRow, { kind: "messages" }>,
  { tokenizer, template, now, specialTokens, prompt: needed }: PreferenceTools,
): PreferencePlan {
  if (!template) {
    throw new UserError(
      "missing_template",
      "a row of messages needs the model's chat template, and there is none. Name a model folder that has one, or give tokenised rows.",
    );
  }
  const asked = row.prompt.length;
  const found = [
    ...tokensInContent(
      { ...row, messages: [...row.prompt, ...row.chosen] },
      (turn) => row.nameOf("chosen", turn),
      tokenizer,
    ),
    ...tokensInContent({ messages: row.rejected }, (turn) => row.nameOf("rejected", asked + turn), tokenizer),
  ];
  if (specialTokens === "error") refuseSpecialTokens(found);
  const asTexts = specialTokens === "text" && found.some(({ special }) => special);
  const rendered = (answer: readonly ChatMessage[], addGenerationPrompt: boolean): string => {
    const whole = { messages: [...row.prompt, ...answer], tools: row.tools, variables: row.variables };
    const { messages, ...rendering } = asTexts ? contentAsText(whole, tokenizer) : whole;
    const turns = messages.map((message) => withReasoning(message, template));
    return template.render(turns, { ...rendering, addGenerationPrompt, now });
  };
  const texts = [rendered(row.chosen, false), rendered(row.rejected, false), rendered([], true)];
  for (const [i, side] of sides.entries()) {
    if (texts[i] !== "") continue;
    throw new UserError(
      "bad_template",
      `The chat template ${template.path} makes an empty text of ${side}: it writes none of its turns. Mend the template, or copy it again from where the model came from.`,
    );
  }
  return {
    texts,
    tokensInContent: found,
    finish: ([better, worse, prompt]) =>
      withGivenPrompt(
        { chosen: better!.ids, rejected: worse!.ids },
        prompt!,
        tokenizer,
        needed,
        whyNoPrefix(texts, template),
      ),
  };
}

function whyNoPrefix([chosen, rejected, prompt]: readonly string[], { path }: ChatTemplate): string {
  return [chosen, rejected].every((side) => side!.startsWith(prompt!))
    ? "The characters where they meet make one token: remove white space from the start of the answers, or have the template end its generation prompt with a special token or a line feed."
    : `The template ${path} renders the conversation differently once the answer follows (as those do that drop or add reasoning): give the answers as it writes them, or take a template that keeps what it wrote.`;
}

type Sides = Readonly<Record<Side, readonly number[]>>;

/** The first side that does not begin with the prompt, and where. */
function mismatch(pair: Sides, prompt: TextStart, tokenizer: Tokenizer): string | undefined {
  for (const side of sides) {
    // Of what was not read to its end no more can be compared.
    const differing = prefixMismatch(tokenizer, prompt.ids.slice(0, pair[side].length), pair[side]);
    if (differing !== undefined)
      return `the prompt is no prefix of prompt and ${side} together: ${differing}`;
  }
  return undefined;
}

function withGivenPrompt(
  pair: Sides,
  prompt: TextStart,
  tokenizer: Tokenizer,
  needed: PreferenceTools["prompt"],
  why: string,
): EncodedPair {
  const differing = mismatch(pair, prompt, tokenizer);
  if (differing === undefined) return withPrompt({ ...pair, promptTokens: prompt.ids.length }, needed);
  if (needed === "optional") return { ...pair, promptTokens: shared(pair.chosen, pair.rejected) };
  throw new UserError("prompt_not_prefix", `${differing} ${why}`);
}

function withPrompt(pair: EncodedPair, needed: PreferenceTools["prompt"]): EncodedPair {
  if (needed === "required" && pair.promptTokens === 0) {
    throw new UserError(
      "prompts_differ",
      "chosen and rejected have no token of a prompt in common, so nothing comes before the answers that could predict them. Give the prompt both answer.",
    );
  }
  return pair;
}

/** Tokens with which both begin; of a side that begins the other its last token stays an answer. */
function shared(chosen: readonly number[], rejected: readonly number[]): number {
  const most = Math.min(chosen.length, rejected.length) - 1;
  let tokens = 0;
  while (tokens < most && chosen[tokens] === rejected[tokens]) tokens++;
  return tokens;
}
