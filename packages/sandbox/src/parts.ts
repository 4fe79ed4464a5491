/** A solution in several blocks: a function that prose cuts in two, a helper here and its use there. */
import { definitionsOf } from "./definitions.js";
import type { Block } from "./fences.js";
import { freeNames, isPython, type TopLevel, topLevelStatements } from "./python-source.js";

/** Python: a block that begins indented goes on with the one before it, unless it only quotes it or what is before has ended. */
export function withFragments(blocks: readonly Block[]): readonly Block[] {
  const joined: Block[] = [];
  for (const block of blocks) {
    const before = joined.at(-1);
    if (before !== undefined && goesOn(before.code, block.code))
      joined[joined.length - 1] = { ...block, code: `${before.code}\n${block.code}` };
    else joined.push(block);
  }
  return joined;
}

function goesOn(before: string, code: string): boolean {
  const lines = code.split("\n").filter((line) => line.trim() !== "");
  if (!lines.every((line) => /^[ \t]/.test(line)) || lines.length === 0) return false;
  const quoted = new Set(before.split("\n").map((line) => line.trim()));
  if (lines.every((line) => quoted.has(line.trim()))) return false;
  const last = before.trimEnd().split("\n").at(-1)!;
  const isMethod = /^[ \t]+(?:async[ \t]+)?(?:def|@)/.test(lines[0]!);
  if (!/^[ \t]/.test(last) && !/:\s*$/.test(last)) return false;
  if (/^[ \t]+(?:return|raise)\b/.test(last) && !isMethod) return false;
  return isPython(`${before}\n${code}`);
}

/** Characters of all blocks together; more than any solution has. */
const readAtMost = 100_000;

/** A block after what it uses and other blocks define. */
export function withNeeded(
  block: Block,
  all: readonly Block[],
  {
    language = "python",
    entryPoint,
    tests = "",
  }: { readonly language?: string; readonly entryPoint?: string; readonly tests?: string },
): Block {
  const others = all.filter((other) => other !== block);
  if (others.length === 0 || all.reduce((sum, { code }) => sum + code.length, 0) > readAtMost) return block;
  if (language !== "python") return withBlocks(block, others, language);
  const asked = entryPoint === undefined ? (tests.match(/[A-Za-z_]\w*/g) ?? []) : [entryPoint];
  const needed = neededStatements(block.code, others, new Set(asked));
  if (needed.length === 0) return block;
  const text = needed.map((statement) => statement.text).join("\n");
  // Nothing may stand before imports from the future.
  const code = /^from __future__/m.test(block.code) ? `${block.code}\n\n${text}` : `${text}\n\n${block.code}`;
  return { ...block, code };
}

/** Of the other blocks the definitions that it uses, and so on: the last of a name counts. Their usage stays behind. */
function neededStatements(
  code: string,
  others: readonly Block[],
  asked: ReadonlySet<string>,
): readonly TopLevel[] {
  const library = new Map<string, TopLevel>();
  const order: TopLevel[] = [];
  for (const statement of others.flatMap((other) => topLevelStatements(other.code))) {
    if (statement.kind === "other") continue;
    for (const name of statement.names) library.set(name, statement);
    order.push(statement);
  }
  const known = new Set(topLevelStatements(code).flatMap(({ names }) => names));
  const reached = new Set<TopLevel>();
  const isDefinition = (name: string): boolean => /^(?:function|class)$/.test(library.get(name)?.kind ?? "");
  const queue = [...freeNames(code), ...[...asked].filter((name) => !known.has(name) && isDefinition(name))];
  for (let name = queue.pop(); name !== undefined; name = queue.pop()) {
    const statement = library.get(name);
    if (statement === undefined || known.has(name) || reached.has(statement)) continue;
    reached.add(statement);
    queue.push(...freeNames(statement.text));
  }
  const kept = order.filter((statement) => reached.has(statement));
  return [...kept.filter(({ kind }) => kind === "import"), ...kept.filter(({ kind }) => kind !== "import")];
}

/** Languages in which a program may stand before another one in the same file. */
const joinable = ["javascript", "typescript", "rust", "cpp", "bash"];

/** In other languages whole blocks, where they define nothing twice. */
function withBlocks(block: Block, others: readonly Block[], language: string): Block {
  if (!joinable.includes(language)) return block;
  let code = block.code;
  for (const other of [...others].reverse()) {
    const own = definitionsOf(code, language).functions;
    const names = [...definitionsOf(other.code, language).functions];
    const words = new Set(code.match(/[A-Za-z_$][\w$]*/g));
    if (names.some((name) => own.has(name)) || !names.some((name) => words.has(name))) continue;
    code = `${other.code}\n\n${code}`;
  }
  return { ...block, code };
}
