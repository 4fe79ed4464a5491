/**
 * Code out of an answer: fenced blocks, a fence that was cut off, or no fence at all. By default the last block that defines what is
 * asked for counts, and what it uses and other blocks define goes before it: an answer shows how its solution is used, corrects it, or
 * gives it in parts. Published harnesses choose otherwise, which changes scores, so that is an option.
 */
import { withoutThinking } from "@posttrain/data";
import { type Definitions, definitionsOf, readsInput } from "./definitions.js";
import { type Block, codeBlocks } from "./fences.js";
import { withFragments, withNeeded } from "./parts.js";
import { isPython, keepReachable, longestPython, pythonRuns } from "./python-source.js";

export interface ExtractOptions {
  readonly language?: string;
  /** Of the blocks that define what is asked for, if any do, this one alone; `all` joins every block of the language. */
  readonly choose?: "first" | "last" | "longest" | "all";
  /** The function or class that is asked for. */
  readonly entryPoint?: string;
  /** Without one: tests, which name what they ask for. */
  readonly tests?: string;
  /** A whole program is asked for, which reads its standard input. */
  readonly readsInput?: boolean;
}

export interface Extracted {
  readonly code: string;
  readonly kind: "fenced" | "incomplete_fenced" | "heuristic" | "empty";
}

const empty: Extracted = { code: "", kind: "empty" };

export function extractCode(answer: string, options: ExtractOptions = {}): Extracted {
  const seen = withoutThinking(answer) ?? "";
  const { language } = options;
  const { fenced, indented } = codeBlocks(seen);
  const blocks = fenced.filter(({ code }) => code.trim() !== "");
  const chosen = chooseCode(blocks, options);
  if (chosen !== undefined)
    return { code: chosen.code, kind: chosen.closed ? "fenced" : "incomplete_fenced" };
  if (blocks.some(({ closed }) => closed)) return empty; // All in other languages.
  const code =
    language === undefined || language === "python"
      ? barePython(seen, indented, options)
      : heuristicCode(seen, language);
  return code.trim() === "" ? empty : { code, kind: "heuristic" };
}

/** Python without a fence: a program as it is, else what of the prose is one. */
function barePython(text: string, indented: readonly Block[], options: ExtractOptions): string {
  if (isProgram(text)) return text.trim();
  const runs = pythonRuns(text).map(({ code }): Block => ({ language: "", tag: "", code, closed: true }));
  for (const blocks of [runs, indented])
    if (isAsked(options).some((asked) => blocks.some(asked))) return chooseCode(blocks, options)!.code;
  return longestPython(text) || (chooseCode(indented, options)?.code ?? "");
}

/** It begins as programs do and no prose comes after; where it does not parse, that is the program's own fault. */
function isProgram(text: string): boolean {
  if (
    !/^\s*(?:#|import\s|from\s+\S+\s+import|def\s|class\s|@|[A-Za-z_][\w.]*(?:\s*,\s*[A-Za-z_]\w*)*\s*=|print\s*\(|for\s.+:|while\s.+:|if\s.+:|""")/.test(
      text,
    )
  )
    return false;
  return isPython(text) || !/^(?!(?:None|True|False)\b)[A-Z][\w'’]*,?(?: [\w'’`"(),:-]+){2}/m.test(text);
}

type Test = (block: Block) => boolean;

/** Which blocks are what is asked for, the surest sign first. */
function isAsked({
  language = "python",
  entryPoint,
  tests,
  readsInput: program,
}: ExtractOptions): readonly Test[] {
  if (program) return [({ code }) => readsInput(code)];
  const names = new Set(entryPoint === undefined ? tests?.match(/[A-Za-z_$][\w$]*/g) : [entryPoint]);
  if (names.size === 0) return [];
  const known = new Map<Block, Definitions>();
  const has =
    (kind: keyof Definitions): Test =>
    (block) => {
      const found = known.get(block) ?? definitionsOf(block.code, language);
      known.set(block, found);
      return [...found[kind]].some((name) => names.has(name));
    };
  return [has("functions"), has("values")];
}

/** Languages whose programs are programs of the other too. */
const relatives: Readonly<Record<string, string>> = { typescript: "javascript", cpp: "c" };

/** The block that counts, with its parts. Undefined where none is of the language. */
function chooseCode(all: readonly Block[], options: ExtractOptions): Block | undefined {
  const { language, choose } = options;
  // Tagged so; else saying nothing; else saying something unknown.
  const kinds: readonly Test[] =
    language === undefined
      ? [() => true]
      : [
          (block) => block.language === language,
          (block) => block.language === relatives[language],
          ({ tag }) => tag === "",
          (block) => block.language === "" && block.tag !== "",
        ];
  const groups = kinds.map((kind) => {
    const own = all.filter(kind);
    return choose === undefined && (language ?? "python") === "python" ? withFragments(own) : own;
  });
  const asked = [...isAsked(options), () => true];
  // What a fence closes goes before what is cut off.
  for (const test of asked) {
    for (const closed of [true, false]) {
      for (const group of groups) {
        const whole = group.filter((block) => block.closed === closed);
        const candidates = whole.filter(test);
        if (candidates.length === 0) continue;
        if (choose === "all") return { ...whole[0]!, code: whole.map(({ code }) => code).join("\n\n") };
        if (choose !== undefined) return chooseBlock(candidates, choose);
        return withNeeded(candidates.at(-1)!, groups.flat(), options);
      }
    }
  }
  return undefined;
}

function chooseBlock(blocks: readonly Block[], choose: "first" | "last" | "longest"): Block {
  if (choose === "first") return blocks[0]!;
  if (choose === "last") return blocks.at(-1)!;
  return blocks.reduce((best, block) => (block.code.length > best.code.length ? block : best));
}

/** EvalPlus's sanitizer: the longest Python in the answer, of that the imports and what the entry point reaches. */
export function sanitizePython(answer: string, entryPoint?: string): string {
  return keepReachable(longestPython(answer), entryPoint);
}

function heuristicCode(answer: string, language: string): string {
  if (language === "sql")
    return /^[ \t]*(?:select|with\s[^\n]+\sas)\b[^;]*;?/im.exec(answer)?.[0].trim() ?? "";
  return answer.trim();
}
