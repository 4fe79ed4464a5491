// A response token by token: what it says, its log-probability when it was drawn, and what the response's advantage makes of it.
import type { SampleAnswer, Token, TokensAnswer } from "../src/api.js";
import { ask } from "./ask.js";
import { el, fill } from "./dom.js";
import { fixed, shown, signed } from "./scale.js";
import { pieces } from "./text.js";

type Number = "log-probability" | "advantage";

/** Least probabilities of the colours, from the surest. */
const shares = [0.9, 0.5, 0.2, 0.05, 0.01];

export function tokenView(
  place: Readonly<Record<"step" | "prompt" | "sample", string>>,
  { advantage }: SampleAnswer,
): HTMLElement {
  const list = el("div", { class: "tokens", dir: "auto" });
  const details = el(
    "p",
    { class: "token-details", role: "status" },
    "Point at a token, or go to it with the arrow keys.",
  );
  const note = el("p", { class: "note" });
  const more = el("button", { type: "button", hidden: true }, "Show more tokens");
  const choice = el(
    "select",
    { "aria-label": "Colour and number" },
    ...(["log-probability", "advantage"] as const).map((name) => el("option", { value: name }, name)),
  );
  const tokens: Token[] = [];
  const elements: HTMLElement[] = [];

  const tell = (i: number): void => {
    const [text, id, logProb] = tokens[i] as Token;
    const probability = logProb === null ? "" : `, probability ${shown(Math.exp(logProb))}`;
    fill(
      details,
      `Token ${shown(i + 1)}: `,
      el("code", {}, ...(text === "" ? ["a part of a character"] : pieces(JSON.stringify(text)))),
      `, id ${id}, log-probability ${shown(logProb)}${probability}, advantage ${signed(advantage)}`,
    );
  };
  const paint = (): void => {
    const what = choice.value as Number;
    for (const [i, element] of elements.entries()) {
      const [, , logProb] = tokens[i] as Token;
      element.className = `token ${what === "advantage" ? advantageClass(advantage) : surpriseClass(logProb)}`;
      const number = element.querySelector(".number") as HTMLElement;
      number.textContent = what === "advantage" ? signed(advantage) : fixed(logProb, 2);
    }
  };
  const load = async (): Promise<void> => {
    const answer = await ask<TokensAnswer>("tokens", { ...place, from: String(tokens.length) });
    for (const token of answer.tokens) {
      const i = tokens.push(token) - 1;
      const element = el(
        "span",
        { tabindex: i === 0 ? "0" : "-1" },
        el("span", { class: "token-text" }, ...tokenText(token[0])),
        el("span", { class: "number" }),
      );
      element.dataset["at"] = String(i);
      elements.push(element);
      list.append(element);
      if (token[0].includes("\n")) list.append(el("br"));
    }
    note.textContent = answer.note ?? "";
    more.hidden = tokens.length >= answer.total;
    paint();
  };
  const placeOf = (target: EventTarget | null): number | undefined => {
    const at =
      target instanceof Element ? target.closest<HTMLElement>("[data-at]")?.dataset["at"] : undefined;
    return at === undefined ? undefined : Number(at);
  };
  list.addEventListener("pointerover", (event) => {
    const i = placeOf(event.target);
    if (i !== undefined) tell(i);
  });
  list.addEventListener("focusin", (event) => {
    const i = placeOf(event.target);
    if (i !== undefined) tell(i);
  });
  list.addEventListener("keydown", (event) => {
    const i = placeOf(event.target);
    const to = {
      ArrowLeft: -1,
      ArrowRight: 1,
      Home: Number.NEGATIVE_INFINITY,
      End: Number.POSITIVE_INFINITY,
    }[event.key];
    if (i === undefined || to === undefined) return;
    event.preventDefault();
    const next = elements[Math.min(elements.length - 1, Math.max(0, i + to))];
    elements[i]?.setAttribute("tabindex", "-1");
    next?.setAttribute("tabindex", "0");
    next?.focus();
  });
  choice.addEventListener("change", paint);
  const loadMore = (): void => {
    load().catch((error: Error) => {
      note.textContent = error.message;
    });
  };
  more.addEventListener("click", loadMore);
  loadMore();
  return el(
    "div",
    { class: "token-view" },
    el("div", { class: "bar" }, el("label", {}, "Colour and number: ", choice), key()),
    details,
    list,
    note,
    more,
  );
}

/** What the colours of log-probabilities mean. */
function key(): HTMLElement {
  const names = [...shares.map((share) => `> ${share}`), "less"];
  return el(
    "span",
    { class: "key faint" },
    "probability ",
    ...names.map((name, i) => el("span", { class: `token surprise-${i}` }, name)),
  );
}

function tokenText(text: string): readonly (string | HTMLElement)[] {
  if (text === "") return [el("span", { class: "unseen" }, "\u2026")];
  if (text.trim() !== "" && !/[\n\t]/.test(text)) return pieces(text);
  // White space alone would be an empty box.
  return [...text].flatMap((character): readonly (string | HTMLElement)[] => {
    const sign = { " ": "\u2423", "\n": "\u21b5", "\t": "\u21e5" }[character];
    return sign === undefined ? pieces(character) : [el("span", { class: "unseen" }, sign)];
  });
}

function surpriseClass(logProb: number | null): string {
  const probability = logProb === null ? 0 : Math.exp(logProb);
  const level = shares.findIndex((share) => probability > share);
  return `surprise-${level < 0 ? shares.length : level}`;
}

function advantageClass(advantage: number | null): string {
  if (advantage === null || advantage === 0) return "surprise-0";
  const size = Math.abs(advantage) > 1 ? 3 : Math.abs(advantage) > 0.3 ? 2 : 1;
  return `${advantage > 0 ? "better" : "worse"}-${size}`;
}
