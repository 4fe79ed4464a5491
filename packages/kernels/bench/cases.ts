// The ops of the case files at the shapes that they name: for whoever works on one op.
import { backward, type Device, fill, Tape, type Tensor } from "@posttrain/kernels";
import { type Dims, type OpCase, Random } from "../test/cases/case.js";
import { type Measured, measure, median, probe, timed } from "./measure.js";
import { report, rowOf } from "./results.js";

export async function benchCase(device: Device, opCase: OpCase): Promise<void> {
  for (const dims of opCase.benchmarks) await benchShape(device, opCase, dims);
}

async function benchShape(device: Device, opCase: OpCase, dims: Dims): Promise<void> {
  const { flops } = opCase.cost(dims);
  await device.run(async (scope) => {
    const inputs: Record<string, Tensor> = {};
    for (const [name, { data, shape, dtype }] of Object.entries(opCase.inputs(dims, new Random(1)))) {
      inputs[name] = scope.from(data, shape, dtype);
    }
    const run = (): void => {
      const inner = device.scope();
      opCase.run(inner, inputs, dims);
      inner.end();
    };
    reportCase(
      device,
      opCase,
      dims,
      "forward",
      await measure(device, { run, cost: flops, limit: "fp32 peak" }),
    );
    const spec = opCase.gradients;
    if (spec === undefined) return;
    for (const name of spec.parameters) {
      const parameter = inputs[name] as Tensor;
      parameter.gradient = scope.empty(parameter.shape);
      fill(parameter.gradient, 0);
    }
    const once = async (): Promise<Measured> => {
      const tape = new Tape();
      return device.run(async (outer) => {
        const made = opCase.run(outer, inputs, dims);
        const seeds = spec.outputs.map((name) => {
          const tensor = made[name] as Tensor;
          return { tensor, gradient: outer.from(new Float32Array(tensor.size).fill(1), tensor.shape) };
        });
        const roof = await probe(device, "fp32 peak");
        const { wall, cpu } = await timed(async () => {
          backward(outer, tape, seeds);
          await device.drain();
        });
        // Two products where the forward pass has one; elementwise ops likewise read and write about twice as much.
        const [rate, cpuRate] = [(2 * flops) / wall, (2 * flops) / cpu];
        return {
          seconds: wall,
          rate,
          roof: roof.wall,
          share: rate / roof.wall,
          cpuShare: cpuRate / roof.cpu,
        };
      }, tape);
    };
    await once();
    const found: Measured[] = [];
    for (let i = 0; i < 7; i++) found.push(await once());
    const middle = (key: keyof Measured): number => median(found.map((one) => one[key]));
    reportCase(device, opCase, dims, "backward", {
      seconds: middle("seconds"),
      rate: middle("rate"),
      roof: middle("roof"),
      share: middle("share"),
      cpuShare: middle("cpuShare"),
    });
  });
}

function reportCase(device: Device, opCase: OpCase, dims: Dims, direction: string, found: Measured): void {
  const shape = Object.entries(dims)
    .map(([name, value]) => `${name}${value}`)
    .join(" ");
  report(rowOf(device, found, { group: "ops", what: opCase.stem, direction, dtype: "f32", shape }));
}
