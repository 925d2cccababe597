/** `import`: puts the keys of a 0.4 store into a cluster. */
import { readFileSync } from "node:fs";
import type { Command, CommandContext } from "../../cli/command.ts";
import { ClientError, keyFailure, messageOf } from "../../errors/errors.ts";
import { exitCodes, Failure } from "../../errors/exit-codes.ts";
import { putKey } from "../../api/keys-api.ts";
import { type OldDirectory, type OldKey, OldStore } from "./old-store.ts";
import { type Session, withSession } from "../../api/session.ts";

/** Keys about to expire would be gone before anyone looks. */
const ttlSecondsMin = 300;
const clientsMax = 1000;

function logTime(): string {
  const now = new Date();
  const two = (n: number): string => String(n).padStart(2, "0");
  const date = [now.getFullYear(), two(now.getMonth() + 1), two(now.getDate())].join("/");
  return `${date} ${[now.getHours(), now.getMinutes(), now.getSeconds()].map(two).join(":")}`;
}

function readStore({ flags, terminal }: CommandContext): OldStore {
  const path = flags.string("snap");
  try {
    return OldStore.parse(readFileSync(path, "utf8"));
  } catch (error) {
    if (error instanceof ClientError) throw keyFailure(exitCodes.badArguments, error);
    terminal.out(
      path === ""
        ? "no snapshot file provided (use --snap)\n"
        : `cannot read snapshot file ${path}\n`,
    );
    throw new Failure(exitCodes.badArguments, "", { cause: error });
  }
}

/** Everything to import, in order: the visible tree, then each hidden directory named. */
function* entries(
  store: OldStore,
  hidden: readonly string[],
): Generator<OldKey | OldDirectory, void> {
  const nowMs = Date.now();
  for (const path of ["/", ...hidden]) yield* store.walk(path, nowMs);
}

/** Sets keys until the common list is used up; resolves to how many this one set. */
async function importKeys(
  session: Session,
  { terminal }: CommandContext,
  list: Iterator<OldKey | OldDirectory, void>,
): Promise<number> {
  const log = (text: string): void => {
    terminal.err(`${logTime()} ${text}\n`);
  };
  let count = 0;
  for (let next = list.next(); next.done !== true; next = list.next()) {
    const entry = next.value;
    if (entry.kind === "directory") {
      log(`entering dir: ${entry.key}`);
      continue;
    }
    const { key, value } = entry;
    log(`copying key: ${key}`);
    let { ttl } = entry;
    if (ttl !== 0 && ttl < ttlSecondsMin) {
      log(`extending key ${key}'s ttl to ${ttlSecondsMin} seconds`);
      ttl = ttlSecondsMin;
    }
    session.renewDeadline();
    try {
      await putKey(session, key, { value, ttl: BigInt(ttl) });
    } catch (error) {
      const text = `${logTime()} failed to copy key: ${messageOf(error)}\n`;
      throw new Failure(exitCodes.badArguments, text, { cause: error });
    }
    count++;
  }
  return count;
}

export const importSnapshot: Command = {
  name: "import",
  usage: "import a snapshot to a cluster",
  argsUsage: " ",
  flags: [
    {
      kind: "string",
      name: "snap",
      holds: "files",
      usage: "Path to the valid etcd 0.4.x snapshot.",
    },
    { kind: "strings", name: "hidden", usage: "Hidden key spaces to import from snapshot" },
    {
      kind: "integer",
      name: "c",
      initial: 10,
      usage: "Number of concurrent clients to import the data",
    },
  ],
  run: async (context) => {
    const { flags, terminal } = context;
    const store = readStore(context);
    const wanted = flags.integer("c");
    terminal.out(
      `starting to import snapshot ${flags.string("snap")} with ${String(wanted)} clients\n`,
    );
    const clients = Number(wanted < 1n ? 1n : wanted > clientsMax ? clientsMax : wanted);
    return withSession(context, { sync: true }, async (session) => {
      const list = entries(store, flags.strings("hidden"));
      try {
        const workers = Array.from({ length: clients }, () => importKeys(session, context, list));
        const counts = await Promise.all(workers);
        terminal.out(`finished importing ${counts.reduce((a, b) => a + b, 0)} keys\n`);
      } catch (error) {
        if (error instanceof ClientError) throw keyFailure(exitCodes.serverError, error);
        throw error;
      }
      return exitCodes.success;
    });
  },
};
