// A file in memory without reading it: tensors over its bytes, paged in by the system as ops touch them. The file must not be
// truncated while it is mapped.
import { KernelError } from "./errors.js";
import { type MappingHandle, native } from "./native.js";
import type { Scope } from "./scope.js";
import { type Dtype, dtypes, Tensor } from "./tensor.js";

export class MappedFile {
  readonly path: string;
  readonly #handle: MappingHandle;

  /** Throws KernelError (kernel_file) when the file cannot be mapped. */
  constructor(path: string) {
    this.path = path;
    this.#handle = native().mapFile(path);
  }

  /** A read-only tensor over the bytes from `offset` on; ops take it as an input. Unaligned offsets are refused. */
  tensor(scope: Scope, offset: number, dtype: Dtype, shape: readonly number[]): Tensor {
    if (!dtypes.includes(dtype))
      throw new KernelError("kernel_argument", `mapTensor: unknown dtype ${String(dtype)}`);
    const handle = native().mapTensor(
      scope.device.handle,
      this.#handle,
      offset,
      dtypes.indexOf(dtype),
      shape,
    );
    return scope.own(new Tensor(scope.device, handle, dtype, shape));
  }
}
