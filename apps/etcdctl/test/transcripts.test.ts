/**
 * Replays what etcdctl 2.3.8 was recorded doing: the files in `scripted` run the bundle against
 * scripted answers; those in `recorded` run inside this process against the answers a real server
 * gave, and must also send the same requests.
 */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { deviations } from "./support/deviations.ts";
import { ScriptedServer } from "./support/scripted-server.ts";
import { Templates } from "./support/template.ts";
import {
  closedAddress,
  differences,
  fixtures,
  runTranscript,
  transcriptFiles,
} from "./support/transcripts.ts";

/** Files side by side, because many cases only wait; the cases of a file one after another. */
const filesAtOnce = 3;

describe("etcdctl 2.3.8's transcripts", { concurrency: filesAtOnce }, () => {
  for (const kind of ["scripted", "recorded"]) {
    for (const file of transcriptFiles(kind)) {
      describe(`${kind}: ${file.name}`, { concurrency: 1 }, () => {
        let server: ScriptedServer | undefined;
        let directory: string;
        let templates: Templates;

        before(async () => {
          if (file.server === "stub") server = await ScriptedServer.listen(file.tls, fixtures);
          directory = mkdtempSync(join(tmpdir(), "etcdctl-"));
          const [closed, closed2] = [await closedAddress(), await closedAddress()];
          const prefix = file.prefix ?? `/${file.name}`;
          templates = new Templates({
            BASE: server?.url ?? "",
            BASEHOST: (server?.url ?? "").replace(/^\w+:\/\//, ""),
            P: prefix,
            PBARE: prefix.slice(1),
            TMP: directory,
            FIX: fixtures,
            CLOSED: `http://${closed}`,
            CLOSEDHOST: closed,
            CLOSED2: `http://${closed2}`,
            CLOSED2HOST: closed2,
          });
          if (file.index !== undefined) templates.remember("i0", String(file.index));
        });

        after(async () => {
          await server?.close();
          rmSync(directory, { recursive: true, force: true });
        });

        for (const recorded of file.cases) {
          const transcript = { ...recorded, ...deviations[recorded.id] };
          test(transcript.id, async () => {
            const isInside = kind === "recorded";
            const surroundings = { file, templates, server, directory, isInside };
            const outcome = await runTranscript(transcript, surroundings);
            const received = server?.received ?? [];
            assert.deepEqual(differences(transcript, outcome, received, templates), []);
          });
        }
      });
    }
  }
});
