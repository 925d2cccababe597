/** Opening any old directory that holds keys. */
import type { DetectedSource } from "../detect.ts";
import { MigrateError } from "../errors.ts";
import type { OpenedSource, SourceOptions } from "./source.ts";
import { openSource04 } from "./source04.ts";
import { openSource2 } from "./source2.ts";

/** @throws MigrateError when it must be refused, also for directories of this server. */
export function openOldSource(source: DetectedSource, options: SourceOptions): OpenedSource {
  switch (source.kind) {
    case "etcd04":
      return openSource04(source, options);
    case "etcd2":
      return openSource2(source, options);
    case "own":
      throw new MigrateError("unsupported", "is a directory of this server: nothing to import", {
        file: source.directory,
        remedy: "start the server on it",
      });
  }
}
