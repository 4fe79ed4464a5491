/** A Parquet file of rows that are JSON, written a row group at a time (parquet-shape.ts says as what). */
import { columnsOf, newShape, observe } from "./parquet-shape.js";

export type JsonRow = Readonly<Record<string, unknown>>;

/** Where in the file's metadata the fields are listed whose null says that there is none. */
export const absentKey = "posttrain.absent_fields";

const groupRows = 10_000;

export interface ParquetFile {
  write(row: JsonRow): void;
  /** Ends the file. */
  end(): void;
}

/** Looks at all rows that will be written; `open` begins a file at `path`, over what is there. */
export function createParquetFile() {
  const shape = newShape();
  return {
    observe: (row: JsonRow): void => observe(shape, row),
    open: async (path: string): Promise<ParquetFile> => {
      const { fileWriter, ParquetWriter } = await import("hyparquet-writer");
      const { columns, absent } = columnsOf(shape);
      const schema = [
        { name: "root", num_children: columns.length },
        ...columns.flatMap(({ elements }) => elements),
      ];
      const kvMetadata = absent.length === 0 ? [] : [{ key: absentKey, value: JSON.stringify(absent) }];
      const file = new ParquetWriter({
        writer: fileWriter(path),
        schema,
        kvMetadata,
        createdBy: "posttrain",
      });
      let rows: JsonRow[] = [];
      const flush = (): void => {
        const columnData = columns.map(({ name, encode }) => ({
          name,
          data: rows.map((row) => encode(row[name])),
        }));
        void file.write({ columnData, rowGroupSize: groupRows });
        rows = [];
      };
      return {
        write: (row) => {
          rows.push(row);
          if (rows.length >= groupRows) flush();
        },
        end: () => {
          if (rows.length > 0) flush();
          void file.finish();
        },
      };
    },
  };
}
