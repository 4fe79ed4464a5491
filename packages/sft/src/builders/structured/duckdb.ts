// Queries by DuckDB: in memory, without files and extensions.
import { type DuckDBConnection, DuckDBInstance } from "@duckdb/node-api";
import { literal, quoted } from "./query.js";
import type { Table } from "./table.js";

export interface Database {
  /** The rows of `sql` over the tables by their names, each cell as text (null: `NULL`). Throws where the query does not run. */
  run(
    tables: Readonly<Record<string, Pick<Table, "columns" | "rows">>>,
    sql: string,
  ): Promise<readonly (readonly string[])[]>;
  close(): void;
}

const types = { text: "varchar", int: "bigint", decimal: "decimal(18, 2)" } as const;

export async function openDatabase(): Promise<Database> {
  const instance = await DuckDBInstance.create(":memory:", {
    threads: "1",
    enable_external_access: "false",
    lock_configuration: "true",
  });
  const connection: DuckDBConnection = await instance.connect();
  return {
    run: async (tables, sql) => {
      for (const [name, { columns, rows }] of Object.entries(tables)) {
        const declared = columns.map((column) => `${quoted(column.name)} ${types[column.type]}`);
        await connection.run(`create or replace table ${quoted(name)} (row integer, ${declared.join(", ")})`);
        const values = rows.map(
          (row, i) => `(${[String(i), ...row.map((cell, j) => literal(cell, columns[j]!))].join(", ")})`,
        );
        await connection.run(`insert into ${quoted(name)} values ${values.join(", ")}`);
      }
      try {
        const reader = await connection.runAndReadAll(sql);
        return reader.getRows().map((row) => row.map((cell) => (cell === null ? "NULL" : String(cell))));
      } finally {
        for (const name of Object.keys(tables)) await connection.run(`drop table ${quoted(name)}`);
      }
    },
    close: () => {
      connection.closeSync();
      instance.closeSync();
    },
  };
}
