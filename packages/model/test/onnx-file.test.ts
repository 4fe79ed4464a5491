// The file format: lengths that are known before anything is written, and weights that follow in pieces.
import protobuf from "protobufjs";
import { expect, it } from "vitest";
import type { OnnxGraph } from "../src/onnx/parts.js";
import { maxFileBytes, onnxFile, onnxFileBeside } from "../src/onnx/proto.js";

const graph: OnnxGraph = {
  name: "sum",
  inputs: [{ name: "x", type: "float", shape: ["n", 2] }],
  outputs: [{ name: "y", type: "float", shape: ["n", 2] }],
  nodes: [
    { type: "Add", inputs: ["x", "a"], outputs: ["z"] },
    { type: "Add", inputs: ["z", "b"], outputs: ["y"] },
  ],
  constants: [],
  weights: ["a", "b"],
};

function weight(name: string, values: readonly number[]) {
  const bytes = new Uint8Array(Float32Array.from(values).buffer);
  return {
    name,
    shape: [values.length],
    bytes: async function* () {
      yield bytes.subarray(0, 3);
      yield bytes.subarray(3);
    },
  };
}

const weights = [weight("a", [1, 2]), weight("b", [3, 4])];

async function all(pieces: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  for await (const piece of pieces) parts.push(piece);
  return Buffer.concat(parts);
}

/** Fields of the message at bytes start to end by number, without a schema: what a reader of the wire format sees. */
function fields(bytes: Uint8Array): ReadonlyMap<number, readonly Uint8Array[]> {
  const reader = protobuf.Reader.create(bytes);
  const found = new Map<number, Uint8Array[]>();
  while (reader.pos < reader.len) {
    const tag = reader.uint32();
    if ((tag & 7) === 2) found.set(tag >>> 3, [...(found.get(tag >>> 3) ?? []), reader.bytes()]);
    else reader.skipType(tag & 7);
  }
  return found;
}

it("a file is as long as it said, and its graph holds the weights' bytes", async () => {
  const file = onnxFile(graph, weights, { made: "here" });
  const bytes = await all(file.pieces());
  expect(bytes.length).toBe(file.bytes);
  const graphs = fields(bytes).get(7)!;
  expect(graphs).toHaveLength(1);
  const tensors = fields(graphs[0]!).get(5)!;
  expect(
    tensors.map((tensor) => [...new Float32Array(Uint8Array.from(fields(tensor).get(9)![0]!).buffer)]),
  ).toEqual([
    [1, 2],
    [3, 4],
  ]);
});

it("says that weights of 2 GB do not fit, without reading them", () => {
  const large = { ...weight("a", []), shape: [1024, 1024, 513] };
  expect(onnxFile(graph, [large], {}).bytes).toBeGreaterThan(maxFileBytes);
});

it("weights beside the file begin at pages", async () => {
  const { model, data } = onnxFileBeside(graph, weights, {}, "weights");
  const bytes = await all(data());
  expect(bytes.length).toBe(4096 + 8);
  expect(new Float32Array(Uint8Array.from(bytes.subarray(4096)).buffer)).toEqual(Float32Array.of(3, 4));
  const [, second] = fields(fields(model).get(7)![0]!).get(5)!;
  const entries = fields(second!)
    .get(13)!
    .map((entry) => fields(entry));
  const text = entries.map((entry) => [1, 2].map((field) => Buffer.from(entry.get(field)![0]!).toString()));
  expect(Object.fromEntries(text)).toEqual({ location: "weights", offset: "4096", length: "8" });
});

it("a weight that brings other bytes than its shape is a bug", async () => {
  const short = { ...weight("a", [1, 2]), shape: [3] };
  await expect(all(onnxFile(graph, [short], {}).pieces())).rejects.toThrow("brought 8 bytes, not 12");
});
