/** `snapshot`: a consistent copy of a running cluster's data, taken through a member, and its use. */
import type { IncomingMessage } from "node:http";
import { adminCommand, refuse } from "../admin-command.ts";
import { underBase } from "../../api/client.ts";
import type { Command, CommandContext } from "../../cli/command.ts";
import { ClientError } from "../../errors/errors.ts";
import { fileFault, reasonNotWritable } from "../../errors/file-fault.ts";
import { answeredMessage, explainedFault } from "../../api/members-api.ts";
import { loadOffline } from "../../offline/offline-loader.ts";
import type { Session } from "../../api/session.ts";
import { snapshotRestore } from "./snapshot-restore.ts";
import { snapshotStatus } from "./snapshot-status.ts";

async function refusal(message: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of message) chunks.push(chunk as Buffer);
  const words = answeredMessage(Buffer.concat(chunks));
  if (words !== "") return words;
  return message.statusCode === 404
    ? "this server cannot stream snapshots"
    : `unexpected status code ${message.statusCode ?? 0}`;
}

/** The header is bounded by --total-timeout; the stream itself takes as long as it takes. */
async function openStream(session: Session): Promise<IncomingMessage> {
  const action = { method: "GET", path: underBase("/v2/admin/snapshot"), isSlow: true };
  try {
    return await session.client.open(action, session.deadline());
  } catch (error) {
    const said = explainedFault(error);
    if (said === undefined) throw error;
    throw refuse(`Cannot take a snapshot: ${said.message}`);
  }
}

async function save(session: Session, { args, terminal }: CommandContext): Promise<void> {
  const [path = ""] = args;
  const message = await openStream(session);
  if (message.statusCode !== 200) throw refuse(`Cannot take a snapshot: ${await refusal(message)}`);
  const length = message.headers["content-length"];
  const announced = length === undefined ? undefined : Number(length);
  const [{ saveStream }, { verifySnapshot }] = await Promise.all([
    import("../../net/download.ts"),
    loadOffline(),
  ]);
  const bar = terminal.errIsTerminal
    ? (await import("../../output/progress-bar.ts")).startBar(announced)
    : undefined;
  try {
    const bytes = await saveStream(
      message,
      path,
      verifySnapshot,
      (received) => {
        if (announced === undefined || received === announced) return;
        throw new ClientError(`the stream ended after ${received} of ${announced} bytes`);
      },
      (received) => bar?.update(received),
    );
    bar?.stop();
    terminal.out(`Snapshot saved at ${path} (${bytes} bytes)\n`);
  } catch (error) {
    bar?.stop();
    throw refuse(`Cannot save the snapshot at ${path}: ${fileFault(error)}`);
  }
}

const saveCommand: Command = {
  name: "save",
  usage: "save a snapshot of the cluster's data to a file",
  argsUsage: "<file>",
  takes: ["files"],
  run: adminCommand(({ args }) => {
    const [path = ""] = args;
    if (args.length !== 1 || path === "") throw refuse("Provide a single file name");
    const reason = reasonNotWritable(path);
    if (reason !== undefined) throw refuse(`Cannot save the snapshot at ${path}: ${reason}`);
  }, save),
};

export const snapshot: Command = {
  name: "snapshot",
  usage: "save, check and restore snapshots of a cluster",
  isHidden: true,
  subcommands: [saveCommand, snapshotStatus, snapshotRestore],
};
