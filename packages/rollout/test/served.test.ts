// Replies of a server for the prompts of a file: what is sent, in which order replies come, what a second run asks, what is refused.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  openServer,
  readConversations,
  rollOutServed,
  type ServedRollout,
  type Server,
  servedSampling,
  serverOptions,
} from "@posttrain/rollout";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { z } from "zod";
import {
  type Answer,
  echo,
  json,
  openScriptedServer,
  type ScriptedServer,
} from "../../../tests/support/openai-server.js";

const folder = mkdtempSync(join(tmpdir(), "posttrain-served-"));
let server: ScriptedServer;
beforeAll(async () => {
  server = await openScriptedServer();
});
afterAll(() => {
  server.close();
  rmSync(folder, { recursive: true });
});
afterEach(() => server.reset());

const schema = z.strictObject(serverOptions);
const open = (more: object = {}, environment: NodeJS.ProcessEnv = {}): Promise<Server> =>
  openServer(schema.parse({ base_url: server.baseUrl, model: "m", max_retries: 0, ...more }), environment);
const user = (content: string) => ({ messages: [{ role: "user" as const, content }] });
const prompts = ["a", "b", "c"].map(user);
const plan = { samples: 2, seed: 7, stream: "evaluation", max_tokens: 9 } as const;

async function all(from: Server, more: object = {}): Promise<readonly ServedRollout[]> {
  const found: ServedRollout[] = [];
  for await (const reply of rollOutServed(from, prompts, { ...plan, ...more })) found.push(reply);
  return found;
}
const places = (replies: readonly ServedRollout[]) =>
  replies.map(({ prompt, sample }) => `${prompt}.${sample}`);
const seeds = () => server.bodies.map(({ seed }) => seed);

describe("rollOutServed", () => {
  it("asks for every sample with a seed of its own, the same every time", async () => {
    const asked = await open();
    expect(await all(asked)).toHaveLength(6);
    expect(server.bodies).toContainEqual({
      model: "m",
      ...user("a"),
      max_tokens: 9,
      seed: expect.any(Number),
    });
    const first = seeds();
    expect(new Set(first).size).toBe(6);
    server.reset();
    await all(asked);
    expect(seeds()).toEqual(first);
    server.reset();
    await all(asked, { visit: 1 });
    expect(seeds().some((seed) => first.includes(seed))).toBe(false);
  });

  it("asks for the next while replies are taken, never for all at once", async () => {
    const teacher = await open({ num_concurrent: 1 });
    let asked = 0;
    const counted = {
      ...teacher,
      ask: (...args: Parameters<Server["ask"]>) => {
        asked++;
        return teacher.ask(...args);
      },
    };
    const found = rollOutServed(counted, prompts, plan);
    for (const expected of [2, 3, 4, 5, 6, 6]) {
      await found.next();
      expect(asked).toBe(expected);
    }
  });

  it("hands replies out as they come", async () => {
    const held: (() => void)[] = [];
    const hold: Answer = (body, response) => held.push(() => echo(body, response));
    server.answers = [hold];
    const found = rollOutServed(await open({ num_concurrent: 2 }), prompts, plan);
    const early = await found.next();
    expect(early.value).toMatchObject({ prompt: 0, text: "said: a" });
    held[0]?.();
    const late = [];
    for await (const reply of found) late.push(reply);
    expect(places([early.value!, ...late]).sort()).toEqual(["0.0", "0.1", "1.0", "1.1", "2.0", "2.1"]);
  });

  it("says of a reply that failed why, in its place", async () => {
    server.answers = [echo, json(400, { error: { message: "too long" } })];
    const found = await all(await open({ num_concurrent: 1 }));
    expect(found.filter(({ outcome }) => outcome === "failed")).toEqual([
      { prompt: 0, sample: 1, outcome: "failed", reason: expect.stringContaining("too long") },
    ]);
    expect(found).toHaveLength(6);
  });

  it("keeps what came before a budget ended; a second run asks for the rest", async () => {
    const cache = join(folder, "replies.jsonl");
    const poor = await open(
      { reply_cache: cache, num_concurrent: 1, budget_tokens: 40 },
      { OPENAI_API_KEY: "secret" },
    );
    await expect(all(poor)).rejects.toMatchObject({ code: "budget_spent" });
    await expect(open({ reply_cache: cache })).rejects.toMatchObject({ code: "cache_locked" });
    await poor.close();
    expect(server.bodies).toHaveLength(3);
    expect(server.headers[0]?.authorization).toBe("Bearer secret");
    const rich = await open({ reply_cache: cache });
    expect(await all(rich)).toHaveLength(6);
    expect(rich.counters()).toMatchObject({ cached: 3, asked: 3 });
    await rich.close();
    expect(readFileSync(cache, "utf8")).not.toContain("secret");
  });

  it("gives up what is under way when nobody takes it", async () => {
    let closed = 0;
    const hang: Answer = (_, response) => response.on("close", () => closed++);
    server.answers = [echo, hang, hang];
    const found = rollOutServed(await open({ num_concurrent: 3 }), prompts, plan);
    await found.next();
    const left = found.return();
    await expect.poll(() => closed, { timeout: 30_000 }).toBe(2);
    await left;
  });
});

