// A teacher behind a real HTTP server that answers by script: what is retried, what is given up, what costs, and what is never said.
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openTeacher, type TeacherOptions } from "@posttrain/rollout";
import { openJournal } from "@posttrain/run";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import {
  type Answer,
  completion,
  echo,
  json,
  openScriptedServer,
  type ScriptedServer,
} from "../../../tests/support/openai-server.js";

const folder = mkdtempSync(join(tmpdir(), "posttrain-teacher-"));
let server: ScriptedServer;
beforeAll(async () => {
  server = await openScriptedServer();
});
afterAll(() => {
  server.close();
  rmSync(folder, { recursive: true });
});
afterEach(() => server.reset());

const teacherWith = (options: Partial<TeacherOptions> = {}) =>
  openTeacher({ baseUrl: server.baseUrl, model: "m", retries: 2, ...options });
const ask = (content: string, more: object = {}) => ({
  messages: [{ role: "user" as const, content }],
  ...more,
});

describe("a reply", () => {
  it("has text, how it ended and what it cost; the request goes out in the protocol's names", async () => {
    const teacher = teacherWith({ apiKey: "secret" });
    const reply = await teacher.ask(ask("hello", { temperature: 0.5, max_tokens: 7, stop: ["x"], seed: 3 }));
    expect(reply).toEqual({
      outcome: "reply",
      cached: false,
      text: "said: hello",
      finish: "stop",
      promptTokens: 10,
      completionTokens: 5,
    });
    expect(server.bodies).toEqual([
      { model: "m", ...ask("hello"), temperature: 0.5, max_tokens: 7, stop: ["x"], seed: 3 },
    ]);
    expect(server.headers[0]?.authorization).toBe("Bearer secret");
  });

  it("keeps thinking apart where the server does", async () => {
    server.answers = [json(200, completion("4", { reasoning_content: "2 and 2" }))];
    expect(await teacherWith().ask(ask("2+2"))).toMatchObject({ text: "4", reasoning: "2 and 2" });
  });
});

describe("trouble", () => {
  it.each<[name: string, answer: Answer]>([
    ["429", json(429, { error: { message: "slow down" } })],
    ["500", json(500, {})],
    ["503 as text", (_, response) => response.writeHead(503, { "retry-after-ms": "1" }).end("busy")],
    ["a cut connection", (_, response) => response.destroy()],
    [
      "a body that breaks off",
      (_, response) => {
        response.writeHead(200, { "content-type": "application/json", "content-length": "1000" });
        response.write('{"choices": [');
        setTimeout(() => response.destroy(), 10);
      },
    ],
    ["no JSON", (_, response) => response.writeHead(200, { "content-type": "application/json" }).end("{]")],
    ["a page", (_, response) => response.writeHead(200, { "content-type": "text/html" }).end("<html>")],
    ["no choices", json(200, { choices: [] })],
    ["an empty reply", json(200, completion(null))],
  ])("%s is tried again", async (_, answer) => {
    server.answers = [answer];
    const teacher = teacherWith();
    expect(await teacher.ask(ask("hello"))).toMatchObject({ outcome: "reply", text: "said: hello" });
    expect(teacher.counters()).toMatchObject({ asked: 1, failed: 0 });
  });

  it("that does not end fails that request alone, with what was said", async () => {
    server.answers = [1, 2, 3].map(() => json(500, { error: { message: "out of memory" } }));
    const teacher = teacherWith();
    expect(await teacher.ask(ask("a"))).toEqual({
      outcome: "failed",
      reason: expect.stringContaining("out of memory"),
    });
    server.answers = [1, 2, 3].map(() => json(200, { rubbish: true }));
    expect(await teacher.ask(ask("b"))).toEqual({
      outcome: "failed",
      reason: 'its reply is no chat completion: {"rubbish":true}',
    });
    expect(await teacher.ask(ask("c"))).toMatchObject({ outcome: "reply" });
    expect(teacher.counters()).toMatchObject({ asked: 3, failed: 2, completionTokens: 5 });
  });

  it("with one request is told apart from trouble with all", async () => {
    server.answers = [json(400, { error: { message: "prompt too long" } })];
    expect(await teacherWith().ask(ask("a"))).toMatchObject({
      outcome: "failed",
      reason: expect.stringContaining("prompt too long"),
    });
    server.answers = [json(401, { error: { message: "Incorrect API key provided: secret" } })];
    const refused = teacherWith({ apiKey: "secret" }).ask(ask("a"));
    await expect(refused).rejects.toMatchObject({ code: "teacher_refused" });
    await expect(refused).rejects.not.toThrow(/secret/);
    server.answers = [json(404, { error: { message: "no such model" } })];
    await expect(teacherWith().ask(ask("a"))).rejects.toThrow(/no such model.*Check the address/s);
    const nobody = teacherWith({ baseUrl: "http://127.0.0.1:9/v1", retries: 0 });
    await expect(nobody.ask(ask("a"))).rejects.toMatchObject({ code: "teacher_unreachable" });
  });

  it("of a server that says nothing ends at the time limit", async () => {
    server.answers = [() => undefined];
    const reply = await teacherWith({ timeoutSeconds: 0.2, retries: 0 }).ask(ask("a"));
    expect(reply).toEqual({ outcome: "failed", reason: "no reply within 0.2 s" });
  });
});

describe("cost", () => {
  it("is paid once for a request: across runs, and for two that are asked at once", async () => {
    const path = join(folder, "cache.jsonl");
    let cache = await openJournal(path);
    const first = teacherWith({ cache });
    await Promise.all([first.ask(ask("a")), first.ask(ask("a")), first.ask(ask("a", { seed: 1 }))]);
    expect(server.bodies).toHaveLength(2);
    await cache.close();
    cache = await openJournal(path);
    const second = teacherWith({ cache, apiKey: "secret", baseUrl: "http://127.0.0.1:9/v1" });
    expect(await second.ask(ask("a"))).toMatchObject({ cached: true, text: "said: a" });
    expect(second.counters()).toEqual({
      asked: 0,
      cached: 1,
      failed: 0,
      promptTokens: 0,
      completionTokens: 0,
    });
    await cache.close();
    expect(readFileSync(path, "utf8")).not.toContain("secret");
  });

  it("does not pass the budget, and a failure is asked for again", async () => {
    const cache = await openJournal(join(folder, "budget.jsonl"));
    const teacher = teacherWith({ budgetTokens: 20, cache, retries: 0 });
    server.answers = [json(500, {})];
    expect(await teacher.ask(ask("a"))).toMatchObject({ outcome: "failed" });
    expect(await teacher.ask(ask("a"))).toMatchObject({ outcome: "reply" });
    await teacher.ask(ask("b"));
    await expect(teacher.ask(ask("c"))).rejects.toThrow(/asked for 30 tokens, the budget is 20/);
    expect(await teacher.ask(ask("b"))).toMatchObject({ cached: true });
    await cache.close();
  });

  it("comes from no more requests at once than allowed", async () => {
    let running = 0;
    let most = 0;
    const slow: Answer = (body, response) => {
      most = Math.max(most, ++running);
      setTimeout(() => {
        running--;
        echo(body, response);
      }, 15);
    };
    server.answers = Array.from({ length: 12 }, () => slow);
    const teacher = teacherWith({ concurrency: 3 });
    await Promise.all(Array.from({ length: 12 }, (_, i) => teacher.ask(ask(String(i)))));
    expect(most).toBe(3);
  });
});
