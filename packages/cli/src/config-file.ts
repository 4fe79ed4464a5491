// --config FILE: a YAML mapping of option names to values. Values stay text, for the schemas of the options to type: what YAML 1.1 and
// 1.2 read differently (1e-5, no, 1.10, 2024-01-01) means here what it means on the command line.
import { isUtf8 } from "node:buffer";
import { readRegularFile, UserError } from "@posttrain/data";
import {
  Composer,
  type CST,
  type Document,
  isAlias,
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  type Pair,
  Parser,
  type Scalar,
  type YAMLMap,
  type YAMLSeq,
} from "yaml";
import type { Setting } from "./settings.js";

export interface ConfigFile {
  readonly settings: readonly Setting[];
  /** What is wrong with single keys. */
  readonly problems: readonly Problem[];
}

/** A sentence that names the place. Those of a file are told in the order of their lines. */
export interface Problem {
  readonly line: number;
  readonly text: string;
}

/** A config has a few dozen lines; a file of this size is something else, often a data file. */
const mostBytes = 1 << 18;

const mostLevels = 16;

/** UserError `bad_config`: a file that cannot be read, or that is no mapping of options. */
export async function readConfigFile(path: string): Promise<ConfigFile> {
  let bytes: Buffer;
  try {
    bytes = await readRegularFile(path);
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code;
    const why =
      code === "ENOENT"
        ? "does not exist"
        : code === "EISDIR"
          ? "is a folder, expected a YAML file"
          : `cannot be read: ${(cause as Error).message}`;
    throw new UserError("bad_config", `The config file ${path} ${why}. Give its path with --config.`, {
      cause,
    });
  }
  return parseConfigFile(bytes, path);
}

export function parseConfigFile(bytes: Buffer, path: string): ConfigFile {
  return settingsOf(parseMapping(bytes, path));
}

/** A mapping of a file, with what its entries need to be read. */
export interface Mapping {
  readonly path: string;
  /** Where it begins. */
  readonly line: number;
  readonly pairs: readonly Pair<Node | null, Node | null>[];
  readonly document: Document;
  readonly lines: LineCounter;
}

/** The mapping that a file holds. UserError `bad_config`. */
export function parseMapping(bytes: Buffer, path: string): Mapping {
  const text = decode(bytes, path);
  const lines = new LineCounter();
  const document = parse(text, path, lines);
  const { contents } = document;
  if (contents === null || (isScalar(contents) && isNull(contents))) {
    throw refuse(path, `holds no options. ${shape}`);
  }
  if (!isMap(contents))
    throw refuse(path, `holds ${kindOf(contents)}, expected a mapping of options. ${shape}`);
  return { path, line: 1, pairs: contents.items as Mapping["pairs"], document, lines };
}

/** Entries whose values are mappings, by name, each at the line of its name; and the mapping of the others. */
export function nestedMappings(mapping: Mapping): {
  readonly nested: readonly (readonly [name: string, Mapping])[];
  readonly rest: Mapping;
} {
  const { document, lines, path } = mapping;
  const nested: [string, Mapping][] = [];
  const rest = mapping.pairs.filter(({ key, value }) => {
    const [named, inner] = [resolve(key, document), resolve(value, document)];
    if (!isScalar(named) || isNull(named) || !isMap(inner)) return true;
    const { line } = lines.linePos((key ?? value)?.range?.[0] ?? 0);
    nested.push([
      String(named.value),
      { path, line, pairs: inner.items as Mapping["pairs"], document, lines },
    ]);
    return false;
  });
  return { nested, rest: { ...mapping, pairs: rest } };
}

const shape = "A line of it is `name: value`, such as `learning_rate: 1e-5`.";

function decode(bytes: Buffer, path: string): string {
  if (bytes.length > mostBytes) {
    throw refuse(path, `has ${bytes.length} bytes: that is no config, whose lines are \`name: value\`.`);
  }
  const [first, second] = bytes;
  const utf16 = (first === 0xff && second === 0xfe) || (first === 0xfe && second === 0xff);
  if (utf16) throw refuse(path, "is UTF-16: save it as UTF-8.");
  if (!isUtf8(bytes)) {
    let line = 1;
    let start = 0;
    for (let end = bytes.indexOf(10); end >= 0; end = bytes.indexOf(10, start)) {
      if (!isUtf8(bytes.subarray(start, end))) break;
      start = end + 1;
      line++;
    }
    throw refuse(path, `has bytes on line ${line} that are not UTF-8: save it as UTF-8.`);
  }
  return bytes.toString("utf8").replace(/^\ufeff/, "");
}

function parse(text: string, path: string, lineCounter: LineCounter): Document {
  const tokens = [...new Parser(lineCounter.addNewLine).parse(text)];
  if (tokens.some((token) => isDeep(token))) {
    throw refuse(
      path,
      `is nested more than ${mostLevels} levels deep, expected options at the left margin. ${shape}`,
    );
  }
  // failsafe: every scalar is text. Repeated keys are found below, with both of their lines.
  const composer = new Composer({
    schema: "failsafe",
    lineCounter,
    prettyErrors: false,
    uniqueKeys: false,
    logLevel: "silent",
  });
  const documents: readonly Document[] = [...composer.compose(tokens)];
  const faults = documents.flatMap(({ errors, warnings }) => [...errors, ...warnings]);
  if (faults.length > 0) {
    const sentences = faults.map(({ code, message, pos }) => {
      const { line, col } = lineCounter.linePos(pos[0]);
      const what = remedies[code] ?? `${message.replace(/\.$/, "")}.`;
      return `line ${line}, column ${col}: ${what}`;
    });
    const told = [...new Set(sentences)];
    const more = told.length > 5 ? ` And ${told.length - 5} more.` : "";
    throw refuse(path, `is not the YAML of a config: ${told.slice(0, 5).join(" ")}${more}`);
  }
  if (documents.length > 1) {
    const second = documents[1]?.range?.[0] ?? 0;
    throw refuse(
      path,
      `holds ${documents.length} documents, the second from line ${lineCounter.linePos(second).line} on; expected one. Keep one, without --- lines between.`,
    );
  }
  const [only] = documents;
  if (only === undefined) throw refuse(path, `is empty. ${shape}`);
  return only;
}

