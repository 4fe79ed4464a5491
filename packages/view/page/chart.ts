// A figure: curves over steps in SVG, values under the pointer or by arrow keys in its legend, and a table of all of them.
import type { Figure, FigureSeries } from "../src/api.js";
import { el, fill, rowsOf, set, svg, table } from "./dom.js";
import { type Axis, axisOf, shown, stepAxis } from "./scale.js";

export interface Chart {
  readonly element: HTMLElement;
  update(figure: Figure): void;
}

const height = 190;
const margin = { top: 8, right: 10, bottom: 24, left: 60 };
const dotsUpTo = 40;

export function createChart(): Chart {
  const title = el("h3");
  const unit = el("span", { class: "faint" });
  const at = el("span", { class: "at faint" });
  const legend = el("ul", { class: "legend" });
  const drawing = svg("svg", { class: "chart", height: String(height), tabindex: "0", role: "slider" });
  const note = el("p", { class: "note faint" });
  const rows = el("div", { class: "scroll", tabindex: "0" });
  const details = el("details", {}, el("summary", {}, "Table"), rows);
  const element = el(
    "figure",
    {},
    el("figcaption", {}, el("div", {}, title, unit), at),
    drawing,
    legend,
    note,
    details,
  );
  let figure: Figure | undefined;
  let steps: readonly number[] = [];
  let values: readonly ReadonlyMap<number, number>[] = [];
  /** The step that is looked at; undefined: the newest. */
  let cursor: number | undefined;
  let width = 0;
  let marks: SVGGElement | undefined;
  let places: Places | undefined;

  const mark = (): void => {
    if (figure === undefined) return;
    const step = cursor ?? steps.at(-1);
    at.textContent = step === undefined ? "" : `step ${shown(step)}`;
    const now = figure.series.map((_, i) => valueAt(values[i], steps, step));
    fill(
      legend,
      ...figure.series.map(({ label }, i) =>
        el(
          "li",
          {},
          svg(
            "svg",
            { class: "swatch", width: "22", height: "10", "aria-hidden": "true" },
            svg("line", { class: `line s${i}`, x1: "1", x2: "21", y1: "5", y2: "5" }),
          ),
          el("span", {}, label),
          el("span", { class: "value" }, shown(now[i])),
        ),
      ),
    );
    const spoken = figure.series.map(({ label }, i) => `${label} ${shown(now[i])}`).join(", ");
    set(drawing, {
      "aria-valuenow": String(step ?? 0),
      "aria-valuetext": step === undefined ? "no steps yet" : `step ${step}: ${spoken}`,
    });
    if (marks === undefined || places === undefined) return;
    const shownAt = cursor;
    if (shownAt === undefined) {
      fill(marks);
      return;
    }
    const { x, y } = places;
    fill(
      marks,
      svg("line", {
        class: "cursor",
        x1: x(shownAt),
        x2: x(shownAt),
        y1: String(margin.top),
        y2: String(height - margin.bottom),
      }),
      ...now.flatMap((value, i) =>
        value === undefined
          ? []
          : [svg("circle", { class: `dot s${i}`, cx: x(shownAt), cy: y(value), r: "4" })],
      ),
    );
  };

  const draw = (): void => {
    if (figure === undefined || width === 0) return;
    places = placesOf(figure.series, steps, width);
    marks = svg("g");
    set(drawing, {
      width: String(width),
      viewBox: `0 0 ${width} ${height}`,
      "aria-label": `${figure.title}${figure.unit === "" ? "" : `, ${figure.unit}`}, over steps`,
      "aria-valuemin": String(steps[0] ?? 0),
      "aria-valuemax": String(steps.at(-1) ?? 0),
    });
    fill(
      drawing,
      ...axes(places, width),
      ...figure.series.flatMap((own, i) => curve(own, i, places as Places)),
      marks,
    );
  };

  const tell = (): void => {
    if (!details.open || figure === undefined) return;
    const names = ["Step", ...figure.series.map(({ label }) => label)];
    const together = figure.series.find((own) => own.together !== undefined);
    const cells = steps.map((step) => [
      shown(step),
      ...(figure as Figure).series.map((_, i) => shown(values[i]?.get(step))),
    ]);
    const caption = `${figure.title}${together === undefined ? "" : ", means over the steps up to each"}`;
    const existing = rows.querySelector("tbody");
    if (existing === null) fill(rows, table(caption, names, cells));
    else fill(existing, ...rowsOf(names, cells));
    set(rows, { "aria-label": caption, role: "region" });
  };

  const look = (step: number | undefined): void => {
    cursor = step;
    mark();
  };
  drawing.addEventListener("pointermove", (event) => {
    if (places === undefined || steps.length === 0) return;
    look(nearest(steps, places.stepAt(event.offsetX)));
  });
  drawing.addEventListener("pointerleave", () => look(undefined));
  drawing.addEventListener("blur", () => look(undefined));
  drawing.addEventListener("keydown", (event) => {
    const index = cursor === undefined ? steps.length - 1 : steps.indexOf(cursor);
    const far = Math.max(1, Math.round(steps.length / 10));
    const to = {
      ArrowLeft: cursor === undefined ? index : index - 1,
      ArrowRight: index + 1,
      PageUp: index + far,
      PageDown: index - far,
      Home: 0,
      End: steps.length - 1,
    }[event.key];
    if (event.key === "Escape") look(undefined);
    if (to === undefined) return;
    event.preventDefault();
    look(steps[Math.min(steps.length - 1, Math.max(0, to))]);
  });
  details.addEventListener("toggle", tell);
  new ResizeObserver(([entry]) => {
    const now = Math.floor(entry?.contentRect.width ?? 0);
    if (now === width) return;
    width = now;
    draw();
    mark();
  }).observe(element);

  return {
    element,
    update: (next) => {
      if (next === figure) return;
      figure = next;
      title.textContent = next.title;
      unit.textContent = next.unit;
      note.textContent = next.note ?? "";
      steps = [...new Set(next.series.flatMap((own) => own.steps))].sort((a, b) => a - b);
      values = next.series.map((own) => new Map(own.steps.map((step, i) => [step, own.values[i] as number])));
      if (cursor !== undefined && !steps.includes(cursor)) cursor = undefined;
      draw();
      mark();
      tell();
    },
  };
}

