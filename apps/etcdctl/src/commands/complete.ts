/** The answer to the scripts of `completion`: what may stand in place of the word being typed. */
import { type Candidate, completionText } from "@etcd2/completion";
import { placeOf } from "../cli/complete.ts";
import type { Command, CommandContext } from "../cli/command.ts";
import { type FlagSpec, type LiveKind, parseFlags } from "../cli/flags.ts";
import type { Terminal } from "../cli/terminal.ts";
import { listRoles, listUsers } from "../api/auth-api.ts";
import { getKey } from "../api/keys-api.ts";
import { listMembers } from "../api/members-api.ts";
import { type Session, withSession } from "../api/session.ts";

/** The children of the directory that the typed path names so far, directories with a slash. */
async function keys(
  session: Session,
  typed: string,
  onlyDirectories: boolean,
): Promise<Candidate[]> {
  const head = typed.slice(0, typed.lastIndexOf("/") + 1);
  const { node } = await getKey(session, head === "" ? "/" : head, {
    quorum: false,
    recursive: false,
    sorted: true,
  });
  return (node.nodes ?? [])
    .filter(({ isDir }) => isDir || !onlyDirectories)
    .map(({ key, isDir }) => ({
      text: `${head === "" ? "/" : head}${key.slice(key.lastIndexOf("/") + 1)}${isDir ? "/" : ""}`,
    }));
}

async function names(session: Session, kind: LiveKind, typed: string): Promise<Candidate[]> {
  switch (kind) {
    case "key":
      return keys(session, typed, false);
    case "key directory":
      return keys(session, typed, true);
    case "member":
      return (await listMembers(session)).map(({ id, name, peerURLs }) => ({
        text: id,
        usage: name === "" ? peerURLs.join(",") : name,
      }));
    case "user":
      return (await listUsers(session)).map((text) => ({ text }));
    case "role":
      return (await listRoles(session)).map((text) => ({ text }));
  }
}

/** Nobody may be asked for a password, and nothing may be printed, while a word is typed. */
function silent(terminal: Terminal): Terminal {
  return {
    outIsTerminal: terminal.outIsTerminal,
    errIsTerminal: terminal.errIsTerminal,
    inIsTerminal: terminal.inIsTerminal,
    out: () => undefined,
    err: () => undefined,
    readAll: () => Promise.resolve(Buffer.alloc(0)),
    readLine: () => Promise.resolve(""),
    readSecret: () => Promise.reject(new Error("no password while a word is typed")),
    endOnInterrupt: () => undefined,
  };
}

const timeLimit = ["--total-timeout", "1s", "--no-sync"];

/**
 * Prints what may stand in place of the last of the words after `__complete`. A cluster that does not
 * answer within a second, or refuses, has no names to offer.
 */
export async function printCompletion(
  program: { readonly commands: readonly Command[]; readonly globalFlags: readonly FlagSpec[] },
  words: readonly string[],
  env: CommandContext["env"],
  terminal: Terminal,
): Promise<void> {
  const { commands, globalFlags } = program;
  const place = placeOf(commands, globalFlags, words.slice(1));
  let live: readonly Candidate[] = [];
  if (place.live !== undefined) {
    const { kind, typed } = place.live;
    const { values } = parseFlags(globalFlags, [...place.globalWords, ...timeLimit]);
    const flags = parseFlags([], []).values;
    const context = { args: [], flags, globals: values, env, terminal: silent(terminal) };
    try {
      live = await withSession(context, { sync: false }, (session) => names(session, kind, typed));
    } catch {
      // The word is then completed without names.
    }
  }
  terminal.out(completionText(place.complete(live)));
}
