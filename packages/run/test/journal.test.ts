import { spawn } from "node:child_process";
import { once } from "node:events";
import { appendFile, readFile } from "node:fs/promises";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { parseJson, stringifyJson } from "@posttrain/data";
import { openJournal } from "@posttrain/run";
import { expect, test } from "vitest";
import { newFolder } from "./support/folder.js";

test("what is recorded is read back, and the first writer wins, also across openings", async () => {
  const path = join(await newFolder(), "journal.jsonl");
  const first = await openJournal(path);
  expect(await first.record("a", { outcome: "pass" })).toEqual({ outcome: "pass" });
  expect(await first.record("a", { outcome: "fail" })).toEqual({ outcome: "pass" });
  expect(await Promise.all([first.record("b", 1), first.record("b", 2)])).toEqual([1, 1]);
  await first.close();
  const second = await openJournal(path);
  expect(second.size).toBe(2);
  expect(second.get("a")).toEqual({ outcome: "pass" });
  expect(await second.record("b", 3)).toBe(1);
  expect(second.get("c")).toBeUndefined();
  await second.close();
});

test("a recorded value is what JSON makes of it, and a number that is none a word, before and after a restart", async () => {
  const path = join(await newFolder(), "journal.jsonl");
  const journal = await openJournal(path);
  expect(await journal.record("x", { a: undefined, b: Number.NaN })).toEqual({ b: "NaN" });
  await journal.close();
});

test("numbers that no double is are read back as they were, also after a restart", async () => {
  const path = join(await newFolder(), "journal.jsonl");
  const text = '{"id":12345678901234567890,"score":1.0,"many":[0.10000000000000001,1e400,-0]}';
  const journal = await openJournal(path);
  expect(stringifyJson(await journal.record("x", parseJson(text)))).toBe(text);
  await journal.close();
  const again = await openJournal(path);
  expect(stringifyJson(again.get("x"))).toBe(text);
  await again.close();
});

test("a thousand at once are written in the order they came", async () => {
  const path = join(await newFolder(), "journal.jsonl");
  const journal = await openJournal(path);
  await Promise.all(Array.from({ length: 1000 }, (_, i) => journal.record(String(i), i)));
  await journal.close();
  const keys = (await readFile(path, "utf8"))
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line).key);
  expect(keys).toEqual(Array.from({ length: 1000 }, (_, i) => String(i)));
});

test("a torn last line is cut off and can be written again; a broken one before it is an error", async () => {
  const path = join(await newFolder(), "journal.jsonl");
  const first = await openJournal(path);
  await first.record("a", 1);
  await first.close();
  const whole = await readFile(path);
  await appendFile(path, '{"key":"b","val');
  const second = await openJournal(path);
  expect(second.get("b")).toBeUndefined();
  expect(await readFile(path)).toEqual(whole);
  await second.record("b", 2);
  await second.close();
  await appendFile(path, "torn\n");
  await expect(openJournal(path)).rejects.toMatchObject({
    code: "bad_journal",
    message: expect.stringContaining("line 3"),
  });
});

/** A program that opens the journal at `path` as `journal`, run by a shell: `ulimit -f` makes its disk refuse. */
function program(path: string, body: string, limit = "unlimited") {
  const text = `import { openJournal } from "@posttrain/run";
    const journal = await openJournal(${JSON.stringify(path)});
    ${body}`;
  const command = `ulimit -f ${limit}; exec "$0" --input-type=module -e "$1"`;
  return spawn("bash", ["-c", command, process.execPath, text], { cwd: import.meta.dirname });
}

test("what a killed process was told is recorded is there", async () => {
  const path = join(await newFolder(), "journal.jsonl");
  const body = `for (let i = 0; ; i++) { await journal.record(String(i), "x".repeat(i % 5000)); process.stdout.write(i + "\\n"); }`;
  const child = program(path, body);
  let told = "";
  child.stdout.on("data", (chunk: Buffer) => {
    told += String(chunk);
    if (told.length > 500) child.kill("SIGKILL");
  });
  const failure = text(child.stderr);
  await once(child, "close");
  const last = Number(told.slice(0, told.lastIndexOf("\n")).split("\n").at(-1));
  expect(last, await failure).toBeGreaterThan(20);
  const journal = await openJournal(path);
  expect(journal.size).toBeGreaterThan(last);
  await journal.close();
});

test("a disk that refuses is told, to this caller and every later one", async () => {
  const path = join(await newFolder(), "journal.jsonl");
  const body = `const codes = [];
    for (const key of ["a", "b", "b", "c"]) {
      codes.push(await journal.record(key, "x".repeat(key === "b" ? 9000 : 10)).then(() => "recorded", (error) => error.code));
    }
    await journal.close();
    console.log(codes.join(" "));`;
  const child = program(path, body, "4");
  expect(await text(child.stdout)).toBe("recorded cannot_write cannot_write cannot_write\n");
  const journal = await openJournal(path);
  expect([journal.size, journal.get("a")]).toEqual([1, "x".repeat(10)]);
  await journal.close();
});
