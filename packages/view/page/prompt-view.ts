// One prompt across steps: how its rewards, its variance and the length of its responses have moved.
import type { Figure, GroupSummary, GroupsAnswer } from "../src/api.js";
import { ask } from "./ask.js";
import { createChart } from "./chart.js";
import { el, fill, rowsOf, table } from "./dom.js";
import { groupColumns, groupRow } from "./group-table.js";
import { shown } from "./scale.js";
import { excerptPieces } from "./text.js";
import type { Place, View } from "./view.js";

export function promptView({ parts: [prompt = ""] }: Place): View {
  const title = el("h2", {}, "A prompt across steps");
  const excerpt = el("p", { class: "text prompt" });
  const status = el("p", { class: "faint", role: "status" }, "Looking \u2026");
  const charts = [createChart(), createChart()] as const;
  const list = table("Groups of this prompt", groupColumns, []);
  const body = list.querySelector("tbody") as HTMLElement;
  const groups = new Map<number, GroupSummary>();
  let newest: number | undefined;

  const show = (): void => {
    const found = [...groups.values()].sort((a, b) => a.step - b.step);
    const [any] = found;
    if (any === undefined) return;
    title.textContent = `Prompt of line ${shown(any.line)} across steps`;
    fill(excerpt, ...excerptPieces(any.excerpt));
    charts[0].update(
      figure("Reward", "", found, [
        ["reward", "mean of its responses"],
        ["variance", "variance"],
      ]),
    );
    charts[1].update(figure("Length of responses", "tokens", found, [["length", "mean"]]));
    fill(body, ...rowsOf(groupColumns, found.map(groupRow)));
  };
  /** Goes back as far as step `least`. */
  const look = async (least: number): Promise<void> => {
    let after: string | undefined;
    do {
      const answer: GroupsAnswer = await ask("groups", {
        prompt,
        least_step: String(least),
        ...(after !== undefined && { after }),
      });
      if (after === undefined) newest = answer.last;
      for (const group of answer.groups) groups.set(group.step, group);
      show();
      after = answer.next;
      status.textContent =
        after === undefined
          ? `Sampled at ${shown(groups.size)} ${groups.size === 1 ? "step" : "steps"}.`
          : `Looking, down to step ${shown(answer.reached)} \u2026`;
    } while (after !== undefined && element.isConnected);
  };
  const element = el(
    "div",
    {},
    el("p", { class: "crumbs" }, el("a", { href: "#groups" }, "Groups")),
    title,
    excerpt,
    status,
    el("div", { class: "figures" }, ...charts.map((chart) => chart.element)),
    list,
  );
  return {
    element,
    update: async ({ newestRollouts }) => {
      if (newest === undefined) await look(0);
      else if (newestRollouts !== undefined && newestRollouts > newest) await look(newest + 1);
    },
  };
}

function figure(
  title: string,
  unit: string,
  groups: readonly GroupSummary[],
  of: readonly (readonly [name: "reward" | "variance" | "length", label: string])[],
): Figure {
  return {
    ...{ title, unit, note: undefined },
    series: of.map(([name, label]) => {
      const known = groups.flatMap((group) => {
        const value = group[name];
        return value === null ? [] : [{ step: group.step, value }];
      });
      return {
        ...{ name, label, heldOut: false },
        steps: known.map(({ step }) => step),
        values: known.map(({ value }) => value),
      };
    }),
  };
}
