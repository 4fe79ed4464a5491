/**
 * The code blocks of an answer by CommonMark's rules, as @lezer/markdown reads them: lists and quotes around a fence, longer fences
 * around shorter ones, fences of tildes, a fence that nothing closes. Beyond them, as models write: a fence that opens after prose in
 * the same line, whole answers that are indented, and Python whose long string holds a fence.
 */
import { parser } from "@lezer/markdown";
import { endsInLongString } from "./python-source.js";

export interface Block {
  /** The tag in our own names, or "" for none and those unknown. */
  readonly language: string;
  readonly tag: string;
  readonly code: string;
  /** A fence that nothing closes: the answer was cut off, or ended there. */
  readonly closed: boolean;
}

/** Tags as models write them, by language; compared without case. */
const languageTags: Readonly<Record<string, readonly string[]>> = {
  python: ["python", "py", "ipython", "pypy", "sage"],
  javascript: ["javascript", "js", "node", "nodejs", "mjs", "cjs", "jsx", "ecmascript"],
  typescript: ["typescript", "ts", "tsx", "mts", "cts"],
  cpp: ["cpp", "c++", "cc", "cxx", "hpp"],
  c: ["c"],
  java: ["java"],
  go: ["go", "golang"],
  rust: ["rust", "rs"],
  bash: ["bash", "sh", "shell", "zsh"],
  sql: ["sql", "sqlite", "sqlite3"],
  csharp: ["csharp", "c#", "cs"],
  d: ["d"],
  html: ["html"],
  julia: ["julia", "jl"],
  kotlin: ["kotlin", "kt"],
  lua: ["lua"],
  markdown: ["markdown", "md"],
  perl: ["perl"],
  php: ["php"],
  r: ["r"],
  racket: ["racket"],
  ruby: ["ruby", "rb"],
  scala: ["scala"],
  swift: ["swift"],
  verilog: ["verilog"],
};

const languageOfTag = new Map(
  Object.entries(languageTags).flatMap(([language, tags]) => tags.map((tag) => [tag, language])),
);

/** The word that names the language in what follows a fence: python title="x", {.python}, Python3.11, rust,ignore, lang-js. */
function languageOf(info: string): string {
  const attributes = /^\{(.*)\}?$/.exec(info.trim())?.[1];
  const words = (attributes ?? info)
    .trim()
    .toLowerCase()
    .split(/[\s,:;{}=]+/);
  const known = (attributes === undefined ? words.slice(0, 1) : words).map((word) => {
    const name = word.replace(/^\.|^lang(?:uage)?-/, "");
    return languageOfTag.get(name) ?? languageOfTag.get(name.replace(/[-\d.]+$/, ""));
  });
  return known.find((language) => language !== undefined) ?? "";
}

// Text in angle brackets is a tag of ours more often than HTML, in which nothing would be a fence. What is inside a line is not asked.
const blocksOnly = parser.configure({
  remove: [
    "HTMLBlock",
    "Escape",
    "Entity",
    "InlineCode",
    "HTMLTag",
    "Emphasis",
    "HardBreak",
    "Link",
    "Image",
    "LinkEnd",
  ],
});

type Tree = ReturnType<typeof blocksOnly.parse>;
type Node = Tree["topNode"];

export interface Blocks {
  readonly fenced: readonly Block[];
  /** Blocks that indentation makes, where there is no fence. */
  readonly indented: readonly Block[];
}

