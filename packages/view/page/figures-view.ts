// All figures of the run, section by section. Figures stay where they are when news come: only their curves change.
import type { FiguresAnswer } from "../src/api.js";
import { ask } from "./ask.js";
import { type Chart, createChart } from "./chart.js";
import { el, fill } from "./dom.js";
import type { View } from "./view.js";

export function figuresView(): View {
  const element = el("div");
  const charts = new Map<string, Chart>();
  let shownNames = "";
  let last: FiguresAnswer | undefined;
  return {
    element,
    update: async () => {
      const answer = await ask<FiguresAnswer>("figures");
      if (answer === last) return;
      last = answer;
      const { sections } = answer;
      const names = JSON.stringify(
        sections.map(({ title, figures }) => [title, figures.map((one) => one.title)]),
      );
      const chartOf = (key: string): Chart => {
        const known = charts.get(key) ?? createChart();
        charts.set(key, known);
        return known;
      };
      if (names !== shownNames) {
        shownNames = names;
        fill(
          element,
          ...(sections.length === 0 ? [el("p", { class: "faint" }, "No step has been logged yet.")] : []),
          ...sections.map(({ title, figures }) =>
            el(
              "section",
              {},
              el("h2", {}, title),
              el(
                "div",
                { class: "figures" },
                ...figures.map((one) => chartOf(`${title}/${one.title}`).element),
              ),
            ),
          ),
        );
      }
      for (const { title, figures } of sections) {
        for (const one of figures) chartOf(`${title}/${one.title}`).update(one);
      }
    },
  };
}
