/**
 * Rows as token ids and labels, in two halves: a plan renders the texts to tokenise, and what comes back from
 * the tokenizer is checked and labelled. So that texts of many rows can go to the tokenizer together.
 */
import type { ChatTemplate } from "./chat-template.js";
import {
  contentAsText,
  refuseSpecialTokens,
  type SpecialTokensInContent,
  tokensInContent,
} from "./content-tokens.js";
import { planConversation } from "./conversation.js";
import { type EncodingPlan, type LossOn, prefixMismatch } from "./encoding-plan.js";
import type { ChatMessage } from "./messages.js";
import { IGNORED_LABEL, type SftRow } from "./sft-row.js";
import type { Tokenizer } from "./tokenizer.js";
import { UserError } from "./user-error.js";

export interface EncodingTools {
  readonly tokenizer: Tokenizer;
  /** Only rows of messages need one. */
  readonly template: ChatTemplate | undefined;
  readonly lossOn: LossOn;
  /** What the template's `strftime_now` reads. */
  readonly now?: string | undefined;
  /** Of special tokens in a conversation's text; `token` by default. Text that is not rendered is as it is. */
  readonly specialTokens?: SpecialTokensInContent | undefined;
}

/**
 * Plans a row of any kind. Throws UserError, then or from `finish`, without the row's place: `bad_template`,
 * `template_needs_date`, `special_token_in_content`, `bad_row` for weights that contradict `lossOn`, `prompt_not_prefix`, `nothing_to_train`, `missing_template`, `missing_eos`,
 * `roles_out_of_order` for a conversation that ends with a turn nobody learns.
 */
export function planRow(row: Exclude<SftRow, { kind: "tokens" }>, tools: EncodingTools): EncodingPlan {
  const { tokenizer, template, lossOn } = tools;
  if (row.kind === "text") return planText(tokenizer, row.text);
  if (row.kind === "prompt-completion") {
    return planPromptCompletion(tokenizer, row.prompt, row.completion, lossOn);
  }
  if (!template) {
    throw new UserError(
      "missing_template",
      "a row of messages needs the model's chat template, and there is none. Name a model folder that has one, or give tokenised rows.",
    );
  }
  const found = tokensInContent(row, row.nameOf, tokenizer);
  if (tools.specialTokens === "error") refuseSpecialTokens(found);
  const asTexts = tools.specialTokens === "text" && found.some(({ special }) => special);
  const content = asTexts ? contentAsText(row, tokenizer) : row;
  const messages = content.messages.map((message) => withReasoning(message, template));
  const last = messages.length - 1;
  const role = messages[last]?.role;
  if (lossOn !== "everything" && role !== "assistant" && messages.some((turn) => turn.role === "assistant")) {
    throw new UserError(
      "roles_out_of_order",
      `${row.nameOf(last)}.role: expected the last turn to be the assistant's, came ${role}: nothing answers it, so nothing would be ` +
        "learnt from it. Add the answer, or remove what follows the last one.",
    );
  }
  const plan = planConversation(tokenizer, template, messages, {
    lossOn,
    untrained: row.untrained,
    now: tools.now,
    tools: content.tools,
    variables: content.variables,
    nameOf: row.nameOf,
    promptTurns: row.kind === "prompt-completion-messages" ? row.promptTurns : undefined,
  });
  return { ...plan, tokensInContent: found };
}

/**
 * An assistant's reasoning (`reasoning_content`, `thinking`) where the template has no word for it: it is
 * written before the answer as Qwen3's template writes it, rather than lost.
 */
export function withReasoning(message: ChatMessage, template: ChatTemplate): ChatMessage {
  if (message.role !== "assistant") return message;
  const key = ["reasoning_content", "thinking"].find((name) => message[name]);
  if (key === undefined || template.reads(key)) return message;
  const reasoning = String(message[key]);
  if (template.reads("reasoning_content")) return { ...message, reasoning_content: reasoning };
  const answer = message.content ? `\n\n${message.content}` : "";
  return { ...message, content: `<think>\n${reasoning}\n</think>${answer}` };
}

/** The text and its end token, which is appended where it is not there already, as TRL does. */
function planText(tokenizer: Tokenizer, text: string): EncodingPlan {
  return {
    texts: [withEos(tokenizer, text)],
    finish: ([inputIds], whole = true) => {
      if (whole) checkEos(tokenizer, inputIds!);
      return { inputIds: inputIds!, labels: inputIds! };
    },
  };
}

function planPromptCompletion(
  tokenizer: Tokenizer,
  prompt: string,
  completion: string,
  lossOn: LossOn,
): EncodingPlan {
  return {
    texts: [withEos(tokenizer, prompt + completion), prompt],
    finish: ([inputIds, promptIds], whole = true) => {
      if (whole) checkEos(tokenizer, inputIds!);
      if (lossOn === "everything") return { inputIds: inputIds!, labels: inputIds! };
      const differing = prefixMismatch(tokenizer, promptIds!, inputIds!);
      if (differing !== undefined) {
        throw new UserError(
          "prompt_not_prefix",
          `the prompt is no prefix of prompt + completion: ${differing} The characters where they meet make one token: ` +
            "move white space from the end of the prompt to the start of the completion, or end the prompt with a line feed or a special token.",
        );
      }
      const start = promptIds!.length;
      return { inputIds: inputIds!, labels: inputIds!.map((id, i) => (i < start ? IGNORED_LABEL : id)) };
    },
  };
}

export function withEos({ eosToken }: Tokenizer, text: string): string {
  if (eosToken === undefined) {
    throw new UserError(
      "missing_eos",
      "the end of a text is trained as an end token, and the model folder names none: tokenizer_config.json has no eos_token. " +
        'Add it ("eos_token": "<|endoftext|>" for Qwen2.5 base models), or give tokenised rows.',
    );
  }
  return text.endsWith(eosToken) ? text : text + eosToken;
}

export function checkEos({ eosToken, idOf }: Tokenizer, ids: readonly number[]): void {
  if (eosToken !== undefined && ids.at(-1) === idOf(eosToken)) return;
  throw new UserError(
    "missing_eos",
    `the end token ${eosToken} (eos_token of tokenizer_config.json) is no token of tokenizer.json: the two files belong to different models. Copy both from one.`,
  );
}
