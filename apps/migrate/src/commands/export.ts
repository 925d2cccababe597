/** The export command: any directory's keys as a file. */
import { createWriteStream, renameSync, rmSync } from "node:fs";
import { once } from "node:events";
import type { Writable } from "node:stream";
import { finished } from "node:stream/promises";
import type { Command } from "commander";
import { EXIT } from "../cli/exit.ts";
import { printNotice } from "../cli/print.ts";
import { withInterrupt } from "../cli/signals.ts";
import { detectSource } from "../detect.ts";
import { MigrateError } from "../errors.ts";
import { exportImportFile } from "../export/export-import-file.ts";
import { exportJson } from "../export/export-json.ts";
import type { LoadedStore } from "../import/load-store.ts";
import { withLoadedStore } from "../import/load-store.ts";
import { holdSource } from "../locks.ts";
import { requireDataDir } from "./flags.ts";

interface ExportFlags {
  readonly dataDir?: string;
  readonly walDir?: string;
  readonly name?: string;
  readonly format: string;
  readonly file: string;
  readonly skipCorrupt: boolean;
}

type Exporter = (store: LoadedStore) => Generator<string>;

const FORMATS: Readonly<Record<string, Exporter>> = {
  json: exportJson,
  "etcdctl-import": exportImportFile,
};

export function addExportCommand(program: Command): void {
  program
    .command("export")
    .description("write the keys of a data directory of this version or an older one to a file")
    .option("--data-dir <dir>", "directory to read")
    .option("--format <format>", `one of ${Object.keys(FORMATS).join(", ")}`, "json")
    .option("--file <file>", "where to write; - is standard output", "-")
    .option("--wal-dir <dir>", "log directory, if it is separate")
    .option(
      "--name <name>",
      "name of the member the directory belongs to, if its files do not contain it",
    )
    .option(
      "--skip-corrupt",
      "keep everything before the first damage, and report what was dropped",
      false,
    )
    .action(async (flags: ExportFlags) => {
      process.exitCode = await exportDirectory(flags);
    });
}

async function exportDirectory(flags: ExportFlags): Promise<number> {
  const exporter = FORMATS[flags.format];
  if (exporter === undefined) {
    throw new MigrateError("usage", `--format must be one of ${Object.keys(FORMATS).join(", ")}`);
  }
  const dataDir = requireDataDir(flags.dataDir);
  const source = detectSource(dataDir, { walDir: flags.walDir, notice: printNotice });
  const release = holdSource(source, "read");
  const progress = (): void => undefined;
  const { name, skipCorrupt } = flags;
  try {
    await withInterrupt((signal) =>
      withLoadedStore(
        source,
        { name, skipCorrupt, notice: printNotice, progress, signal },
        async (store) => {
          if (flags.file === "-") await writePieces(exporter(store), process.stdout, signal);
          else await writeFile(exporter(store), flags.file, signal);
        },
      ),
    );
  } finally {
    release();
  }
  return EXIT.ok;
}

/** The file appears when it is complete. */
async function writeFile(
  pieces: Iterable<string>,
  file: string,
  signal: AbortSignal,
): Promise<void> {
  const temporary = `${file}.tmp-${process.pid}`;
  try {
    const stream = createWriteStream(temporary, { mode: 0o600, flush: true });
    const done = finished(stream);
    await Promise.race([writePieces(pieces, stream, signal), done]);
    stream.end();
    await done;
    renameSync(temporary, file);
  } catch (cause) {
    rmSync(temporary, { force: true });
    if (cause instanceof MigrateError) throw cause;
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new MigrateError("target", `cannot be written: ${reason}`, { file, cause });
  }
}

async function writePieces(
  pieces: Iterable<string>,
  stream: Writable,
  signal: AbortSignal,
): Promise<void> {
  for (const piece of pieces) {
    if (signal.aborted) throw new MigrateError("interrupted", "interrupted");
    if (!stream.write(piece)) await once(stream, "drain", { signal });
  }
}
