// The part of ONNX's file format that a model of ours needs, and a file of it written: what is small is encoded by protobufjs, weights pass through
// as they come, so that a file of 2 GB takes no more memory than one of its tensors. Field numbers: github.com/onnx/onnx (Apache-2.0),
// onnx/onnx.proto; external data: docs/ExternalData.md there.
import protobuf from "protobufjs";
import { elementTypes, type OnnxAttribute, type OnnxGraph, type OnnxValue } from "./parts.js";

const schema = `syntax = "proto2";
message StringStringEntryProto { optional string key = 1; optional string value = 2; }
message OperatorSetIdProto { optional string domain = 1; optional int64 version = 2; }
message TensorProto {
  repeated int64 dims = 1; optional int32 data_type = 2; optional string name = 8; optional bytes raw_data = 9;
  repeated StringStringEntryProto external_data = 13; optional int32 data_location = 14;
}
message AttributeProto {
  optional string name = 1; optional float f = 2; optional int64 i = 3; repeated int64 ints = 8; optional int32 type = 20;
}
message NodeProto {
  repeated string input = 1; repeated string output = 2; optional string name = 3; optional string op_type = 4;
  repeated AttributeProto attribute = 5;
}
message Dimension { optional int64 dim_value = 1; optional string dim_param = 2; }
message TensorShapeProto { repeated Dimension dim = 1; }
message TensorTypeProto { optional int32 elem_type = 1; optional TensorShapeProto shape = 2; }
message TypeProto { optional TensorTypeProto tensor_type = 1; }
message ValueInfoProto { optional string name = 1; optional TypeProto type = 2; }
message GraphProto {
  repeated NodeProto node = 1; optional string name = 2; repeated TensorProto initializer = 5;
  repeated ValueInfoProto input = 11; repeated ValueInfoProto output = 12;
}
message ModelProto {
  optional int64 ir_version = 1; optional string producer_name = 2; optional GraphProto graph = 7;
  repeated OperatorSetIdProto opset_import = 8; repeated StringStringEntryProto metadata_props = 14;
}`;

const { root } = protobuf.parse(schema, { keepCase: true });
const encode = (type: string, message: object): Uint8Array => root.lookupType(type).encode(message).finish();

/** One weight in fp32: little-endian bytes, row-major, cut anywhere. */
export interface OnnxWeight {
  readonly name: string;
  readonly shape: readonly number[];
  readonly bytes: () => AsyncIterable<Uint8Array>;
}

/** IR version 8 and operator set 17: what onnxruntime reads since 1.12 (2022). */
const irVersion = 8;
const opset = 17;

/** A protobuf message ends here, and with it a file that holds its weights itself. */
export const maxFileBytes = 2 ** 31 - 1;

/** External data begins at multiples of a page, so that it can be mapped. */
const page = 4096;

/** The file with its weights in it, in pieces; its length is known before the first. */
export function onnxFile(
  graph: OnnxGraph,
  weights: readonly OnnxWeight[],
  metadata: Readonly<Record<string, string>>,
): { readonly bytes: number; readonly pieces: () => AsyncGenerator<Uint8Array> } {
  const tensors = weights.map(({ name, shape, bytes }) => {
    const length = weightBytes(shape);
    const start = join([encode("TensorProto", tensorHeader(name, shape)), lengthPrefix(9, length)]);
    return { start: join([lengthPrefix(5, start.length + length), start]), length, bytes };
  });
  const before = encode("GraphProto", graphMessage(graph, []));
  const inGraph = tensors.reduce((sum, { start, length }) => sum + start.length + length, before.length);
  const model = encode("ModelProto", modelMessage(metadata));
  // A length of 2 GB and more fits no message: whoever asks for `bytes` sees it.
  const start = join([model, lengthPrefix(7, Math.min(inGraph, maxFileBytes)), before]);
  return {
    bytes: start.length - before.length + inGraph,
    async *pieces() {
      yield start;
      for (const tensor of tensors) {
        yield tensor.start;
        yield* exactly(tensor.bytes(), tensor.length);
      }
    },
  };
}

/** The file whose weights lie in the file `location` beside it, and the pieces of that one. */
export function onnxFileBeside(
  graph: OnnxGraph,
  weights: readonly OnnxWeight[],
  metadata: Readonly<Record<string, string>>,
  location: string,
): { readonly model: Uint8Array; readonly data: () => AsyncGenerator<Uint8Array> } {
  let end = 0;
  const places = weights.map(({ name, shape, bytes }) => {
    const offset = Math.ceil(end / page) * page;
    const padding = offset - end;
    const length = weightBytes(shape);
    end = offset + length;
    return { name, shape, bytes, padding, offset, length };
  });
  const initializers = places.map(({ name, shape, offset, length }) => ({
    ...tensorHeader(name, shape),
    data_location: 1,
    external_data: entries({ location, offset: String(offset), length: String(length) }),
  }));
  return {
    model: encode("ModelProto", { ...modelMessage(metadata), graph: graphMessage(graph, initializers) }),
    async *data() {
      for (const { padding, length, bytes } of places) {
        if (padding > 0) yield new Uint8Array(padding);
        yield* exactly(bytes(), length);
      }
    },
  };
}

async function* exactly(pieces: AsyncIterable<Uint8Array>, length: number): AsyncGenerator<Uint8Array> {
  let written = 0;
  for await (const piece of pieces) {
    written += piece.length;
    yield piece;
  }
  if (written !== length) throw new Error(`onnx: a weight brought ${written} bytes, not ${length}`);
}

const weightBytes = (shape: readonly number[]): number => 4 * shape.reduce((product, n) => product * n, 1);

/** The tag of a field with a length, and the length. */
const lengthPrefix = (field: number, length: number): Uint8Array =>
  protobuf.Writer.create()
    .uint32((field << 3) | 2)
    .uint32(length)
    .finish();

function join(parts: readonly Uint8Array[]): Uint8Array {
  return Buffer.concat(parts);
}

const tensorHeader = (name: string, dims: readonly number[]) => ({
  name,
  dims,
  data_type: elementTypes.float,
});

const entries = (record: Readonly<Record<string, string>>) =>
  Object.entries(record).map(([key, value]) => ({ key, value }));

function modelMessage(metadata: Readonly<Record<string, string>>): object {
  return {
    ir_version: irVersion,
    producer_name: "posttrain",
    opset_import: [{ domain: "", version: opset }],
    metadata_props: entries(metadata),
  };
}

function graphMessage(graph: OnnxGraph, initializers: readonly object[]): object {
  return {
    name: graph.name,
    node: graph.nodes.map(({ type, inputs, outputs, attributes = {} }) => ({
      op_type: type,
      name: outputs[0],
      input: inputs,
      output: outputs,
      attribute: Object.entries(attributes).map(([name, value]) => ({
        name,
        ...value,
        type: attributeType(value),
      })),
    })),
    initializer: [
      ...graph.constants.map(({ name, type, shape, bytes }) => ({
        name,
        dims: shape,
        data_type: elementTypes[type],
        raw_data: bytes,
      })),
      ...initializers,
    ],
    input: graph.inputs.map(valueMessage),
    output: graph.outputs.map(valueMessage),
  };
}

/** AttributeProto.AttributeType. */
const attributeType = (value: OnnxAttribute): number => ("f" in value ? 1 : "i" in value ? 2 : 7);

function valueMessage({ name, type, shape }: OnnxValue): object {
  const dim = shape.map((size) => (typeof size === "number" ? { dim_value: size } : { dim_param: size }));
  return { name, type: { tensor_type: { elem_type: elementTypes[type], shape: { dim } } } };
}
