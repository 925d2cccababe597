/**
 * Writes of v2 on a v3 cluster: the rows a command touches are read at one revision, the v2 tree decides
 * over them as it does in a member, and what it did is committed as one transaction that holds only
 * while those rows are what they were. Who was overtaken begins anew with the rows of now.
 */
import type { KeyValue, ResponseOp, TxnResponse } from "@etcd2/proto/v3/kv";
import {
  type ByteString,
  EtcdError,
  emptyStats,
  parentPath,
  type RecordedEvent,
  type StoreStats,
  Tree,
  TreeNode,
  type WriteCommand,
} from "@etcd2/store";
import type { Credentials } from "../client/v3-client.ts";
import { V3Error } from "../client/v3-error.ts";
import type { KeySpace } from "../mapping/key-space.ts";
import { CLIENTS, fileNode, latin1 } from "../mapping/tree-rows.ts";
import type { Leases } from "../upstream/leases.ts";
import * as ops from "../upstream/operations.ts";
import { RowSpace } from "../rows/row-space.ts";
import { levelReads, levelsOf, Snapshot, takeLevels } from "../rows/snapshot.ts";
import { Turns } from "./turns.ts";
import { asEtcdError } from "../upstream/upstream-errors.ts";
import type { Upstream } from "../upstream/upstream.ts";
import { NEW_DIRECTORIES_MAX, planWrite, putFile } from "./write-plan.ts";

/** Times that a write begins anew after somebody else was there first. */
const ATTEMPTS_MAX = 100;

const BACKOFF_MAX_MS = 50;

const SEQUENCE_DIGITS = 20;

export interface WritesOptions {
  readonly upstream: Upstream;
  readonly space: KeySpace;
  readonly leases: Leases;
  /** Counters of /v2/stats/store. */
  readonly stats: StoreStats;
  /** Name of this process among the bridges of one prefix, without a slash. */
  readonly id: string;
  /** The life of a directory that was written here, bound to a lease, is over. */
  readonly onDirectoryDue: (path: ByteString, lease: bigint) => void;
}

/** What a write knows of the present. */
interface Present {
  readonly snapshot: Snapshot;
  readonly hasChildren: boolean;
  /** Row of the last name in order below the directory. */
  readonly sequence: KeyValue | undefined;
}

/** What goes on for one command. */
interface Task {
  readonly command: WriteCommand;
  /** Path of the command as clients have it. */
  readonly path: ByteString;
  readonly credentials: Credentials | undefined;
  readonly deadlineMs: number;
  lease: Promise<bigint> | undefined;
}

/** A task that must look before it writes. */
interface Work extends Task {
  readonly levels: readonly ByteString[];
  readonly reads: readonly ops.Operation[];
}

const DIRECTORY = new TreeNode(true, "", 0, 0, undefined, undefined);

export class Writes {
  readonly #options: WritesOptions;
  readonly #turns = new Turns();
  readonly #announcementPath: ByteString;

  constructor(options: WritesOptions) {
    this.#options = options;
    this.#announcementPath = `/${options.id}`;
  }

  /**
   * Carries out a write.
   * @throws EtcdError The refusal, or why the outcome is not known.
   */
  async write(command: WriteCommand, credentials: Credentials | undefined): Promise<RecordedEvent> {
    const { upstream } = this.#options;
    const path = command.path.slice(CLIENTS.length);
    const deadlineMs = performance.now() + upstream.timeoutMs;
    const task = { command, path, credentials, deadlineMs, lease: undefined };
    try {
      return await (isPlainSet(command, path) ? this.#set(task) : this.#inTurn(task));
    } catch (error) {
      throw asEtcdError(error, upstream.horizon.revision);
    }
  }

  /** Writers of this process that would only overtake each other wait for their turn. */
  #inTurn(task: Task): Promise<RecordedEvent> {
    const { space } = this.#options;
    const { path } = task;
    const levels = levelsOf(path);
    const reads = [
      ...levelReads(space, levels),
      ops.readRange(space.below("directory", path), { limit: 1, keysOnly: true }),
      ops.readKey(space.key("sequence", path)),
    ];
    return this.#turns.take(path, () => this.#decide({ ...task, levels, reads }));
  }

