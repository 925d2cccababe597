/** Rows as a table for people. Loaded only for `-w table`. */
import Table from "cli-table3";

/** A bordered table, ending in a newline. */
export function renderTable(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const table = new Table({ head: [...head], style: { head: [], border: [], compact: true } });
  for (const row of rows) table.push([...row]);
  return `${table.toString()}\n`;
}
