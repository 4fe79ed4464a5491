// A file in memory without reading it: tensors over its bytes, paged in by the system as ops touch them. The file must not be
// truncated while it is mapped.
import { type MappingHandle, native } from "./native.js";
import type { Scope } from "./scope.js";
import { type Dtype, dtypeCode, ownCopy, Tensor } from "./tensor.js";

export class MappedFile {
  readonly path: string;
  readonly #handle: MappingHandle;

  /** Throws KernelError (kernel_file) when the file cannot be mapped. */
  constructor(path: string) {
    this.path = path;
    this.#handle = native().mapFile(path);
  }

  /** Lets go of the memory that reading took so far. Its tensors stay as they are: what is read again comes from the file again. */
  forget(): void {
    native().forgetPages(this.#handle);
  }

  /** A read-only tensor over the bytes from `offset` on; ops take it as an input. Unaligned offsets are refused. */
  tensor(scope: Scope, offset: number, dtype: Dtype, shape: readonly number[]): Tensor {
    const code = dtypeCode("mapTensor", dtype);
    const dims = ownCopy(shape);
    const handle = native().mapTensor(scope.device.handle, this.#handle, offset, code, dims);
    return scope.own(new Tensor(scope.device, handle, dtype, dims));
  }
}
