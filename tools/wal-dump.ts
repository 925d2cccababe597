/**
 * Prints a write-ahead log readably: `node --conditions=etcd2-source tools/wal-dump.ts DIR`.
 *
 * One line a record, with file and offset; works on damaged logs up to the damage and then says
 * where and what it is. Exit code 0 for a log in good order, 1 for damage or no log, 2 for a wrong
 * call. Reads only. Owns the hint at what an entry's command does; the rest is in libs/raft.
 */
import { fromBinary } from "@bufbuild/protobuf";
import { Action, CommandSchema } from "@etcd2/proto/command";
import { dumpWal } from "@etcd2/raft/wal";

const VALUE_BYTES_MAX = 40;

/** What a command does, in one line. */
function describeCommand(data: Uint8Array): string {
  let command;
  try {
    command = fromBinary(CommandSchema, data);
  } catch (error) {
    return `not a command: ${error instanceof Error ? error.message : String(error)}`;
  }
  const parts: string[] = [ACTION_NAMES[command.action] ?? `action ${command.action}`];
  if (command.path.length > 0) parts.push(text(command.path));
  if (command.value.length > 0) parts.push(`= ${clipped(command.value)}`);
  if (command.dir) parts.push("dir");
  if (command.recursive) parts.push("recursive");
  if (command.refresh) parts.push("refresh");
  if (command.prevValue.length > 0) parts.push(`prevValue ${clipped(command.prevValue)}`);
  if (command.prevIndex > 0n) parts.push(`prevIndex ${command.prevIndex}`);
  if (command.ttlMs !== undefined) parts.push(`ttl ${command.ttlMs} ms`);
  for (const { path } of command.expired) parts.push(text(path));
  return parts.join(" ");
}

const ACTION_NAMES: Readonly<Record<number, string>> = {
  [Action.SET]: "set",
  [Action.CREATE]: "create",
  [Action.CREATE_IN_ORDER]: "createInOrder",
  [Action.UPDATE]: "update",
  [Action.COMPARE_AND_SWAP]: "compareAndSwap",
  [Action.DELETE]: "delete",
  [Action.COMPARE_AND_DELETE]: "compareAndDelete",
  [Action.EXPIRE]: "expire",
  [Action.CLUSTER_VERSION]: "clusterVersion",
};

function clipped(bytes: Uint8Array): string {
  const start = text(bytes.subarray(0, VALUE_BYTES_MAX));
  return bytes.length > VALUE_BYTES_MAX ? `${start}… (${bytes.length} bytes)` : start;
}

/** Text as JSON, so that a value cannot break the line or the terminal. */
function text(bytes: Uint8Array): string {
  return JSON.stringify(Buffer.from(bytes).toString("utf8"));
}

const [directory, ...rest] = process.argv.slice(2);
if (directory === undefined || rest.length > 0) {
  process.stderr.write("usage: wal-dump.ts DIR\n");
  process.exitCode = 2;
} else {
  const print = (line: string): void => {
    process.stdout.write(`${line}\n`);
  };
  const { records, damage } = dumpWal(directory, print, { describeData: describeCommand });
  process.exitCode = damage === undefined && records > 0 ? 0 : 1;
}
