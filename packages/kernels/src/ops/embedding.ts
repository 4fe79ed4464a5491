// Rows of a table. The gradient of a looked-up row goes to a RowGradient: one row for each id that occurred, apart from the
// table's own gradient (which the head of a tied model fills), added to it once, when all micro-batches of a step are done. One
// micro-batch of 32 rows and 32 of one then give the same bits.
import { embeddingBackward, embeddingForward, scatterAddForward } from "../binding.generated.js";
import { KernelError } from "../errors.js";
import type { Scope } from "../scope.js";
import { kindOf, shapeOf, Tensor } from "../tensor.js";
import { convert } from "./convert.js";
import { fill } from "./fill.js";

export class RowGradient {
  readonly #scope: Scope;
  readonly #channels: number;
  readonly #slots = new Map<number, number>();
  #rows: Tensor | undefined;

  /** `scope` holds the rows: it must live until fold(). */
  constructor(scope: Scope, channels: number) {
    this.#scope = scope;
    this.#channels = channels;
  }

  /** The slots of these ids, in their order, and the rows they point into; new ids start with zeros. */
  locate(ids: Int32Array): { readonly rows: Tensor; readonly slots: Int32Array } {
    const slots = ids.map((id) => {
      const known = this.#slots.get(id);
      if (known !== undefined) return known;
      this.#slots.set(id, this.#slots.size);
      return this.#slots.size - 1;
    });
    return { rows: this.#grow(this.#slots.size), slots };
  }

  /** Adds the rows to the table's gradient and starts again from nothing. */
  fold(gradient: Tensor): void {
    const rows = this.#rows;
    if (rows === undefined) return;
    this.#scope.child((inner) => {
      const ids = inner.from(Int32Array.from(this.#slots.keys()));
      scatterAddForward(gradient, inner.view(rows, 0, [this.#slots.size, this.#channels]), ids);
      return undefined;
    });
    this.clear();
  }

  /** Ids and their rows (R, C), of which its caller lets go; starts again from nothing. Undefined where nothing was looked up. */
  take(): { readonly ids: Int32Array; readonly rows: Tensor } | undefined {
    const rows = this.#rows;
    if (rows === undefined) return undefined;
    const ids = Int32Array.from(this.#slots.keys());
    this.#rows = undefined;
    this.#slots.clear();
    return { ids, rows };
  }

  /** What take() gave, here or elsewhere, in place of nothing: rows (R, C) that the caller holds until the next fold(). */
  put({ ids, rows }: { readonly ids: Int32Array; readonly rows: Tensor }): void {
    this.#scope.keep(rows);
    this.#rows = rows;
    for (const id of ids) this.#slots.set(id, this.#slots.size);
  }

  /** Forgets everything. */
  clear(): void {
    if (this.#rows !== undefined) this.#scope.release(this.#rows);
    this.#rows = undefined;
    this.#slots.clear();
  }

  #grow(needed: number): Tensor {
    const present = this.#rows;
    const capacity = present?.shape[0] ?? 0;
    if (present !== undefined && needed <= capacity) return present;
    const larger = this.#scope.empty([Math.max(needed, 2 * capacity), this.#channels]);
    fill(larger, 0);
    if (present !== undefined) {
      this.#scope.child((inner) => {
        convert(inner.view(larger, 0, present.shape), present);
        return undefined;
      });
      this.#scope.release(present);
    }
    this.#rows = larger;
    return larger;
  }
}

/**
 * y (M, C), f32 = rows `ids` of table (V, C). An id outside the table fails the stream with an error that names row and id.
 * `gradient` gets the looked-up rows' gradients when the scope records; it needs ids that are known here, not only on the device.
 */
export function embedding(
  scope: Scope,
  table: Tensor,
  ids: Int32Array | Tensor,
  gradient?: RowGradient,
): Tensor {
  const [, channels = 0] = shapeOf("embedding", "table", table, 2);
  if (!(ids instanceof Int32Array || ids instanceof Tensor)) {
    throw new KernelError(
      "kernel_argument",
      `embedding: ids is ${kindOf(ids)}, expected an Int32Array or a tensor`,
    );
  }
  const y = scope.empty([ids instanceof Tensor ? ids.size : ids.length, channels], "f32", "embedding");
  scope.child((inner) => {
    embeddingForward(y, table, ids instanceof Tensor ? ids : inner.from(ids));
    return undefined;
  });
  if (gradient !== undefined && scope.tape !== undefined) {
    if (ids instanceof Tensor) {
      throw new KernelError(
        "kernel_argument",
        "embedding: ids is a tensor, expected an Int32Array where the looked-up rows get a gradient",
      );
    }
    scope.tape.record({
      outputs: [y],
      inputs: [],
      saved: [],
      backward: (inner, [dy]) => {
        if (dy === undefined) return [];
        const { rows, slots } = gradient.locate(ids);
        embeddingBackward(rows, dy, inner.from(slots));
        return [];
      },
    });
  }
  return y;
}