  /** Sets a value in one round trip where its directory has a record; needs no look before. */
  async #set(task: Task): Promise<RecordedEvent> {
    const { space, leases } = this.#options;
    const { command, path } = task;
    const parent = parentPath(path);
    const guards = [
      ...(parent === "" ? [] : [ops.present(space.key("directory", parent))]),
      ops.absent(space.key("directory", path)),
      ops.emptyRange(space.below("data", path)),
    ];
    const expirationMs = setExpiration(command);
    const lease = await this.#lease(task, expirationMs);
    const record = { action: "set", createdIndex: 0, expirationMs, refresh: false } as const;
    const operations = putFile(space, path, command.value, record, lease);
    const answer = await this.#commit(task, guards, operations, []);
    if (!answer.succeeded) return this.#inTurn(task);
    const data = ops.previousOf(answer.responses[0]);
    const file = ops.previousOf(answer.responses[1]);
    const previous = data && fileNode(data, file);
    if (data !== undefined) leases.release(data.lease);
    this.#keepLease(task, lease, expirationMs);
    return this.#replay(command, freeway(path, previous), revisionOf(answer));
  }

  /** Reads, lets the tree decide, commits; again until nobody is in the way. */
  async #decide(work: Work): Promise<RecordedEvent> {
    const { upstream, stats } = this.#options;
    let present = await this.#read(work);
    for (let attempt = 1; ; attempt += 1) {
      const { snapshot, hasChildren } = present;
      const source = { node: (path: ByteString) => snapshot.node(path), hasChildren };
      const base = Math.max(snapshot.revision, lastName(work, present.sequence));
      const rows = new RowSpace(source);
      const outcome = new Tree(rows, base, emptyStats()).write(work.command, now());
      if (outcome instanceof EtcdError) {
        this.#giveUpLease(work);
        // Once more for the counters, with the index of the read.
        new Tree(new RowSpace(source), snapshot.revision, stats).write(work.command, now());
        throw new EtcdError(outcome.code, outcome.cause, snapshot.revision);
      }
      const target = outcome.node.key.slice(CLIENTS.length);
      const answer = await this.#tryCommit(work, present, rows, target, base + 1, outcome);
      if (answer.succeeded) {
        const done = { ...work.command, path: outcome.node.key };
        const final = work.command.action === "createInOrder" ? asCreate(done) : work.command;
        return this.#replay(final, source, revisionOf(answer));
      }
      if (attempt >= ATTEMPTS_MAX || performance.now() > work.deadlineMs) {
        this.#giveUpLease(work);
        const cause = "etcdserver: not carried out: others kept writing the same keys";
        throw new EtcdError(300, cause, upstream.horizon.revision);
      }
      if (attempt > 1) await pause(attempt);
      const isShort = work.reads.length <= ops.OPERATIONS_MAX && attempt === 1;
      present = isShort ? this.#present(work, answer) : await this.#read(work);
    }
  }

  async #tryCommit(
    work: Work,
    { snapshot, sequence }: Present,
    rows: RowSpace,
    target: ByteString,
    newIndex: number,
    outcome: RecordedEvent,
  ): Promise<TxnResponse> {
    const { space, leases } = this.#options;
    const { command, path } = work;
    if (rows.changes.length > NEW_DIRECTORIES_MAX) {
      const cause = `${rows.changes.length - 1} directories would have to be made at once, of which ${NEW_DIRECTORIES_MAX} are possible over etcd v3: make some of them first`;
      throw new EtcdError(209, cause, snapshot.revision);
    }
    const isPut = rows.changes.some((change) => change.node !== undefined);
    const expirationMs = isPut ? outcome.node.expirationMs : undefined;
    const lease = await this.#lease(work, expirationMs);
    const plan = planWrite({
      space,
      snapshot,
      command,
      changes: rows.changes,
      target,
      newIndex,
      lease,
      announcementPath: this.#announcementPath,
    });
    const guards = [...plan.guards];
    if (command.action === "createInOrder") {
      guards.push(ops.unchanged(space.key("sequence", path), sequence));
    }
    const failure = work.reads.length <= ops.OPERATIONS_MAX ? work.reads : [];
    const answer = await this.#commit(work, guards, plan.operations, failure);
    if (answer.succeeded) {
      const before = snapshot.levels.find((level) => level.path === target)?.data;
      if (before !== undefined) leases.release(before.lease);
      this.#keepLease(work, lease, expirationMs, outcome.node.dir ? target : undefined);
    }
    return answer;
  }

  /** Commits; a lease that ran out before its keys were put is replaced by another. */
  async #commit(
    task: Task,
    guards: readonly ops.Guard[],
    operations: readonly ops.Operation[],
    failure: readonly ops.Operation[],
  ): Promise<TxnResponse> {
    try {
      const { upstream } = this.#options;
      const { command, credentials } = task;
      return command.action === "delete" || command.action === "compareAndDelete"
        ? await upstream.remove(guards, operations, failure, credentials)
        : await upstream.write(guards, operations, failure, credentials);
    } catch (error) {
      if (error instanceof V3Error && !error.mayHaveHappened) this.#giveUpLease(task);
      throw error;
    }
  }

  #lease(task: Task, expirationMs: number | undefined): Promise<bigint> {
    if (expirationMs === undefined) return Promise.resolve(0n);
    return (task.lease ??= this.#options.leases.grant(expirationMs, task.credentials));
  }

  #keepLease(
    { credentials }: Task,
    lease: bigint,
    expirationMs: number | undefined,
    directory?: ByteString,
  ): void {
    if (expirationMs === undefined) return;
    const { leases, onDirectoryDue } = this.#options;
    const end =
      directory === undefined
        ? undefined
        : (): void => {
            onDirectoryDue(directory, lease);
          };
    leases.endAt(lease, expirationMs, credentials, end);
  }

  #giveUpLease({ lease, credentials }: Task): void {
    lease?.then(
      (id) => {
        this.#options.leases.abandon(id, credentials);
      },
      () => undefined,
    );
  }

  /** The event of a write that took effect at a revision. */
  #replay(
    command: WriteCommand,
    source: ConstructorParameters<typeof RowSpace>[0],
    revision: number,
  ): RecordedEvent {
    const tree = new Tree(new RowSpace(source), revision - 1, this.#options.stats);
    const event = tree.write(command, now());
    if (event instanceof EtcdError) throw event;
    return event;
  }

  async #read(work: Work): Promise<Present> {
    const { upstream } = this.#options;
    const { reads, credentials } = work;
    const settings = { credentials, linearizable: true };
    if (reads.length <= ops.OPERATIONS_MAX) {
      const { revision, responses } = await upstream.read(reads, settings);
      return this.#known(work, revision, responses);
    }
    // Deeper than one transaction can see: the guards find out whether anything changed in between.
    const responses: ResponseOp[] = [];
    let revision = Number.MAX_SAFE_INTEGER;
    for (let at = 0; at < reads.length; at += ops.OPERATIONS_MAX) {
      const part = await upstream.read(reads.slice(at, at + ops.OPERATIONS_MAX), settings);
      responses.push(...part.responses);
      revision = Math.min(revision, part.revision);
    }
    return this.#known(work, revision, responses);
  }

  #present(work: Work, answer: TxnResponse): Present {
    return this.#known(work, revisionOf(answer), answer.responses);
  }

  #known({ levels }: Work, revision: number, responses: readonly ResponseOp[]): Present {
    const found = takeLevels(levels, responses);
    const below = ops.rowsOf(responses.at(-2))[0];
    return {
      snapshot: new Snapshot(revision, found),
      hasChildren: below !== undefined || found.at(-1)?.below !== undefined,
      sequence: ops.rowsOf(responses.at(-1))[0],
    };
  }
}

