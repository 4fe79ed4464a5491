// Outputs beyond the caches are stored past them, by other instructions: the same bits as op by op on halves that are stored as usual.
import { cpuPaths, type Device, openDevice, type Scope, type Tensor } from "@posttrain/kernels";
import * as binding from "@posttrain/kernels/binding";
import { afterAll, describe, expect, it } from "vitest";

const [M, C] = [9000, 1024]; // 37 MB in fp32; a half has 18
const [H, A] = [16, 32];

interface Op {
  readonly name: string;
  readonly outputs: Readonly<Record<string, readonly number[]>>;
  readonly inputs: Readonly<Record<string, readonly number[]>>;
  /** Without rows: the whole for each half. */
  readonly whole?: readonly string[];
  readonly bf16?: boolean;
  readonly run: (of: (name: string) => Tensor) => void;
}

const ops: readonly Op[] = [
  { name: "fill", outputs: { y: [C] }, inputs: {}, run: (of) => binding.fillForward(of("y"), 0.3) },
  {
    name: "add",
    outputs: { y: [C] },
    inputs: { a: [C], b: [C] },
    run: (of) => binding.addForward(of("y"), of("a"), of("b")),
  },
  {
    name: "swiglu",
    outputs: { y: [C] },
    inputs: { a: [C], b: [C] },
    run: (of) => binding.swigluForward(of("y"), of("a"), of("b")),
  },
  {
    name: "swiglu backward",
    outputs: { y: [C], z: [C] },
    inputs: { a: [C], b: [C], c: [C] },
    run: (of) => binding.swigluBackward(of("y"), of("z"), of("a"), of("b"), of("c")),
  },
  {
    name: "rms_norm",
    outputs: { y: [C], sum: [C], rstd: [] },
    inputs: { a: [C], b: [C] },
    whole: ["w"],
    run: (of) => binding.rmsNormForward(of("y"), of("rstd"), of("sum"), of("a"), of("b"), of("w"), 1e-6),
  },
  {
    name: "rms_norm backward",
    outputs: { y: [C] },
    inputs: { a: [C], b: [C], c: [C], r: [] },
    whole: ["w"],
    run: (of) => binding.rmsNormBackward(of("y"), null, of("a"), of("b"), of("c"), of("w"), of("r")),
  },
  {
    name: "rope",
    outputs: { y: [H, 2 * A] },
    inputs: { a: [H, 2 * A], cosines: [A], sines: [A] },
    run: (of) => binding.ropeForward(of("y"), of("a"), of("cosines"), of("sines")),
  },
  {
    name: "convert",
    outputs: { y: [2 * C] },
    inputs: { a: [2 * C] },
    bf16: true,
    run: (of) => binding.convertForward(of("y"), of("a")),
  },
];

const devices = new Map<string, Device>();
afterAll(async () => {
  for (const device of devices.values()) await device.close();
});

/** Numbers in the exponents that matter, the same for the same name. */
function filled(scope: Scope, name: string, size: number): Tensor {
  const data = new Float32Array(size);
  let state = name.charCodeAt(0) * 7919;
  for (let i = 0; i < size; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) | 0;
    data[i] = state * 2 ** -30;
  }
  return scope.from(data);
}

const bytes = async (tensor: Tensor): Promise<Buffer> => {
  const { buffer, byteOffset, byteLength } = await tensor.read();
  return Buffer.from(buffer, byteOffset, byteLength);
};

for (const path of cpuPaths().filter((name) => name !== "plain")) {
  describe(path, () => {
    it.each(ops)("$name", async (op) => {
      const device = devices.get(path) ?? openDevice({ path, threads: 2 });
      devices.set(path, device);
      await device.run(async (scope) => {
        const size = (shape: readonly number[]) => M * shape.reduce((n, axis) => n * axis, 1);
        const inputs = Object.entries(op.inputs).map(([name, shape]) => [
          name,
          filled(scope, name, size(shape)),
        ]);
        const whole = (op.whole ?? []).map((name) => [name, filled(scope, name, C)]);
        const dtype = op.bf16 === true ? "bf16" : "f32";
        const outputs = () =>
          Object.entries(op.outputs).map(([name, shape]) => [name, scope.empty([size(shape)], dtype)]);
        const call = (tensors: ReadonlyMap<string, Tensor>, from: number, rows: number): void => {
          op.run((name) => {
            const tensor = tensors.get(name) as Tensor;
            if (op.whole?.includes(name) === true) return tensor;
            const shape = { ...op.inputs, ...op.outputs }[name] as readonly number[];
            return scope.view(tensor, (from * tensor.size) / M, [rows, ...shape]);
          });
        };
        const [all, halves] = [outputs(), outputs()].map(
          (out) => new Map([...inputs, ...whole, ...out] as [string, Tensor][]),
        );
        call(all as Map<string, Tensor>, 0, M);
        call(halves as Map<string, Tensor>, 0, M / 2);
        call(halves as Map<string, Tensor>, M / 2, M / 2);
        for (const name of Object.keys(op.outputs)) {
          const [a, b] = [await bytes(all?.get(name) as Tensor), await bytes(halves?.get(name) as Tensor)];
          expect(a.equals(b), name).toBe(true);
        }
      });
    });
  });
}
