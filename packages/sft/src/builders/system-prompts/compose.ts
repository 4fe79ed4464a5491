// A system prompt of parts, in one of several layouts.
import type { Draws } from "../draws.js";
import { identity, type Part, rules, type Spoken, setting, traits } from "./parts.js";

export interface Composed {
  readonly text: string;
  /** How many of its parts can be checked, and were. */
  readonly checked: number;
}

/** `spoken`: the conversation that it has to suit; without one it has no rules, which might change how an answer is graded. */
export function compose(draw: Draws, spoken: Spoken | undefined): Composed {
  const suits = ({ holds }: Part): boolean => holds === undefined || (spoken !== undefined && holds(spoken));
  let who = identity(draw);
  while (!suits(who)) who = identity(draw);
  const chosen = [
    ...(draw.chance(0.4) ? [setting(draw)] : []),
    ...some(draw, traits.filter(suits), draw.int(0, 3)),
    ...(spoken === undefined ? [] : some(draw, rules(draw).filter(suits), draw.int(0, 4))),
  ];
  const parts = chosen.map(({ text }) => text);
  return {
    text: draw.pick(layouts)(who.text, parts),
    checked: [who, ...chosen].filter(({ holds }) => holds !== undefined).length,
  };
}

const some = (draw: Draws, parts: readonly Part[], count: number): readonly Part[] =>
  draw.some(parts, Math.min(count, parts.length));

const layouts: readonly ((who: string, parts: readonly string[]) => string)[] = [
  (who, parts) => [who, ...parts].join(" "),
  (who, parts) => [who, ...parts].join("\n"),
  (who, parts) =>
    parts.length < 2
      ? [who, ...parts].join(" ")
      : [`${who}\n`, ...parts.map((part) => `- ${part}`)].join("\n"),
  (who, parts) =>
    parts.length < 2
      ? [who, ...parts].join(" ")
      : [who, "", "Rules:", ...parts.map((part, i) => `${i + 1}. ${part}`)].join("\n"),
  (who, parts) =>
    parts.length === 0 ? who : [`# Role\n${who}`, `# Guidelines\n${parts.join("\n")}`].join("\n\n"),
];