export function codeBlocks(answer: string): Blocks {
  const text = answer.replace(/\r\n?/g, "\n");
  const { tree, structure } = read(text);
  const fenced: Block[] = [];
  const indented: Block[] = [];
  for (const node of codeNodes(tree)) {
    if (node.name === "CodeBlock") {
      indented.push({ language: "", tag: "", code: piecesOf(node, text), closed: true });
      continue;
    }
    const block = blockOf(node, text, structure);
    if (block.language === "markdown") fenced.push(...codeBlocks(block.code).fenced);
    else fenced.push(block);
  }
  if (fenced.length > 0) return { fenced, indented: [] };
  // All of it indented by four or more, which makes no fences.
  const margin = /^([ \t]{4,})(?:`{3,}|~{3,})/m.exec(text)?.[1];
  if (margin === undefined) return { fenced, indented };
  return codeBlocks(text.replace(new RegExp(`^[ \\t]{1,${margin.length}}`, "gm"), ""));
}

/** A text that is read again and again, fence by fence, is no answer. */
const readAtMost = 500_000;

/**
 * The tree, and the text that it is of: of the same length, with what is not CommonMark but meant put in its words. A fence after
 * prose gets a line of its own, one inside a long string of Python is taken away.
 */
function read(text: string): { readonly tree: Tree; readonly structure: string } {
  // Hundreds of quotes in quotes hold no program, and would take seconds.
  let structure = text.replace(/^(?:[ \t]*>){17,}/gm, (marks) => `>${" ".repeat(marks.length - 1)}`);
  for (let budget = readAtMost; ; budget -= structure.length) {
    const tree = blocksOnly.parse(structure);
    const meant = budget > 0 ? asMeant(tree, text, structure) : undefined;
    if (meant === undefined) return { tree, structure };
    structure = meant;
  }
}

/** The text with the first such place changed; undefined where there is none. */
function asMeant(tree: Tree, text: string, structure: string): string | undefined {
  const replaced = (at: number, by: string): string =>
    structure.slice(0, at) + by + structure.slice(at + by.length);
  let result: string | undefined;
  tree.iterate({
    enter: ({ name, node }) => {
      if (result !== undefined) return false;
      if (name === "Paragraph") {
        const found = /^((?:(?!```).)*\S)[ \t]*```+[ \t]*[\w+#.-]*[ \t]*$/m.exec(
          structure.slice(node.from, node.to),
        );
        const at = found ? node.from + found.index + found[1]!.length : -1;
        // Of "is:```python" the colon gives its place to the new line.
        if (found) result = replaced(/\s/.test(structure[at]!) ? at : at - 1, "\n");
      }
      if (name === "FencedCode") {
        const [, closing] = node.getChildren("CodeMark");
        const { language, tag, code } = blockOf(node, text, structure);
        const isPython = language === "python" || tag === "";
        if (closing && isPython && closesLater(code, text.slice(closing.to)))
          result = replaced(closing.from, "x".repeat(closing.to - closing.from));
        return false;
      }
      return undefined;
    },
  });
  return result;
}

/** The fence stands in a long string, which goes on to its end, before another fence. */
function closesLater(code: string, rest: string): boolean {
  const quote = endsInLongString(code);
  const end = quote === undefined ? -1 : rest.indexOf(quote);
  return end >= 0 && /^[ \t]*(?:`{3,}|~{3,})[ \t]*$/m.test(rest.slice(end));
}

function codeNodes(tree: Tree): Node[] {
  const found: Node[] = [];
  tree.iterate({
    enter: ({ name, node }) => {
      if (name === "FencedCode" || name === "CodeBlock") found.push(node);
    },
  });
  return found;
}

function piecesOf(node: Node, text: string): string {
  return node
    .getChildren("CodeText")
    .map(({ from, to }) => text.slice(from, to))
    .join("");
}

function blockOf(node: Node, text: string, structure: string): Block {
  const [opening, closing] = node.getChildren("CodeMark");
  const info = node.getChild("CodeInfo");
  const tag = info ? text.slice(info.from, info.to) : "";
  const [first] = node.getChildren("CodeText");
  const column = (at: number): number => at - (structure.lastIndexOf("\n", at - 1) + 1);
  // Code is indented as its fence is, beyond the list or quote around both.
  const margin = first ? Math.min(3, column(opening!.from) - column(first.from)) : 0;
  const code = piecesOf(node, text);
  return tagInside({
    language: languageOf(tag),
    tag,
    code: margin > 0 ? code.replace(new RegExp(`^ {1,${margin}}`, "gm"), "") : code,
    closed: closing !== undefined,
  });
}

/** Some models write the tag on the first line inside the fence. */
function tagInside(block: Block): Block {
  const [first = "", ...rest] = block.code.split("\n");
  const language = block.tag === "" ? languageOfTag.get(first.trim().toLowerCase()) : undefined;
  // A letter alone is a variable.
  if (language === undefined || first.trim().length < 2) return block;
  return { ...block, language, tag: first.trim(), code: rest.join("\n") };
}
