// A group: the prompt of a step and its responses, each with rewards, verdict, advantage, and token by token.
import type { GroupAnswer, SampleAnswer } from "../src/api.js";
import { ask } from "./ask.js";
import { el, fill } from "./dom.js";
import { verdictCounts, verdictName } from "./group-table.js";
import { shown, signed } from "./scale.js";
import { modelText } from "./text.js";
import { tokenView } from "./tokens.js";
import { linkTo, type Place, type View } from "./view.js";

export function groupView({ parts: [step = "", prompt = ""] }: Place): View {
  const element = el("div");
  let loaded = false;
  return {
    element,
    update: async () => {
      if (loaded) return;
      const { summary, promptText, samples } = await ask<GroupAnswer>("group", { step, prompt });
      loaded = true;
      fill(
        element,
        el("p", { class: "crumbs" }, el("a", { href: "#groups" }, "Groups")),
        el("h2", {}, `Step ${shown(summary.step)}, prompt of line ${shown(summary.line)}`),
        el(
          "p",
          { class: "bar" },
          verdictCounts(summary),
          el("span", {}, `reward ${shown(summary.reward)}`),
          el("span", {}, `variance ${shown(summary.variance)}`),
          el("a", { href: linkTo("prompt", prompt) }, "This prompt across steps"),
        ),
        modelText(promptText, { "aria-label": "Prompt", class: "text prompt" }),
        ...samples.map((sample, i) => response(sample, { step, prompt, sample: String(i) })),
      );
    },
  };
}

function response(
  sample: SampleAnswer,
  place: Readonly<Record<"step" | "prompt" | "sample", string>>,
): HTMLElement {
  const { verdict, finish, masked } = sample;
  const tokens = el("details", {}, el("summary", {}, "Token by token"));
  tokens.addEventListener("toggle", () => {
    if (tokens.open && tokens.childElementCount === 1) tokens.append(tokenView(place, sample));
  });
  const parts = Object.entries(sample.rewards);
  return el(
    "article",
    { class: "response" },
    el(
      "header",
      { class: "bar" },
      el("h3", {}, `Response ${sample.sample + 1}`),
      verdict && el("span", { class: `verdict ${verdict.outcome}` }, verdictName(verdict.outcome)),
      fact("reward", shown(sample.reward)),
      ...(parts.length > 1 ? parts.map(([name, value]) => fact(name, shown(value))) : []),
      fact("advantage", signed(sample.advantage)),
      fact("tokens", shown(sample.tokens)),
      finish === "stop"
        ? undefined
        : el("span", { class: "flag" }, finish === "length" ? "cut at the longest length" : finish),
      masked ? el("span", { class: "flag" }, "masked: trains nothing") : undefined,
    ),
    modelText(sample.text),
    verdict && verdict.evidence !== ""
      ? el("details", {}, el("summary", {}, "Evidence"), modelText(verdict.evidence))
      : undefined,
    tokens,
  );
}

function fact(name: string, value: string): HTMLElement {
  return el(
    "span",
    {},
    el("span", { class: "faint" }, `${name} `),
    el("span", { class: "number-text" }, value),
  );
}
