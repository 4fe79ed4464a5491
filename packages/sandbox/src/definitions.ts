/**
 * What a program defines, by language: which block of an answer is the solution, and which one only uses it. Patterns, not parsers: they
 * read what does not parse too, and hostile text within its length.
 */

export interface Definitions {
  /** Functions and types, methods too: what tests call. */
  readonly functions: ReadonlySet<string>;
  /** Other names with a value. */
  readonly values: ReadonlySet<string>;
}

// A word, its parameters, an open brace: how the languages of C's family write a function.
const braced = /\b([A-Za-z_]\w{0,99})[ \t]*\([^;{}]{0,400}?\)[\s\w:<>,&*.[\]-]{0,100}?\{/g;
const keywords = new Set(
  "if for while switch catch return else sizeof synchronized function try do".split(" "),
);
const scriptFunctions = [
  /\b(?:function\s*\*?|class|enum|namespace|interface)\s+([\w$]{1,100})/g,
  /\b(?:const|let|var)\s+([\w$]{1,100})\s*(?::[^=\n]{0,300})?=\s*(?:async\b|function\b|class\b|<|\(|[\w$]{1,100}\s*=>)/g,
  /\bexports\.([\w$]{1,100})\s*=/g,
];

const functions: Readonly<Record<string, readonly RegExp[]>> = {
  python: [/^[ \t]*(?:async[ \t]+)?(?:def|class)[ \t]+(\w{1,100})/gm],
  javascript: scriptFunctions,
  typescript: scriptFunctions,
  rust: [/\b(?:fn|struct|enum|trait|mod|union)\s+(\w{1,100})/g],
  go: [/^func\s+(?:\([^)\n]{0,200}\)\s*)?(\w{1,100})/gm, /^type\s+(\w{1,100})/gm],
  java: [/\b(?:class|interface|enum|record)\s+(\w{1,100})/g, braced],
  cpp: [/\b(?:class|struct|enum|union|namespace)\s+(\w{1,100})/g, braced],
  bash: [/^[ \t]*(?:function\s+)?([\w-]{1,100})\s*\(\s*\)/gm, /^[ \t]*function\s+([\w-]{1,100})/gm],
};
const values: Readonly<Record<string, readonly RegExp[]>> = {
  python: [/^([A-Za-z_]\w{0,99})[ \t]*(?::[^=\n]{0,300})?=(?!=)/gm],
};

export function definitionsOf(code: string, language: string): Definitions {
  const names = (patterns: readonly RegExp[] = []): ReadonlySet<string> =>
    new Set(
      patterns
        .flatMap((pattern) => [...code.matchAll(pattern)].map(([, name]) => name!))
        .filter((name) => !keywords.has(name)),
    );
  return { functions: names(functions[language]), values: names(values[language]) };
}

const reading =
  /\binput\s*\(|\bstdin\b|\bcin\b|\bscanf\b|\bgetline\b|\bgetchar\b|\bSystem\.in\b|\bos\.Stdin\b|\bfmt\.F?[Ss]can|\breadFileSync\b|\breadline\b|^[ \t]*(?:while[ \t].{0,100}?)?\bread\b|\bmapfile\b|\bopen\(0\)/im;

/** Whether a program asks for its standard input. */
export function readsInput(code: string): boolean {
  return reading.test(code);
}
