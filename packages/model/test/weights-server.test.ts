// Weights over HTTP: what is fetched is what was published, once, from where a broken connection has ended, and for nobody without the token.
import { mkdtempSync, readdirSync, rmSync, statSync } from "node:fs";
import { createServer, type IncomingMessage } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Device, fill, openDevice } from "@posttrain/kernels";
import { afterAll, beforeAll, expect, it, onTestFinished } from "vitest";
import { loadModel } from "../src/load-model.js";
import { type Model, parameter } from "../src/model.js";
import { loadPublished, openPublisher, type Publisher, weightsOfModel } from "../src/published-model.js";
import { weightsAt } from "../src/weights-place.js";
import { serveWeights } from "../src/weights-server.js";

const golden = fileURLToPath(new URL("../../../tests/fixtures/golden/qwen2-tiny-tied", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "posttrain-weights-server-"));
let device: Device;
let model: Model;
beforeAll(async () => {
  device = openDevice({ threads: 1 });
  model = await loadModel(device, golden);
});
afterAll(async () => {
  model.scope.end();
  await device.close();
  rmSync(folder, { recursive: true });
});

const newFolder = (): string => mkdtempSync(join(folder, "test-"));

async function publishing(token?: string): Promise<{ readonly publisher: Publisher; readonly url: string }> {
  const dir = newFolder();
  const server = await serveWeights(join(dir, "run"), "0", token);
  onTestFinished(() => server[Symbol.asyncDispose]());
  return { publisher: openPublisher(dir, "run"), url: server.url };
}