describe("options", () => {
  it.each([
    ["nowhere", /expected an address/],
    ["ftp://x/v1", /expected an address/],
    ["https://me:word@x/v1", /a password in it.*OPENAI_API_KEY/],
  ])("base_url %s is refused", (base_url, says) => {
    expect(schema.safeParse({ base_url }).error?.issues[0]?.message).toMatch(says);
  });

  it("without an address or a name there is no server", async () => {
    await expect(open({ model: undefined })).rejects.toMatchObject({ code: "bad_option" });
    await expect(open({ base_url: undefined })).rejects.toMatchObject({ code: "bad_option" });
  });

  it("of sampling are sent where they are given", () => {
    const off = { max_new_tokens: 5, stop_ids: [], stop: [], seed: 1 };
    expect(servedSampling(off)).toEqual({ max_tokens: 5 });
    expect(servedSampling({ ...off, temperature: 0, top_k: 20, stop: ["x"] })).toEqual({
      ...{ max_tokens: 5, temperature: 0, top_k: 20 },
      stop: ["x"],
    });
    expect(() => servedSampling({ ...off, stop_ids: [3] })).toThrow(/--stop_ids are ids of a tokenizer/);
  });
});

describe("readConversations", () => {
  const read = (row: object) => {
    const path = join(folder, "rows.jsonl");
    writeFileSync(path, `${JSON.stringify(user("x"))}\n${JSON.stringify(row)}\n`);
    return readConversations(path);
  };
  const system = { role: "system", content: "be brief" };
  const question = { role: "user", content: "2+2?" };
  const answer = { role: "assistant", content: "4" };

  it("reads prompts and conversations, of which role and content are sent", async () => {
    const [, one] = await read({ prompt: "2+2?", answer: "4" });
    expect(one).toMatchObject({ line: 2, id: expect.stringMatching(/^[0-9a-f]{64}$/), messages: [question] });
    const [, chat] = await read({ messages: [system, { ...question, name: "me" }, answer, question], id: 9 });
    expect(chat?.messages).toEqual([system, question, answer, question]);
  });

  it.each<[row: object, says: RegExp]>([
    [{ input_ids: [1] }, /line 2: input_ids are tokens of one model/],
    [{ messages: [question, answer] }, /line 2: messages: the last message is an assistant turn/],
    [{ messages: [question], tools: [{ type: "function" }] }, /line 2: tools cannot be sent/],
    [{ messages: [question], chat_template_kwargs: { a: 1 } }, /line 2: chat_template_kwargs cannot/],
    [
      {
        messages: [
          question,
          { role: "assistant", tool_calls: [{ type: "function", function: { name: "f", arguments: {} } }] },
          { role: "tool", content: "4" },
        ],
      },
      /line 2: messages\[1\], a call of a tool/,
    ],
    [{ answer: "4" }, /line 2: it asks nothing: its columns are answer, expected prompt, messages, question/],
    [{ prompt: 3 }, /line 2: prompt: expected text or a list of messages, came a number 3/],
  ])("refuses %j", async (row, says) => {
    await expect(read(row)).rejects.toThrow(says);
  });
});
