// Buffers and arrays of numbers with the same bytes are equal, said at once: `toEqual` alone compares them a number at a time, seconds for a
// model's weights. Where bytes differ it goes on as it would, and shows the difference.
import { expect } from "vitest";

const bytesOf = (view: ArrayBufferView): Buffer => Buffer.from(view.buffer, view.byteOffset, view.byteLength);

expect.addEqualityTesters([
  (a: unknown, b: unknown) =>
    ArrayBuffer.isView(a) &&
    ArrayBuffer.isView(b) &&
    a.constructor === b.constructor &&
    bytesOf(a).equals(bytesOf(b))
      ? true
      : undefined,
]);
