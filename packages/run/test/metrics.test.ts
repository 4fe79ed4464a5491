import { appendFile, readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { openMetrics } from "@posttrain/run";
import crc32c from "crc-32/crc32c.js";
import protobuf from "protobufjs";
import { expect, test } from "vitest";
import { newFolder } from "./support/folder.js";

const line = (step: number) => ({
  step,
  epoch: step / 10,
  loss: 1 / step,
  learning_rate: 1e-5,
  num_tokens: step * 100,
});

async function steps(path: string, key: string): Promise<unknown[]> {
  return (await readFile(path, "utf8"))
    .trim()
    .split("\n")
    .map((text) => JSON.parse(text)[key]);
}

test("lines go to metrics.jsonl and, of training, to trainer_log.jsonl", async () => {
  const dir = await newFolder();
  const metrics = await openMetrics(dir, -1, 4);
  await metrics.append({ step: 0, eval_loss: 5 });
  await metrics.append(line(1));
  await metrics.append(line(2));
  await metrics.close();
  expect(await steps(join(dir, "metrics.jsonl"), "step")).toEqual([0, 1, 2]);
  const [, second] = (await readFile(join(dir, "trainer_log.jsonl"), "utf8")).trim().split("\n");
  expect(JSON.parse(second as string)).toMatchObject({
    current_steps: 2,
    total_steps: 4,
    loss: 0.5,
    lr: 1e-5,
    percentage: 50,
    total_tokens: 200,
    elapsed_time: "0:00:00",
    remaining_time: "0:00:00",
  });
});

test("a run that goes on after step 2 cuts off what lies beyond, and a torn line", async () => {
  const dir = await newFolder();
  const first = await openMetrics(dir, -1, 4);
  for (const step of [1, 2, 3]) await first.append(line(step));
  await first.close();
  await appendFile(join(dir, "metrics.jsonl"), '{"step": 4, "lo');
  const second = await openMetrics(dir, 2, 4);
  await second.append(line(3));
  await second.close();
  expect(await steps(join(dir, "metrics.jsonl"), "step")).toEqual([1, 2, 3]);
  expect(await steps(join(dir, "trainer_log.jsonl"), "current_steps")).toEqual([1, 2, 3]);
  await (await openMetrics(dir, -1, 4)).close();
  expect(await readFile(join(dir, "metrics.jsonl"), "utf8")).toBe("");
  await appendFile(join(dir, "metrics.jsonl"), '{"step": 1}\nno json\n');
  await expect(openMetrics(dir, 2, 4)).rejects.toMatchObject({
    code: "bad_step_log",
    message: expect.stringContaining("line 2"),
  });
});

// The decoder shares nothing with the writer: protobufjs with the fields of TensorFlow's event.proto and summary.proto, CRC-32C by SheetJS.
const Event = protobuf
  .parse(
    `syntax = "proto3";
    message Event { double wall_time = 1; int64 step = 2; string file_version = 3; Summary summary = 5; SessionLog session_log = 7; }
    message Summary { message Value { string tag = 1; float simple_value = 2; } repeated Value value = 1; }
    message SessionLog { enum SessionStatus { STATUS_UNSPECIFIED = 0; START = 1; STOP = 2; CHECKPOINT = 3; } SessionStatus status = 1; }`,
  )
  .root.lookupType("Event");

function decode(bytes: Buffer): Record<string, unknown>[] {
  const events: Record<string, unknown>[] = [];
  const unmasked = (at: number): number => {
    const rotated = (bytes.readUInt32LE(at) - 0xa282ead8) >>> 0;
    return ((rotated >>> 17) | (rotated << 15)) >>> 0;
  };
  for (let at = 0; at < bytes.length; ) {
    const length = Number(bytes.readBigUInt64LE(at));
    expect(unmasked(at + 8)).toBe(crc32c.buf(bytes.subarray(at, at + 8)) >>> 0);
    const data = bytes.subarray(at + 12, at + 12 + length);
    expect(unmasked(at + 12 + length)).toBe(crc32c.buf(data) >>> 0);
    events.push(Event.toObject(Event.decode(data), { longs: Number, enums: String }));
    at += 16 + length;
  }
  return events;
}

test("TensorBoard events read back by an independent decoder", async () => {
  const dir = await newFolder();
  const before = Date.now() / 1000;
  const metrics = await openMetrics(dir, 6, 400);
  await metrics.append(line(7));
  await metrics.append({ step: 300, eval_loss: 0.25 });
  await metrics.close();
  const name = (await readdir(dir)).find((file) => file.startsWith("events.out.tfevents."));
  const [version, session, training, evaluation, ...rest] = decode(await readFile(join(dir, name as string)));
  expect(rest).toEqual([]);
  expect(version).toMatchObject({ fileVersion: "brain.Event:2" });
  expect(session).toMatchObject({ step: 7, sessionLog: { status: "START" } });
  expect(training).toMatchObject({ step: 7 });
  expect(training?.["wallTime"]).toBeGreaterThanOrEqual(before);
  expect(training?.["summary"]).toEqual({
    value: [
      { tag: "train/epoch", simpleValue: Math.fround(0.7) },
      { tag: "train/loss", simpleValue: Math.fround(1 / 7) },
      { tag: "train/learning_rate", simpleValue: Math.fround(1e-5) },
      { tag: "train/num_tokens", simpleValue: 700 },
    ],
  });
  expect(evaluation).toMatchObject({
    step: 300,
    summary: { value: [{ tag: "eval/loss", simpleValue: 0.25 }] },
  });
});
