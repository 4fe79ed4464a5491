// Elements. Text goes in as text nodes alone: nothing that a model, a row or a file says is ever HTML.

type Child = Node | string | undefined;
type Attributes = Readonly<Record<string, string | boolean | undefined>>;

export function el<Tag extends keyof HTMLElementTagNameMap>(
  tag: Tag,
  attributes: Attributes = {},
  ...children: readonly Child[]
): HTMLElementTagNameMap[Tag] {
  const element = document.createElement(tag);
  set(element, attributes);
  fill(element, ...children);
  return element;
}

export function svg<Tag extends keyof SVGElementTagNameMap>(
  tag: Tag,
  attributes: Attributes = {},
  ...children: readonly Child[]
): SVGElementTagNameMap[Tag] {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  set(element, attributes);
  fill(element, ...children);
  return element;
}

export function fill(element: Element, ...children: readonly Child[]): void {
  element.replaceChildren(...children.filter((child) => child !== undefined));
}

/** true: without a value; false and undefined: not there. */
export function set(element: Element, attributes: Attributes): void {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === false) element.removeAttribute(name);
    else element.setAttribute(name, value === true ? "" : value);
  }
}

/** A table with a head; `names` label its cells where it is too narrow for columns. */
export function table(
  caption: string,
  names: readonly string[],
  rows: readonly (readonly Child[])[],
): HTMLTableElement {
  return el(
    "table",
    {},
    el("caption", { class: "for-readers" }, caption),
    el("thead", {}, el("tr", {}, ...names.map((name) => el("th", { scope: "col" }, name)))),
    el("tbody", {}, ...rowsOf(names, rows)),
  );
}

export function rowsOf(
  names: readonly string[],
  rows: readonly (readonly Child[])[],
): readonly HTMLTableRowElement[] {
  return rows.map((cells) =>
    el("tr", {}, ...cells.map((cell, i) => el("td", { "data-name": names[i] ?? "" }, cell))),
  );
}
