// What teachers are asked, as files that a user reads and overrides: packages/sft/prompts/NAME.md, or NAME.md in a folder of one's own.
//
//     version: 1
//
//     # system          (may be left out)
//     You are ...
//
//     # user
//     Solve: {{problem}}
import { createHash } from "node:crypto";
import { existsSync, readdirSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { UserError } from "@posttrain/data";
import type { TeacherRequest } from "@posttrain/rollout";

export interface Prompt {
  readonly name: string;
  readonly version: number;
  /** SHA-256 of its file. */
  readonly digest: string;
  /** With every {{name}} as its value says. UserError `bad_prompt` where the file's names are not those of `values`. */
  fill(values: Readonly<Record<string, string>>): TeacherRequest["messages"];
}

const ours = fileURLToPath(new URL("../../prompts", import.meta.url));

/** Those of the product, each replaced by the file of its name in `dir`. UserError `bad_prompt`. */
export async function readPrompts(dir: string | undefined): Promise<ReadonlyMap<string, Prompt>> {
  const names = namesIn(ours);
  const own = dir === undefined ? [] : namesOfUser(dir);
  const stray = own.find((name) => !names.includes(name));
  if (stray !== undefined) {
    throw bad(
      join(dir as string, `${stray}.md`),
      `replaces no prompt: those of the builders are ${names.join(", ")}`,
    );
  }
  const read = names.map(async (name) => {
    const path = join(own.includes(name) ? (dir as string) : ours, `${name}.md`);
    return [name, parsePrompt(name, path, await readFile(path, "utf8"))] as const;
  });
  return new Map(await Promise.all(read));
}

const namesIn = (dir: string): readonly string[] =>
  readdirSync(dir)
    .filter((file) => file.endsWith(".md"))
    .map((file) => file.slice(0, -3))
    .sort();

function namesOfUser(dir: string): readonly string[] {
  if (!existsSync(dir)) {
    throw new UserError(
      "bad_prompt",
      `prompts ${dir} does not exist: expected a folder of prompt files, NAME.md.`,
    );
  }
  return namesIn(dir);
}

const bad = (path: string, what: string): UserError => new UserError("bad_prompt", `${path} ${what}.`);

function parsePrompt(name: string, path: string, text: string): Prompt {
  const [head = "", ...parts] = text.replaceAll("\r\n", "\n").split(/^# (?=(?:system|user)[ \t]*$)/m);
  const version = /^version: (\d+)\s*$/.exec(head.trim())?.[1];
  if (version === undefined)
    throw bad(path, 'does not begin with its version: expected "version: 1", then "# user"');
  const turns = parts.map((part) => {
    const [, role = "", content = ""] = /^(\w+)[ \t]*\n([\s\S]*)$/.exec(part) ?? [];
    return { role: role as "system" | "user", content: content.trim() };
  });
  if (
    turns.map(({ role }) => role).join() !== "user" &&
    turns.map(({ role }) => role).join() !== "system,user"
  )
    throw bad(path, 'expected one part "# user", with "# system" before it or not');
  const named = new Set(
    turns.flatMap(({ content }) => [...content.matchAll(placeholder)].map(([, one]) => one!)),
  );
  return {
    ...{ name, version: Number(version) },
    digest: createHash("sha256").update(text).digest("hex"),
    fill: (values) => {
      const unknown = [...named].find((one) => !Object.hasOwn(values, one));
      if (unknown !== undefined)
        throw bad(
          path,
          `has {{${unknown}}}: it is given ${Object.keys(values)
            .map((one) => `{{${one}}}`)
            .join(", ")}`,
        );
      const unused = Object.keys(values).find((one) => !named.has(one));
      if (unused !== undefined)
        throw bad(path, `does not have {{${unused}}}: without it nobody knows what is asked`);
      return turns.map(({ role, content }) => ({
        role,
        content: content.replaceAll(placeholder, (_, one: string) => values[one] as string),
      }));
    },
  };
}

const placeholder = /\{\{(\w+)\}\}/g;
