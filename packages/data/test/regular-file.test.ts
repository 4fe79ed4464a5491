import { execFileSync } from "node:child_process";
import { open, symlink, truncate, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { loadChatTemplate, loadTokenizer, readRegularFile, readRows } from "../src/index.js";
import { folderWith, userError } from "./support/qwen25.js";

async function strangeFiles(): Promise<Readonly<Record<string, string>>> {
  const dir = await folderWith({});
  const at = (name: string): string => join(dir, name);
  execFileSync("mkfifo", [at("pipe")]);
  await symlink("/dev/zero", at("zero"));
  const server = createServer().listen(at("socket"));
  onTestFinished(() => void server.close());
  await writeFile(at("large"), "");
  await truncate(at("large"), 10 * 1024 ** 3);
  return {
    "named pipe": at("pipe"),
    device: at("zero"),
    folder: dir,
    socket: at("socket"),
    "10.7 GB": at("large"),
  };
}

test("only regular files are read, of a measure", async () => {
  for (const [what, path] of Object.entries(await strangeFiles())) {
    await expect(readRegularFile(path), what).rejects.toThrow(what);
  }
});

test("a file has the bytes that it has, of any length", async () => {
  for (const length of [0, 1, 4096, 4097, 100_000]) {
    const bytes = Buffer.alloc(length, "abc");
    const dir = await folderWith({ file: bytes });
    expect(Buffer.compare(await readRegularFile(join(dir, "file"), length), bytes)).toBe(0);
    if (length > 0) await expect(readRegularFile(join(dir, "file"), length - 1)).rejects.toThrow("more than");
  }
});

test.each([
  ["tokenizer.json", loadTokenizer],
  ["tokenizer_config.json", loadChatTemplate],
  ["chat_template.jinja", loadChatTemplate],
])("in the place of %s they are an error that names it", async (name, load) => {
  for (const [what, path] of Object.entries(await strangeFiles())) {
    const dir = await folderWith({});
    await symlink(path, join(dir, name));
    const { message } = await Promise.resolve(load(dir)).then(
      () => new Error("nothing"),
      (error: Error) => error,
    );
    expect(message).toContain(what);
    expect(message).toContain(name);
  }
});

test("rows are of regular files too", async () => {
  const strange = await strangeFiles();
  for (const what of ["named pipe", "device", "folder", "socket"]) {
    // A folder is read for its files of rows: this one has none.
    const code = what === "folder" ? "missing_file" : "unreadable_file";
    const message = await userError(code, async () => {
      for await (const row of readRows(strange[what]!)) void row;
    });
    expect(message).toMatch(/pipe|folder|socket|device/);
  }
});

test("a pipe that somebody writes is no file either", async () => {
  const { "named pipe": pipe = "" } = await strangeFiles();
  const writer = await open(pipe, "r+");
  await writer.write("{}");
  await expect(readRegularFile(pipe)).rejects.toThrow("named pipe");
  await writer.close();
});