interface Places {
  readonly steps: Axis;
  readonly values: Axis;
  /** As an attribute of SVG has them. */
  readonly x: (step: number) => string;
  readonly y: (value: number) => string;
  readonly stepAt: (x: number) => number;
}

function placesOf(series: readonly FigureSeries[], steps: readonly number[], width: number): Places {
  let least = Number.POSITIVE_INFINITY;
  let most = Number.NEGATIVE_INFINITY;
  for (const { values, together } of series) {
    for (const value of together?.least ?? values) least = Math.min(least, value);
    for (const value of together?.most ?? values) most = Math.max(most, value);
  }
  const vertical = axisOf(least, most, 4);
  const horizontal = stepAxis(steps[0] ?? 0, steps.at(-1) ?? 1, Math.floor(width / 75));
  const inner = { width: width - margin.left - margin.right, height: height - margin.top - margin.bottom };
  const across = horizontal.most - horizontal.least;
  const up = vertical.most - vertical.least;
  return {
    steps: horizontal,
    values: vertical,
    x: (step) => (margin.left + (inner.width * (step - horizontal.least)) / across).toFixed(1),
    y: (value) => (margin.top + inner.height * (1 - (value - vertical.least) / up)).toFixed(1),
    stepAt: (x) => horizontal.least + (across * (x - margin.left)) / inner.width,
  };
}

function axes({ steps, values, x, y }: Places, width: number): readonly SVGElement[] {
  const right = String(width - margin.right);
  return [
    ...values.ticks.flatMap((tick, i) => [
      svg("line", { class: "grid", x1: String(margin.left), x2: right, y1: y(tick), y2: y(tick) }),
      svg(
        "text",
        { class: "tick", x: String(margin.left - 8), y: y(tick), dy: "0.32em", "text-anchor": "end" },
        values.labels[i],
      ),
    ]),
    ...steps.ticks.map((tick, i) => {
      const at = Number(x(tick));
      const anchor = at > width - 30 ? "end" : "middle";
      return svg(
        "text",
        { class: "tick", x: String(at), y: String(height - 6), "text-anchor": anchor },
        steps.labels[i],
      );
    }),
    svg("line", {
      class: "axis",
      x1: String(margin.left),
      x2: right,
      y1: String(height - margin.bottom),
      y2: String(height - margin.bottom),
    }),
  ];
}

function curve(
  { steps, values, together, heldOut }: FigureSeries,
  i: number,
  { x, y }: Places,
): readonly SVGElement[] {
  const line = steps.map((step, at) => `${x(step)},${y(values[at] as number)}`).join(" ");
  const band =
    together === undefined
      ? []
      : [
          svg("polygon", {
            class: `band s${i}`,
            points: [
              ...steps.map((step, at) => `${x(step)},${y(together.most[at] as number)}`),
              ...steps.map((step, at) => `${x(step)},${y(together.least[at] as number)}`).reverse(),
            ].join(" "),
          }),
        ];
  const dots =
    heldOut || steps.length <= dotsUpTo
      ? steps.map((step, at) =>
          svg("circle", {
            class: `dot s${i}`,
            cx: x(step),
            cy: y(values[at] as number),
            r: heldOut ? "3" : "2",
          }),
        )
      : [];
  return [...band, svg("polyline", { class: `line s${i}`, points: line }), ...dots];
}

/** At a step, or the nearest one before it: an evaluation stands until the next. */
function valueAt(
  values: ReadonlyMap<number, number> | undefined,
  steps: readonly number[],
  step: number | undefined,
): number | undefined {
  if (values === undefined || step === undefined) return undefined;
  for (let i = steps.indexOf(step); i >= 0; i--) {
    const value = values.get(steps[i] as number);
    if (value !== undefined) return value;
  }
  return undefined;
}

function nearest(steps: readonly number[], wanted: number): number | undefined {
  let best = steps[0];
  for (const step of steps) {
    if (best === undefined || Math.abs(step - wanted) < Math.abs(best - wanted)) best = step;
  }
  return best;
}