function isPlainSet({ action, dir, refresh }: WriteCommand, path: ByteString): boolean {
  return action === "set" && !dir && !refresh && path !== "";
}

/** When what a plain set writes expires: the tree says so. */
function setExpiration(command: WriteCommand): number | undefined {
  if (command.expirationMs === undefined) return undefined;
  const rows = new RowSpace(freeway(command.path.slice(CLIENTS.length), undefined));
  const guess = new Tree(rows, 0, emptyStats()).write(command, now());
  return guess instanceof EtcdError ? undefined : guess.node.expirationMs;
}

function asCreate(command: WriteCommand): WriteCommand {
  return { ...command, action: "create" };
}

/** A tree in which everything above a path is a directory. */
function freeway(path: ByteString, previous: TreeNode | undefined) {
  return {
    node: (at: ByteString) => (at === path ? previous : DIRECTORY),
    hasChildren: false,
  };
}

/** The number that the last name in order below the directory had; 0 where that does not matter. */
function lastName({ command }: Work, sequence: KeyValue | undefined): number {
  if (command.action !== "createInOrder" || sequence === undefined) return 0;
  const name = latin1(sequence.value);
  const last = name.length === SEQUENCE_DIGITS ? Number(name) : Number.NaN;
  return Number.isSafeInteger(last) ? last : 0;
}

function revisionOf({ header }: TxnResponse): number {
  return Number(header?.revision ?? 0n);
}

function now(): { wallMs: number; steadyMs: number } {
  const wallMs = Date.now();
  return { wallMs, steadyMs: wallMs };
}

function pause(attempt: number): Promise<void> {
  const longest = Math.min(BACKOFF_MAX_MS, 2 ** attempt);
  return new Promise((resolve) => setTimeout(resolve, longest * Math.random()));
}
