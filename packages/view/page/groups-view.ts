// The groups of the run, newest first, filtered. The filter stands in the address, so that it can be kept and gone back to.
import type { GroupsAnswer } from "../src/api.js";
import { ask } from "./ask.js";
import { el, fill, rowsOf, table } from "./dom.js";
import { groupColumns, groupRow, verdictName, verdictNames } from "./group-table.js";
import { shown } from "./scale.js";
import type { Place, View } from "./view.js";

const ranges = ["step", "reward", "variance", "length"] as const;

export function groupsView({ query }: Place): View {
  const filter = Object.fromEntries(query);
  const form = filterForm(query);
  const list = table("Groups of responses", groupColumns, []);
  list.hidden = true;
  const body = list.querySelector("tbody") as HTMLElement;
  const status = el("p", { class: "faint", role: "status" }, "Looking \u2026");
  const more = el("button", { type: "button", hidden: true }, "Show more");
  const newer = el("button", { type: "button", class: "quiet", disabled: true }, "Nothing newer");
  let next: string | undefined;
  let newest: number | undefined;
  let count = 0;

  const load = async (after: string | undefined): Promise<void> => {
    const answer = await ask<GroupsAnswer>("groups", { ...filter, ...(after !== undefined && { after }) });
    if (after === undefined) {
      fill(body);
      count = 0;
      newest = answer.last;
    }
    count += answer.groups.length;
    body.append(...rowsOf(groupColumns, answer.groups.map(groupRow)));
    list.hidden = count === 0;
    next = answer.next;
    more.hidden = next === undefined;
    more.textContent = answer.groups.length === 0 ? "Look further back" : "Show more";
    status.textContent = said(answer, count);
    newer.disabled = true;
    newer.textContent = "Nothing newer";
  };
  const loadFrom = (after: string | undefined): void => {
    load(after).catch((error: Error) => {
      status.textContent = error.message;
    });
  };
  more.addEventListener("click", () => loadFrom(next));
  newer.addEventListener("click", () => loadFrom(undefined));

  return {
    element: el(
      "div",
      {},
      el("h2", {}, "Groups"),
      form,
      el("div", { class: "bar" }, status, newer),
      list,
      el("p", {}, more),
    ),
    update: async ({ newestRollouts }) => {
      if (newest === undefined) await load(undefined);
      else if (newestRollouts !== undefined && newestRollouts > newest) {
        newer.disabled = false;
        newer.textContent = `Show up to step ${shown(newestRollouts)}`;
      }
    },
  };
}

function said({ next, first, last, reached }: GroupsAnswer, count: number): string {
  if (last === undefined) return "No responses have been written yet.";
  const where = `steps ${shown(first)} to ${shown(last)}`;
  const found = count === 1 ? "1 group" : `${shown(count)} groups`;
  if (next === undefined)
    return count === 0 ? `None of ${where}.` : `${found} of ${where}, all that there are.`;
  return `${found} so far, down to step ${shown(reached)}, of ${where}.`;
}

function filterForm(query: URLSearchParams): HTMLFormElement {
  const field = (name: string, label: string): HTMLElement =>
    el("input", {
      name,
      "aria-label": label,
      value: query.get(name) ?? "",
      inputmode: "decimal",
      autocomplete: "off",
      pattern: "[0-9eE.+\\-]*",
    });
  const verdict = el(
    "select",
    { name: "verdict", id: "verdict" },
    el("option", { value: "" }, "any"),
    ...verdictNames.map((name) =>
      el("option", { value: name, selected: query.get("verdict") === name }, verdictName(name)),
    ),
  );
  const form = el(
    "form",
    { class: "filter", "aria-label": "Filter of groups" },
    ...ranges.map((name) =>
      el(
        "fieldset",
        {},
        el("legend", {}, name[0]?.toUpperCase() + name.slice(1)),
        field(`least_${name}`, `least ${name}`),
        el("span", { class: "faint", "aria-hidden": "true" }, "to"),
        field(`most_${name}`, `most ${name}`),
      ),
    ),
    el("div", { class: "field" }, el("label", { for: "verdict" }, "Some response has"), verdict),
    el("button", { type: "submit" }, "Filter"),
    el("a", { href: "#groups" }, "All"),
  );
  const go = (): void => {
    const given = [...new FormData(form)].filter((entry): entry is [string, string] => entry[1] !== "");
    location.hash = `groups?${new URLSearchParams(given)}`;
  };
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    go();
  });
  verdict.addEventListener("change", go);
  return form;
}
