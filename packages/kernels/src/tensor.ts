// A tensor: dtype, shape and a handle to memory on a device. Memory is counted: every scope or tape that needs the tensor holds
// it once; when the last one lets go, the memory returns to the arena at its place in the stream.
import type { Device } from "./device.js";
import { KernelError } from "./errors.js";
import { native, type TensorHandle } from "./native.js";

export const dtypes = ["f32", "f64", "bf16", "f16", "i32"] as const;
export type Dtype = (typeof dtypes)[number];
/** What activations and parameters are computed in (FLOAT in native/abi/ops.def). */
export type FloatDtype = "f32" | "bf16";
export type TensorData = Float32Array | Float64Array | Int32Array | Uint16Array;
const arrays = { f32: Float32Array, f64: Float64Array, i32: Int32Array, bf16: Uint16Array, f16: Uint16Array };

export class Tensor {
  readonly device: Device;
  readonly handle: TensorHandle;
  readonly dtype: Dtype;
  readonly shape: readonly number[];
  /** For a parameter that is trained: where backward rules add its gradient (+=). */
  gradient: Tensor | undefined = undefined;
  #holders = 0;
  #freed = false;

  /** Not for callers: tensors come from a scope or an op. */
  constructor(device: Device, handle: TensorHandle, dtype: Dtype, shape: readonly number[]) {
    this.device = device;
    this.handle = handle;
    this.dtype = dtype;
    this.shape = Object.isFrozen(shape) ? shape : Object.freeze([...shape]);
  }

  get size(): number {
    return this.shape.reduce((product, dim) => product * dim, 1);
  }

  get freed(): boolean {
    return this.#freed;
  }

  hold(): this {
    if (this.#freed) throw new KernelError("kernel_argument", `hold: the tensor ${describe(this)} was freed`);
    this.#holders++;
    return this;
  }

  drop(): void {
    if (--this.#holders > 0 || this.#freed) return;
    this.#freed = true;
    native().freeTensor(this.handle);
  }

  /** The values as they are at this place in the stream (half precision: its bits). Waits for everything enqueued before. */
  async read(): Promise<TensorData> {
    return new arrays[this.dtype](await native().read(this.handle));
  }

  /**
   * The bytes as they are at this place in the stream, in pieces of so many elements. A piece is valid until the next is asked for: no
   * more than one is in memory.
   */
  async *pieces(elements: number): AsyncGenerator<Uint8Array> {
    for (let start = 0; start < this.size; start += elements) {
      const length = Math.min(elements, this.size - start);
      const view = new Tensor(this.device, native().viewTensor(this.handle, start, [length]), this.dtype, [
        length,
      ]);
      const buffer = await native()
        .read(view.hold().handle)
        .finally(() => view.drop());
      yield new Uint8Array(buffer);
      native().releaseCopy(buffer);
    }
  }

  /** Stores `data` (one number for each element, in the array of this dtype) at this place in the stream; it may be reused at once. */
  write(data: TensorData): void {
    native().write(this.handle, data);
  }
}

export function describe(tensor: Tensor): string {
  return `${tensor.dtype} [${tensor.shape.join(", ")}]`;
}

/** What the binding passes on: the handle of a tensor, anything else as it is, so that the addon says what is wrong with it. */
export function handleOf(value: unknown): unknown {
  return value instanceof Tensor ? value.handle : value;
}

/** What a wrong value is, in an error's words: "null", "a number", "a Float32Array". */
export function kindOf(value: unknown): string {
  if (value === null || value === undefined) return String(value);
  if (ArrayBuffer.isView(value)) return `a ${Object.prototype.toString.call(value).slice(8, -1)}`;
  if (Array.isArray(value)) return "an array";
  return `${typeof value === "object" ? "an" : "a"} ${typeof value}`;
}

/** The op's argument as a tensor, or an error that names both. */
export function tensorOf(op: string, name: string, value: unknown): Tensor {
  if (value instanceof Tensor) return value;
  throw new KernelError("kernel_argument", `${op}: ${name} is ${kindOf(value)}, expected a tensor`);
}

/** The shape of an op's argument, or an error that names op and argument when it is no tensor of that many axes. */
export function shapeOf(op: string, name: string, value: unknown, axes: number): readonly number[] {
  const tensor = tensorOf(op, name, value);
  if (tensor.shape.length === axes) return tensor.shape;
  const expected = axes === 1 ? "1 axis" : `${axes} axes`;
  throw new KernelError("kernel_argument", `${op}: ${name} is ${describe(tensor)}, expected ${expected}`);
}

/** The addon's number for a dtype. */
export function dtypeCode(op: string, dtype: unknown): number {
  const code = (dtypes as readonly unknown[]).indexOf(dtype);
  if (code >= 0) return code;
  const given = typeof dtype === "string" ? `"${dtype}"` : kindOf(dtype);
  throw new KernelError("kernel_argument", `${op}: dtype is ${given}, expected one of ${dtypes.join(", ")}`);
}

/** A shape that nobody changes after the addon's look at it; what is no array passes on, for the addon to refuse. */
export function ownCopy(shape: readonly number[]): readonly number[] {
  if (!Array.isArray(shape) || shape.length > 16) return shape;
  const copy: number[] = []; // several times faster than Array.from, and every op makes a tensor
  for (let i = 0; i < shape.length; i++) copy.push(shape[i] as number);
  return Object.freeze(copy);
}
