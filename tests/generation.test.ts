// Generation runs a step ahead of what it knows: texts must not depend on that, nor on who else is in the batch or waits for room.
import { type Device, keysPerPage, openDevice } from "@posttrain/kernels";
import {
  type GenerationOptions,
  type GenerationRequest,
  generate,
  loadModel,
  type Model,
  policySampling,
} from "@posttrain/model";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { goldenPath } from "./support/golden.js";

let device: Device;
let model: Model;
beforeAll(async () => {
  device = openDevice({ threads: 2 });
  model = await loadModel(device, goldenPath("qwen2-tiny-tied"));
});
afterAll(async () => {
  model.scope.end();
  await device.close();
});

/** Keys and values of one page over all layers. */
const pageBytes = ({ config }: Model) =>
  config.layers * 2 * config.kvHeads * keysPerPage * config.headDim * 4;

const options: GenerationOptions = { seed: 3, stream: "evaluation", drawable: 320 };

/** Every third with a repetition penalty, every fourth greedy; some stop early, some never, some at their first token. */
const requests: readonly GenerationRequest[] = Array.from({ length: 12 }, (_, row) => ({
  promptIds: Int32Array.from({ length: 1 + ((row * 29) % 90) }, (_, i) => (i * 7 + row * 53) % 320),
  samples: 1 + (row % 3),
  row,
  visit: 0,
  settings: {
    ...policySampling,
    repetitionPenalty: row % 3 === 0 ? 1.7 : 1,
    temperature: row % 4 === 0 ? 0 : 1,
    maxNewTokens: row === 5 ? 1 : 10 + row * 5,
    stopIds: row % 2 === 0 ? Array.from({ length: 40 }, (_, i) => i * 8) : [],
  },
}));

describe("generation", () => {
  it("gives each request what it gets alone: with and without a penalty, stopped early or not", async () => {
    const together = await generate(model, requests, options);
    for (const [index, request] of requests.entries()) {
      const alone = await generate(model, [request], options);
      expect(
        together
          .filter((one) => one.request === index)
          .map(({ ids, logProbs, finish }) => [ids, logProbs, finish]),
      ).toEqual(alone.map(({ ids, logProbs, finish }) => [ids, logProbs, finish]));
    }
    expect(together.some(({ finish, ids }) => finish === "stop" && ids.length === 1)).toBe(true);
    expect(together.some(({ finish }) => finish === "length")).toBe(true);
    expect(
      together.every(({ ids, request }) => ids.length <= (requests[request]?.settings.maxNewTokens ?? 0)),
    ).toBe(true);
  });

  it("gives the same where requests wait for pages and places, and leaves no memory behind", async () => {
    const together = await generate(model, requests, options);
    const before = device.status().bytesInUse;
    const streamed = new Map<string, number[]>();
    const waiting = await generate(model, requests, {
      ...options,
      cacheBytes: 6 * pageBytes(model),
      maxSequences: 4,
      prefillTokens: 50,
      onToken: (request, sample, id) => {
        const key = `${request}/${sample}`;
        streamed.set(key, [...(streamed.get(key) ?? []), id]);
      },
    });
    expect(waiting).toEqual(together);
    expect(device.status().bytesInUse).toBe(before);
    for (const { request, sample, ids } of waiting)
      expect(streamed.get(`${request}/${sample}`)).toEqual([...ids]);
  });

  it("penalises the token that was drawn last, too", async () => {
    const settings = {
      ...policySampling,
      temperature: 0,
      repetitionPenalty: 1e6,
      maxNewTokens: 40,
      stopIds: [],
    };
    const asked = { promptIds: Int32Array.of(7, 9), samples: 1, row: 0, visit: 0, settings };
    const [answer] = await generate(model, [asked], options);
    expect(new Set([7, 9, ...(answer?.ids ?? [])]).size).toBe(42);
  });
});
