/**
 * SandboxFusion's extraction with its options, for scores that are to be compared with that harness. Its behaviour was read
 * in its source and is written down anew: what it strips after extraction, per language, changes verdicts.
 */
import { type Block, type Extracted, fencedBlocks, languageTags } from "./extract.js";

export interface SandboxFusionOptions {
  readonly version: 1 | 2;
  readonly language?: string;
  readonly firstBlockOnly?: boolean;
  /** Only blocks tagged with the language (version 1: not with another). */
  readonly exactlyMatch?: boolean;
  /** Nothing after the first block of the language. */
  readonly isFewshotTask?: boolean;
  readonly codeBlockIdx?: number;
  readonly removeAsserts?: boolean;
  /** Unit tests: nothing is stripped. */
  readonly isUt?: boolean;
  readonly noRemoval?: boolean;
  /** Java, C#: only the first static method. */
  readonly innerFunctionOnly?: boolean;
  readonly entryPoint?: string;
  readonly declaration?: string;
}

export function extractLikeSandboxFusion(completion: string, options: SandboxFusionOptions): Extracted {
  const { version, language = "", exactlyMatch, isFewshotTask, codeBlockIdx, firstBlockOnly } = options;
  const text = version === 2 ? completion.replaceAll("```\n```", "```") : completion;
  const fenced = fencedBlocks(text);
  const asked = language === "nodejs" ? "javascript" : language;
  let blocks: readonly Block[] =
    version === 2 ? fenced.blocks.map((block) => tagInside(block, asked)) : fenced.blocks;
  if (isFewshotTask) {
    const own = blocks.findIndex((block) => block.language === asked);
    const at = own >= 0 ? own : blocks.findIndex((block) => block.language === "");
    if (at >= 0) blocks = blocks.slice(0, at + 1);
  }
  if (exactlyMatch && language !== "") {
    blocks = blocks.filter((block) => block.language === asked || (version === 1 && block.language === ""));
  }
  let kind: Extracted["kind"] = blocks.length > 0 ? "fenced" : "empty";
  if (blocks.length === 0) {
    const cut = /```([^\n]*)\n([\s\S]*)/.exec(text);
    if (cut) {
      blocks = [{ language: "", tag: cut[1]!.trim(), code: cut[2]! }];
      kind = "incomplete_fenced";
    }
  }
  if (blocks.length === 0) {
    blocks = heuristicBlocks(text, asked).map((code) => ({ language: asked, tag: "", code }));
    if (blocks.length > 0) kind = "heuristic";
  }
  const chosen =
    codeBlockIdx !== undefined
      ? blocks.slice(codeBlockIdx).slice(0, 1)
      : firstBlockOnly
        ? blocks.slice(0, 1)
        : blocks;
  let code = chosen
    .map((block) => block.code)
    .join("\n\n")
    .replaceAll("\r", "");
  if (version === 1) code = stripFirstVersion(code, asked, options);
  else if (!options.isUt) code = stripSecondVersion(code, asked, options, text);
  return { code: before(code, "# Example usage"), kind };
}

/** Some models write the tag on the first line inside the fence. */
function tagInside(block: Block, language: string): Block {
  const [first = "", ...rest] = block.code.split("\n");
  const isTag = languageTags[language]?.includes(first.trim().toLowerCase()) ?? false;
  return block.language === "" && isTag ? { ...block, language, code: rest.join("\n") } : block;
}

function heuristicBlocks(text: string, language: string): string[] {
  const code = `${text
    .split("\n")
    .filter((line) => line.trim() !== "")
    .join("\n")}\n`;
  if (language === "python") {
    return code.match(/(?:^(?:import|from|#)[^\n]+\n)*^(?:def|class) [^\n]+\n(?:[ \t]+[^\n]+\n)+/gm) ?? [];
  }
  if (language === "sql") return code.match(/^\s*(?:select|with\s[^\n]+as)[^;]*/gim) ?? [];
  return language === "bash" ? [code] : [];
}

function before(code: string, mark: string): string {
  const at = code.indexOf(mark);
  return at < 0 ? code : code.slice(0, at).trim();
}

function withoutAsserts(code: string): string {
  return code
    .split("\n")
    .filter((line) => !line.startsWith("assert "))
    .join("\n");
}

function stripFirstVersion(code: string, language: string, options: SandboxFusionOptions): string {
  switch (language) {
    case "python":
      return before(options.removeAsserts ? withoutAsserts(code) : code, 'if __name__ == "__main__":');
    case "cpp":
      return before(code, "int main()");
    case "java":
      return asSolution(code, options);
    case "go":
      return code.replaceAll("package main", "");
    default:
      return code;
  }
}

function stripSecondVersion(
  code: string,
  language: string,
  options: SandboxFusionOptions,
  answer: string,
): string {
  switch (language) {
    case "python": {
      const lines = code.split("\n");
      const main = lines.findIndex((line) => line.includes("__name__") && line.includes("__main__"));
      const kept = (main < 0 ? lines : lines.slice(0, main)).join("\n");
      return options.removeAsserts ? withoutAsserts(kept) : kept;
    }
    case "cpp":
    case "c":
      return before(code, "int main()");
    case "java":
      if (options.innerFunctionOnly)
        return braced(code, /(?:public|private|protected)\s+static\s+.*?\(.*?\)\s*\{/s)?.text ?? code;
      return asSolution(code.replaceAll("public class Solution {", "class Solution {"), options);
    case "csharp":
      if (!options.innerFunctionOnly) return code;
      return braced(code, /(?:public|private|protected|internal)\s+static\s+.*?\(.*?\)\s*\{/s)?.text ?? code;
    case "go":
      return without(
        options.noRemoval ? code : code.replaceAll("package main", ""),
        /func\s+main\(.*?\)\s*\{/s,
      );
    case "kotlin":
      return without(code, /fun\s+main\(.*?\)\s*\{/s);
    case "scala":
      return /object\s+\w+(?:\s+extends\s+\w+)?\s*\{([\s\S]*)\}/.exec(code)?.[1] ?? code;
    case "verilog": {
      const body = /module\s+\w+\s+\(.*?\);([\s\S]*?)endmodule/s.exec(code)?.[1];
      return (body === undefined ? code : `${body}\nendmodule`) || answer;
    }
    default:
      return code;
  }
}

/** LeetCode's class around a bare method, and the declarations' imports before it. */
function asSolution(code: string, { entryPoint, declaration = "" }: SandboxFusionOptions): string {
  let solution = code;
  if (solution.includes("public class Main {\n")) {
    solution = solution.replaceAll("public class Main {\n", "class Solution {\n");
    solution = solution.replaceAll("public static void main(String[] args)", "");
  }
  const line = entryPoint ? solution.split("\n").find((one) => one.includes(entryPoint)) : undefined;
  if (!solution.includes("class Solution") && line !== undefined) {
    solution = `${solution.replaceAll(line, `class Solution {\n${line}`)}\n}`;
  }
  for (const one of declaration.split("\n")) if (one.includes("import")) solution = `${one}\n${solution}`;
  return solution;
}

/** From a signature that ends in a brace to the brace that closes it. */
function braced(
  code: string,
  signature: RegExp,
): { readonly from: number; readonly to: number; readonly text: string } | undefined {
  const match = signature.exec(code);
  if (match === null) return undefined;
  let depth = 1;
  for (let i = match.index + match[0].length; i < code.length; i++) {
    if (code[i] === "{") depth++;
    else if (code[i] === "}") depth--;
    if (depth === 0) return { from: match.index, to: i + 1, text: code.slice(match.index, i + 1) };
  }
  return undefined;
}

function without(code: string, signature: RegExp): string {
  const found = braced(code, signature);
  return found === undefined ? code : code.slice(0, found.from) + code.slice(found.to);
}
