// Who frees a tensor. Every tensor that an op makes is held by the scope that the op was given; ending the scope lets go of all
// of them, except what a parent keeps or a tape saved for its backward pass. The garbage collector is only the leak detector:
// it knows nothing of device memory.
import type { Device } from "./device.js";
import { KernelError } from "./errors.js";
import { native } from "./native.js";
import type { Tape } from "./tape.js";
import { type Dtype, dtypeCode, kindOf, ownCopy, Tensor, type TensorData, tensorOf } from "./tensor.js";

/** What child() hands to the parent: a tensor, or a list or record of them. */
export type Kept = Tensor | undefined | readonly Kept[] | { readonly [name: string]: Kept };

export class Scope {
  readonly device: Device;
  /** Where ops record their backward rules; undefined: nothing is recorded (generation, scoring). */
  readonly tape: Tape | undefined;
  #tensors: Set<Tensor> | undefined = new Set();

  constructor(device: Device, tape?: Tape) {
    this.device = device;
    this.tape = tape;
  }

  /** A tensor whose values are not set yet. `op` is who asks: errors (ended scope, no memory) name it. */
  empty(shape: readonly number[], dtype: Dtype = "f32", op = "empty"): Tensor {
    this.#live(op);
    const code = dtypeCode(op, dtype);
    const dims = ownCopy(shape);
    const handle = native().createTensor(this.device.handle, code, dims, op);
    return this.own(new Tensor(this.device, handle, dtype, dims));
  }

  /** A tensor with these values; dtype follows the array (Uint16Array: say which half precision). */
  from(data: TensorData, shape: readonly number[] = [data.length], dtype: Dtype = dtypeOf(data)): Tensor {
    const tensor = this.empty(shape, dtype, "from");
    tensor.write(data);
    return tensor;
  }

  /** `tensor`'s memory from element `offset` on, under another shape. */
  view(tensor: Tensor, offset: number, shape: readonly number[]): Tensor {
    this.#live("view");
    const { handle, device, dtype } = tensorOf("view", "tensor", tensor);
    const dims = ownCopy(shape);
    return this.own(new Tensor(device, native().viewTensor(handle, offset, dims), dtype, dims));
  }

  /** Takes charge of a tensor that nobody holds yet. */
  own(tensor: Tensor): Tensor {
    this.#live("own").add(tensor.hold());
    return tensor;
  }

  /** Holds a tensor of another scope as long as this one lives. */
  keep(kept: Kept): void {
    const tensors = this.#live("keep");
    for (const tensor of tensorsIn(kept)) {
      if (tensors.has(tensor)) continue;
      tensors.add(tensor.hold());
    }
  }

  /** Lets go of one tensor before the scope ends. */
  release(tensor: Tensor): void {
    if (this.#live("release").delete(tensor)) tensor.drop();
  }

  /** Runs `body` in an inner scope with the same tape (or the given one; null: none), keeps what it returns, frees the rest. */
  child<T extends Kept>(body: (inner: Scope) => T, tape: Tape | null | undefined = this.tape): T {
    this.#live("child");
    const inner = new Scope(this.device, tape ?? undefined);
    try {
      const result = body(inner);
      if ((result as unknown) instanceof Promise) {
        throw new KernelError(
          "kernel_argument",
          "child: body returned a promise, expected tensors: the inner scope ends when body returns; use device.run() to await",
        );
      }
      this.keep(result);
      return result;
    } finally {
      inner.end();
    }
  }

  /** Frees what it holds. Ending twice is harmless; making a tensor afterwards is an error. */
  end(): void {
    const tensors = this.#tensors;
    this.#tensors = undefined;
    let failure: unknown;
    for (const tensor of tensors ?? []) {
      try {
        tensor.drop();
      } catch (error) {
        failure ??= error; // a handle that was no tensor's; the others are freed all the same
      }
    }
    if (failure !== undefined) throw failure;
  }

  #live(op: string): Set<Tensor> {
    if (this.#tensors === undefined) {
      throw new KernelError("kernel_argument", `${op}: the scope has ended, expected one that is still open`);
    }
    return this.#tensors;
  }
}

function dtypeOf(data: TensorData): Dtype {
  if (data instanceof Float32Array) return "f32";
  if (data instanceof Float64Array) return "f64";
  if (data instanceof Int32Array) return "i32";
  throw new KernelError(
    "kernel_argument",
    (data as unknown) instanceof Uint16Array
      ? "from: data is a Uint16Array, expected a dtype beside it: do its bits mean bf16 or f16?"
      : `from: data is ${kindOf(data)}, expected a Float32Array, Float64Array, Int32Array or Uint16Array`,
  );
}

function* tensorsIn(kept: Kept): Generator<Tensor> {
  if (kept === undefined) return;
  if (kept instanceof Tensor) yield kept;
  else for (const value of Object.values(kept)) yield* tensorsIn(value as Kept);
}
