import type { ByteWatch } from "./packing-bytes.js";
import type { RowPlace } from "./place.js";

/** A row of a file before it is looked at: `read` throws UserError where it holds no value, and returns undefined where it is blank. */
export interface RawRow {
  readonly place: RowPlace;
  readonly read: () => unknown;
}

/**
 * The rows of a file in order, by the chunks in which they are read; rows up to `after` (of their place's `line`) may be left out. Throws UserError for
 * what is wrong with the file.
 */
export type FileReader = (path: string, watch: ByteWatch, after: number) => AsyncIterable<Iterable<RawRow>>;
