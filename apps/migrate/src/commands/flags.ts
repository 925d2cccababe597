/** Options that several commands share, and their checks. */
import { MigrateError } from "../errors.ts";

export type OutputFormat = "text" | "json";

/** @throws MigrateError in the words of the etcd-migrate that came with etcd 2.x. */
export function requireDataDir(dataDir: string | undefined): string {
  if (dataDir === undefined || dataDir === "") {
    throw new MigrateError("unsupported", "Must provide -data-dir flag");
  }
  return dataDir;
}

/** @throws MigrateError "usage" */
export function parseOutput(text: string): OutputFormat {
  if (text === "text" || text === "json") return text;
  throw new MigrateError("usage", `--output must be text or json, not "${text}"`);
}
