// Groups of responses as a table.
import type { GroupSummary } from "../src/api.js";
import { el } from "./dom.js";
import { shown } from "./scale.js";
import { excerptPieces } from "./text.js";
import { linkTo } from "./view.js";

export const groupColumns = ["Step", "Prompt", "Verdicts", "Reward", "Variance", "Length"];

export function groupRow(group: GroupSummary): readonly Node[] {
  const link = el(
    "a",
    { href: linkTo("group", group.step, group.prompt), class: "excerpt" },
    ...excerptPieces(group.excerpt),
  );
  return [
    text(shown(group.step)),
    link,
    verdictCounts(group),
    text(shown(group.reward)),
    text(shown(group.variance)),
    text(shown(group.length)),
  ];
}

export function verdictCounts({ verdicts }: Pick<GroupSummary, "verdicts">): HTMLElement {
  const counts = Object.entries(verdicts).sort(([a], [b]) => order(a) - order(b));
  return el(
    "span",
    { class: "verdicts" },
    ...counts.map(([name, count]) =>
      el("span", { class: `verdict ${name}` }, `${count} ${verdictName(name)}`),
    ),
  );
}

export const verdictNames = [
  "pass",
  "fail",
  "timeout",
  "crash",
  "unparseable",
  "infrastructure-error",
  "none",
];

export function verdictName(name: string): string {
  return { "infrastructure-error": "not graded", none: "no verdict" }[name] ?? name;
}

const order = (name: string): number => verdictNames.indexOf(name);
const text = (value: string): Text => document.createTextNode(value);