/**
 * Whether a document is nested so deeply that the composer, which is recursive, could exhaust the stack: near its end V8 ends the
 * process instead of throwing.
 */
function isDeep(token: CST.Token): boolean {
  let level: readonly CST.Token[] = [token];
  for (let depth = 0; level.length > 0; depth++) {
    if (depth > mostLevels) return true;
    level = level
      .flatMap((parent): (CST.Token | null | undefined)[] => {
        if (parent.type === "document") return [parent.value];
        return "items" in parent ? parent.items.flatMap(({ key, value }) => [key, value]) : [];
      })
      .filter((child) => child !== null && child !== undefined);
  }
  return false;
}

/** Words for the faults that people meet. */
const remedies: Readonly<Record<string, string>> = {
  TAB_AS_INDENT: "a tab, which YAML does not allow before a key or value: write spaces.",
  MULTIPLE_DOCS: "a second document begins here, expected one.",
  TAG_RESOLVE_FAILED: "a tag (a word that begins with !): write the value without it.",
  BAD_ALIAS: "an alias (*name) needs an anchor (&name) before it.",
  MISSING_CHAR: "something is missing here: a space after a colon, a comma, a bracket or a closing quote.",
  BLOCK_AS_IMPLICIT_KEY: "a colon in a value: put the value in quotes.",
};

/** What the entries of a mapping say, and what is wrong with single ones. */
export function settingsOf({ pairs, document, path, lines }: Mapping): ConfigFile {
  const settings: Setting[] = [];
  const problems: Problem[] = [];
  const seen = new Map<string, number>();
  for (const { key, value } of pairs) {
    const line = lines.linePos((key ?? value)?.range?.[0] ?? 0).line;
    const complain = (what: string): unknown =>
      problems.push({ line, text: `${path}, line ${line}: ${what}` });
    const named = resolve(key, document);
    if (!isScalar(named) || isNull(named)) {
      complain(`a key is ${kindOf(named)}, expected the name of an option.`);
      continue;
    }
    const name = String(named.value);
    const before = seen.get(name);
    if (before !== undefined) {
      complain(`${name} is given again, first on line ${before}: keep one of them.`);
      continue;
    }
    seen.set(name, line);
    const said = mixtureBy(name, value, document) ?? saidBy(value, document);
    if (said === null) {
      complain(`${name} has no value: give one, or remove the line to take the default.`);
    } else if ("wrong" in said) {
      complain(`${name} holds ${said.wrong}: an option has a value, or a list of values.`);
    } else {
      settings.push({ name, value: said.value, source: { kind: "file", path, line } });
    }
  }
  return { settings, problems };
}

type Said = { readonly value: string | readonly string[] } | { readonly wrong: string } | null;

function saidBy(node: Node | null, document: Document): Said {
  const value = resolve(node, document);
  if (isAlias(node) && value === undefined) {
    return { wrong: `the alias *${node.source}, and no anchor &${node.source} stands before it` };
  }
  if (isScalar(value)) return isNull(value) ? null : { value: String(value.value) };
  if (value === undefined) return null;
  if (!isSeq(value)) return { wrong: kindOf(value) };
  const items = value.items.map((item) => resolve(item as Node | null, document));
  const odd = items.find((item) => !isScalar(item) || isNull(item));
  if (items.some((item) => item === undefined) || odd !== undefined) {
    return { wrong: `a list with ${odd === undefined ? "an empty entry" : kindOf(odd)} in it` };
  }
  return { value: items.map((item) => String((item as Scalar).value)) };
}

/** A list or a mapping under `data` is a mix of sources, which goes on as JSON. */
function mixtureBy(name: string, node: Node | null, document: Document): Said | undefined {
  const value = resolve(node, document);
  if (name !== "data" || value === undefined || isScalar(value)) return undefined;
  return { value: JSON.stringify((value as YAMLMap | YAMLSeq).toJS(document)) };
}

/** What an alias stands for; undefined for nothing. An alias of an alias cannot be written. */
function resolve(node: Node | null | undefined, document: Document): Node | undefined {
  return (isAlias(node) ? node.resolve(document) : node) ?? undefined;
}

/** Nothing, ~ and null without quotes. */
function isNull(node: Scalar): boolean {
  const plain = node.type === undefined || node.type === "PLAIN";
  return plain && /^(~|null|Null|NULL)?$/.test(String(node.value ?? ""));
}

function kindOf(node: Node | undefined): string {
  if (node === undefined) return "nothing";
  if (isMap(node)) return "a mapping";
  if (isSeq(node)) return "a list";
  return isScalar(node) && !isNull(node)
    ? `the text ${JSON.stringify(String(node.value)).slice(0, 60)}`
    : "nothing";
}

function refuse(path: string, what: string, cause?: unknown): UserError {
  return new UserError("bad_config", `The config file ${path} ${what}`, { cause });
}