/** Between a worker and the server: what is asked for, and connections that break off. */
async function between(
  url: string,
  cutAt: (path: string, tries: number) => number | undefined,
  change: (bytes: Buffer) => Buffer = (bytes) => bytes,
  arrived: (path: string, bytes: number) => Promise<void> = async () => undefined,
): Promise<{ readonly url: string; readonly asked: string[] }> {
  const asked: string[] = [];
  const server = createServer(async ({ url: path = "", headers }: IncomingMessage, response) => {
    const { range, authorization } = headers;
    const tries = asked.filter((one) => one.startsWith(path)).length;
    asked.push(range === undefined ? path : `${path} ${range}`);
    const answer = await fetch(url + path, {
      headers: { ...(range && { range }), ...(authorization && { authorization }) },
    });
    const bytes = change(Buffer.from(await answer.arrayBuffer()));
    const cut = cutAt(path, tries);
    response.writeHead(answer.status, { "content-length": bytes.length });
    if (cut === undefined) response.end(bytes);
    else {
      response.write(bytes.subarray(0, cut));
      // What was not taken before a connection breaks is lost with it.
      await arrived(path, (tries + 1) * cut);
      response.destroy();
    }
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(
    () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  );
  return { url: `http://127.0.0.1:${(server.address() as { port: number }).port}`, asked };
}

async function valuesOf({ parameters }: Model): Promise<Readonly<Record<string, unknown>>> {
  const all = await Promise.all([...parameters].map(async ([name, tensor]) => [name, await tensor.read()]));
  return Object.fromEntries(all) as Readonly<Record<string, unknown>>;
}

it("gives the weights, and of the next ones what has changed; the cache keeps what it may", async () => {
  const { publisher, url } = await publishing("secret");
  const own = await loadModel(device, golden);
  onTestFinished(() => own.scope.end());
  const proxy = await between(url, () => undefined);
  const cache = newFolder();
  const place = weightsAt({ url: proxy.url, token: "secret", cache, cacheBytes: 0 });
  const first = await publisher.publish(weightsOfModel(own), "policy");
  expect(await place.find("0".repeat(64))).toBeUndefined();
  let held = await loadPublished(device, place.name, (await place.find(first))!, "f32");
  expect(await valuesOf(held.model)).toEqual(await valuesOf(own));
  const before = readdirSync(join(cache, "tensors"));
  proxy.asked.length = 0;
  fill(parameter(own, "model.norm.weight"), 2);
  const second = await publisher.publish(weightsOfModel(own), "policy");
  held = await loadPublished(device, place.name, (await place.find(second))!, "f32", held);
  expect(await valuesOf(held.model)).toEqual(await valuesOf(own));
  held.model.scope.end();
  expect(proxy.asked).toEqual([`/models/${second}.json`, expect.stringMatching(/^\/tensors\/[0-9a-f]{64}$/)]);
  const after = readdirSync(join(cache, "tensors"));
  expect([after.length, after.filter((name) => !before.includes(name)).length]).toEqual([before.length, 1]);
});

it("goes on where a connection has ended", async () => {
  const { publisher, url } = await publishing();
  const digest = await publisher.publish(weightsOfModel(model), "policy");
  const cache = newFolder();
  const proxy = await between(
    url,
    (path, tries) => (path.startsWith("/tensors/") && tries < 2 ? 5 : undefined),
    undefined,
    async (path, bytes) => {
      const size = (): number =>
        statSync(`${join(cache, path)}.partial`, { throwIfNoEntry: false })?.size ?? 0;
      await expect.poll(size, { timeout: 60_000, interval: 1 }).toBe(bytes);
    },
  );
  const place = weightsAt({ url: proxy.url, token: undefined, cache, cacheBytes: 1e9 });
  const { model: loaded } = await loadPublished(device, "here", (await place.find(digest))!, "f32");
  expect(await valuesOf(loaded)).toEqual(await valuesOf(model));
  loaded.scope.end();
  expect(proxy.asked.filter((one) => one.endsWith(" bytes=10-")).length).toBeGreaterThan(10);
});

it("takes nothing that is not what its name says", async () => {
  const { publisher, url } = await publishing();
  const digest = await publisher.publish(weightsOfModel(model), "policy");
  const { url: other } = await between(
    url,
    () => undefined,
    (bytes) =>
      bytes[0] === 0x7b ? bytes : Buffer.concat([Buffer.from([(bytes[0] as number) ^ 1]), bytes.subarray(1)]),
  );
  const cache = newFolder();
  const place = weightsAt({ url: other, token: undefined, cache, cacheBytes: 1e9 });
  await expect(place.find(digest)).rejects.toThrow(
    /sent as the tensor [0-9a-f]{12} is not what its name says/,
  );
  expect(readdirSync(join(cache, "tensors"))).toEqual([]);
});

it("answers nobody without the token, and nothing but what is published", async () => {
  const { publisher, url } = await publishing("secret");
  const digest = await publisher.publish(weightsOfModel(model), "policy");
  for (const token of [undefined, "secrets"]) {
    const place = weightsAt({ url, token, cache: newFolder(), cacheBytes: 0 });
    await expect(place.find(digest)).rejects.toThrow("give the worker the POSTTRAIN_WEIGHTS_TOKEN");
  }
  const status = async (path: string, init: RequestInit = {}): Promise<number> => {
    const answer = await fetch(url + path, {
      ...init,
      headers: { authorization: "Bearer secret", ...init.headers },
    });
    await answer.arrayBuffer();
    return answer.status;
  };
  expect(await status(`/models/${digest}.json`)).toBe(200);
  expect(await status(`/models/${digest}.json`, { headers: { range: "bytes=999999999-" } })).toBe(416);
  expect(await status(`/models/${digest}.json`, { method: "DELETE" })).toBe(405);
  for (const path of ["/", "/models", `/models/${digest}.json?x`, "/tensors/..%2f..%2fetc", "/models/x"])
    expect(await status(path)).toBe(404);
});

it("is for this machine alone, unless it has a token, and says what is no address", async () => {
  const folderOf = newFolder();
  await expect(serveWeights(folderOf, "0.0.0.0:0", undefined)).rejects.toThrow(
    "would give the weights to everybody who reaches 0.0.0.0. Set POSTTRAIN_WEIGHTS_TOKEN",
  );
  await using open = await serveWeights(folderOf, "0.0.0.0:0", "secret");
  expect(open.url).toMatch(/^http:\/\/0\.0\.0\.0:\d+$/);
  const port = open.url.split(":").at(-1);
  await expect(serveWeights(folderOf, `0.0.0.0:${port}`, "secret")).rejects.toThrow("EADDRINUSE");
  for (const address of ["", "host", "1:2:3", "70000", "10.0.0.5:"])
    await expect(serveWeights(folderOf, address, "secret")).rejects.toThrow("expected PORT or HOST:PORT");
  for (const url of ["10.0.0.5:7070", "ftp://x", "http://me:secret@x:1"])
    expect(() => weightsAt({ url, token: undefined, cache: folderOf, cacheBytes: 0 })).toThrow(
      /^weights_url is no address such as/,
    );
});
