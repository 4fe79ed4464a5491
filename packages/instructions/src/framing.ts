/** combination:* and startend:*: how the answer is framed as a whole. */
import { z } from "zod";
import { defineInstruction, drawOne, noKwargs, nonEmpty } from "./instruction.js";
import { isBlank, strip, stripQuotes } from "./python-text.js";

export const twoResponses = defineInstruction({
  id: "combination:two_responses",
  kwargs: noKwargs,
  checker: () => (response) => {
    const parts = response.split("******");
    const emptyInside = parts.slice(1, -1).some(isBlank);
    const responses = parts.map(strip).filter((part) => part !== "");
    const same = responses.length === 2 && responses[0] === responses[1];
    return {
      followed: !emptyInside && responses.length === 2 && !same,
      evidence: `${responses.length} responses divided by ******${same ? ", both the same" : ""}${emptyInside ? ", an empty one between them" : ""}`,
    };
  },
  describe: () => "Give two different answers with six asterisks between them, and nowhere else: ******",
  generate: () => ({}),
});

export const repeatPrompt = defineInstruction({
  id: "combination:repeat_prompt",
  kwargs: z.strictObject({ prompt_to_repeat: nonEmpty }),
  checker:
    ({ prompt_to_repeat: prompt }) =>
    (response) => {
      const followed = strip(response).toLowerCase().startsWith(strip(prompt).toLowerCase());
      return { followed, evidence: `the answer ${followed ? "begins" : "does not begin"} with the request` };
    },
  describe: () =>
    "Before you answer, repeat the request above word for word and say nothing before it; this sentence is no part of what you repeat.",
  generate: (_random, prompt) => ({ prompt_to_repeat: prompt }),
});

export const endChecker = defineInstruction({
  id: "startend:end_checker",
  kwargs: z.strictObject({ end_phrase: nonEmpty }),
  checker:
    ({ end_phrase: phrase }) =>
    (response) => {
      const followed = stripQuotes(strip(response)).toLowerCase().endsWith(strip(phrase).toLowerCase());
      return { followed, evidence: `the answer ${followed ? "ends" : "does not end"} with "${phrase}"` };
    },
  describe: ({ end_phrase: phrase }) => `The last words of your answer must be: ${phrase}`,
  generate: (random) => ({
    end_phrase: drawOne(random, [
      "I hope this helps.",
      "Let me know what you think.",
      "Is there anything else you would like to know?",
      "That is all for today.",
    ]),
  }),
});

export const quotation = defineInstruction({
  id: "startend:quotation",
  kwargs: noKwargs,
  checker: () => (response) => {
    const text = strip(response);
    const followed = text.length > 1 && text.startsWith('"') && text.endsWith('"');
    return {
      followed,
      evidence: `the answer ${followed ? "stands" : "does not stand"} in double quotation marks`,
    };
  },
  describe: () => "Put your whole answer in double quotation marks.",
  generate: () => ({}),
});
