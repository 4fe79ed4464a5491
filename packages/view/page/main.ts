// The page: its head, which view stands below it, and looking for news every two seconds while somebody can see it.
import type { RunAnswer } from "../src/api.js";
import { ask, Refused } from "./ask.js";
import { detailsView } from "./details-view.js";
import { el, fill } from "./dom.js";
import { figuresView } from "./figures-view.js";
import { groupView } from "./group-view.js";
import { groupsView } from "./groups-view.js";
import { promptView } from "./prompt-view.js";
import { rejectsView } from "./rejects-view.js";
import { shown } from "./scale.js";
import { type Place, placeOf, type View } from "./view.js";

const views: Readonly<Record<string, (place: Place) => View>> = {
  figures: figuresView,
  groups: groupsView,
  group: groupView,
  prompt: promptView,
  rejects: rejectsView,
  run: detailsView,
};
const newsEvery = 2000;

const byId = (id: string): HTMLElement => document.getElementById(id) as HTMLElement;
const main = byId("main");
const problem = byId("problem");

let view: View | undefined;
let shownNav = "";

function showHead(run: RunAnswer): void {
  const name = run.dir.split("/").filter(Boolean).slice(-2).join("/");
  document.title = `${name} - posttrain`;
  byId("head").classList.remove("waiting");
  byId("name").textContent = name;
  byId("name").title = run.dir;
  byId("stage").textContent = run.stage;
  const of = run.totalSteps === undefined ? "" : ` of ${shown(run.totalSteps)}`;
  byId("step").textContent = `step ${shown(run.step)}${of}`;
  const progress = byId("progress") as HTMLProgressElement;
  progress.max = run.totalSteps ?? 1;
  progress.value = run.totalSteps === undefined ? 0 : Math.min(run.step, run.totalSteps);
  const done = run.totalSteps !== undefined && run.step >= run.totalSteps;
  const facts = [
    run.tokens === undefined ? undefined : `${shown(run.tokens)} tokens`,
    run.elapsed === undefined ? undefined : `${run.elapsed} so far`,
    done || run.remaining === undefined ? undefined : `${run.remaining} left`,
    run.written === undefined
      ? "nothing written yet"
      : `last line ${new Date(run.written).toLocaleTimeString()}`,
  ];
  byId("facts").textContent = facts.filter((fact) => fact !== undefined).join(", ");
  fill(byId("notes"), ...run.notes.map((note) => el("p", { class: "flag" }, note)));
}

function showNav({ newestRollouts, rejected }: RunAnswer): void {
  const { name } = placeOf(location.hash);
  const current = { group: "groups", prompt: "groups" }[name] ?? name;
  const links = [
    ["figures", "Figures"],
    ...(newestRollouts === undefined ? [] : [["groups", "Groups"]]),
    ["rejects", `Rejected rows${rejected > 0 ? ` (${shown(rejected)})` : ""}`],
    ["run", "Run"],
  ] as const;
  const now = JSON.stringify([current, links]);
  if (now === shownNav) return;
  shownNav = now;
  fill(
    byId("nav"),
    ...links.map(([to, text]) =>
      el("a", { href: `#${to}`, "aria-current": to === current ? "page" : undefined }, text),
    ),
  );
}

function say(text: string): void {
  if (problem.textContent !== text) problem.textContent = text;
  problem.hidden = text === "";
}

async function update(): Promise<void> {
  const own = view;
  try {
    const run = await ask<RunAnswer>("run");
    showHead(run);
    showNav(run);
    await own?.update(run);
    if (own === view) say("");
  } catch (error) {
    if (own !== view) return;
    if (error instanceof Refused) say(error.message);
    else if (error instanceof TypeError && error.message.includes("fetch")) {
      say("Nobody answers: posttrain view has ended. Start it again to see more.");
    } else {
      reportError(error);
      say(`A bug of this page: ${String(error)}`);
    }
  }
}

function go(): void {
  const place = placeOf(location.hash);
  const open = Object.hasOwn(views, place.name) ? views[place.name] : undefined;
  view = (open ?? figuresView)(place);
  fill(main, view.element);
  if (main.textContent === "") fill(view.element, el("p", { class: "faint" }, "Reading \u2026"));
  window.scrollTo(0, 0);
  void update();
}

/** One question at a time; none while nobody looks. */
async function follow(): Promise<never> {
  for (;;) {
    await new Promise((resolve) => setTimeout(resolve, newsEvery));
    if (!document.hidden) await update();
  }
}

window.addEventListener("hashchange", go);
go();
void follow();
