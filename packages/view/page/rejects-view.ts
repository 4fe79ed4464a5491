// Which rows were left out or cut, and why.
import type { RejectsAnswer } from "../src/api.js";
import { ask } from "./ask.js";
import { el, fill, table } from "./dom.js";
import { shown } from "./scale.js";
import { modelText, pieces } from "./text.js";
import type { Place, View } from "./view.js";

const page = 50;

export function rejectsView({ query }: Place): View {
  const element = el("div");
  let last: RejectsAnswer | undefined;
  return {
    element,
    update: async () => {
      const answer = await ask<RejectsAnswer>("rejects", Object.fromEntries(query));
      if (answer === last) return;
      last = answer;
      const { reasons, rows, from, total } = answer;
      const chosen =
        reasons.find(({ file, reason }) => file === query.get("file") && reason === query.get("reason")) ??
        reasons[0];
      const link = (of: { readonly file: string; readonly reason: string }, start: number): string =>
        `#rejects?${new URLSearchParams({ file: of.file, reason: of.reason, from: String(start) })}`;
      if (chosen === undefined) {
        fill(element, el("h2", {}, "Rejected rows"), el("p", {}, "No row was left out or cut."));
        return;
      }
      const turn = (text: string, start: number, there: boolean): HTMLElement =>
        there ? el("a", { href: link(chosen, start) }, text) : el("span", { class: "faint" }, text);
      fill(
        element,
        el("h2", {}, "Rejected rows"),
        table(
          "Reasons",
          ["Reason", "File", "Rows"],
          reasons.map((one) => [
            el(
              "a",
              { href: link(one, 0), "aria-current": one === chosen ? "true" : undefined },
              ...pieces(one.reason),
            ),
            one.file,
            shown(one.count),
          ]),
        ),
        el("h3", {}, ...pieces(chosen.reason)),
        el(
          "p",
          { class: "bar" },
          el("span", {}, `${shown(from + 1)} to ${shown(from + rows.length)} of ${shown(total)}`),
          turn("Earlier", Math.max(0, from - page), from > 0),
          turn("Later", from + page, from + rows.length < total),
        ),
        table(
          "Rows",
          ["Line", "Tokens", "What to do"],
          rows.map(({ line, tokens, remedy, id }) => [
            shown(line),
            shown(tokens),
            el(
              "div",
              {},
              modelText(remedy === "" ? "\u2013" : remedy),
              el("span", { class: "faint id" }, id ?? ""),
            ),
          ]),
        ),
      );
    },
  };
}
