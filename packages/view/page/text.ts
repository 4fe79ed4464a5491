// Text of models in elements.
import { el } from "./dom.js";
import { visibleParts } from "./unseen.js";

/** Keeps lines; a text without any says so. */
export function modelText(text: string, attributes: Readonly<Record<string, string>> = {}): HTMLElement {
  return el(
    "div",
    { class: "text", dir: "auto", ...attributes },
    ...(text === "" ? [el("span", { class: "faint" }, "(nothing)")] : pieces(text)),
  );
}

export function pieces(text: string): readonly (string | HTMLElement)[] {
  return visibleParts(text).map((part) =>
    part.spelled ? el("span", { class: "unseen" }, part.text) : part.text,
  );
}

/** A prompt's end in little room: what a template puts around turns steps back. */
export function excerptPieces(excerpt: string): readonly (string | HTMLElement)[] {
  const text = excerpt.trim();
  if (text === "") return ["(an empty prompt)"];
  return text
    .split(/(<\|\w+\|>(?:(?:user|assistant|system)\b)?)/)
    .flatMap((part, i) => (i % 2 === 1 ? [el("span", { class: "faint" }, part)] : pieces(part)));
}
