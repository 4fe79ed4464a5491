/** docs/data.md as a reader would follow it. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { followGuide, readGuide } from "../../../tests/support/guide.js";

test("every command of docs/data.md, in order", async () => {
  const folder = mkdtempSync(join(tmpdir(), "posttrain-data-guide-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  const { blocks } = readGuide("data.md");
  const [stats, named, converted, mixed, unique, good, clean, bad] = await followGuide(blocks, folder);
  expect(stats).toMatch(/chats\.json: 3 rows/);
  expect(stats).toMatch(/sharegpt 3/);
  expect(stats).toMatch(/human 3, gpt 3/);
  expect(stats).toMatch(/duplicates +1 row/);
  expect(named).toContain("dataset_info.json:sums: 1 row, read as alpaca 1");
  expect(named).toContain(
    '{"messages":[{"role":"user","content":"What is 2 + 3?"},{"role":"assistant","content":"2 + 3 = 5"}],"topic":"sums"',
  );
  expect(converted).toContain("3 rows (sharegpt 3) -> 3 rows of messages: chats.parquet");
  expect(converted).toContain(
    '{"conversations":[{"from":"human","value":"What is 2 + 3?"},{"from":"gpt","value":"2 + 3 = 5"}],"source":"sums"}',
  );
  expect(mixed).toContain("back.jsonl: 2 of 3 rows");
  expect(mixed).toContain("sums.jsonl: 3 of 1 row, 3.00 times each");
  expect(mixed).toContain("The rows have several forms");
  expect(unique).toContain("chats.json: 3 rows, 2 stay, 1 removed (33.3 %)\nexact_duplicate: 1 row");
  expect(unique).toMatch(/"reason":"exact_duplicate",.*"row":\{"conversations"/);
  expect(good).toContain("chats.json: 3 rows, 1 stay, 2 removed (66.7 %)\nlength: 2 rows");
  expect(clean).toContain("benchmark.jsonl, line 2: What is 2 + 3?");
  expect(clean).toContain("2 rows, 1 stay, 1 removed (50.0 %)\ncontaminated: 1 row");
  expect(clean).toContain("17 of the 20 words of benchmark.jsonl, line 1 (question), in order");
  for (const kind of [
    "empty_turn",
    "roles_out_of_order",
    "no_difference",
    "bad_line: 2 rows",
    "NaN and Infinity",
    "exit code 1",
  ])
    expect(bad).toContain(kind);
});
