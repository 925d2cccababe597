/**
 * The planted bugs: one change of one real source each, as somebody in a hurry might make it. Each must be
 * caught by the simulated cluster of real members; `find` occurs exactly once in its file.
 */

/** One planted bug. */
export interface Mutant {
  readonly id: string;
  readonly file: string;
  readonly find: string;
  readonly replace: string;
}

const RAFT = "libs/raft/src";
const STORE = "libs/store/src";
const SERVER = "apps/server/src";
const API = "libs/api-v2/src";

/** All planted bugs, by area. */
export const MUTANTS: readonly Mutant[] = [
  // The core.
  {
    id: "core-quorum",
    file: `${RAFT}/core/membership/quorum.ts`,
    find: "return Math.floor(voters / 2) + 1;",
    replace: "return Math.max(1, Math.floor(voters / 2));",
  },
  {
    id: "core-commit-beyond-append",
    file: `${RAFT}/core/roles/follower.ts`,
    find: "raft.log.commitTo(Math.min(message.commit, last));",
    replace: "raft.log.commitTo(Math.min(message.commit, raft.log.lastIndex));",
  },
  {
    id: "core-heartbeat-commit",
    file: `${RAFT}/core/roles/leader.ts`,
    find: "const commit = Math.min(match, raft.log.committed);",
    replace: "const commit = raft.log.committed;",
  },
  {
    id: "core-forward-without-term",
    file: `${RAFT}/core/roles/follower.ts`,
    find: 'raft.send({ type: "propose", to, from, term, entries });',
    replace: 'raft.send({ type: "propose", to, from, term: 0, entries });',
  },
  // The loop.
  {
    id: "loop-send-before-sync",
    file: `${RAFT}/node/raft-node.ts`,
    find: "return this.#log.save(ready.entries, hardState, ready.mustSync);",
    replace: "return this.#log.save(ready.entries, hardState, false);",
  },
  {
    id: "loop-hard-state-forgotten",
    file: `${RAFT}/node/raft-node.ts`,
    find: "const hardState = ready.hardState ?? this.#unsavedHardState;",
    replace: "const hardState = ready.entries.length > 0 ? ready.hardState : undefined;",
  },
  {
    id: "loop-snapshot-log-not-restarted",
    file: `${RAFT}/node/raft-node.ts`,
    find: "    await this.#log.installSnapshot(snapshot);\n",
    replace: "    void snapshot;\n",
  },
  {
    id: "loop-dropped-twice",
    file: `${RAFT}/node/raft-node.ts`,
    find: "for (const data of lost) if (!queued.has(data)) this.#proposals.push(data);",
    replace:
      "for (const data of lost) this.#proposals.push(data, ...(queued.size > 9 ? [] : [data]));",
  },
  // Reads.
  {
    id: "reads-before-applied",
    file: `${RAFT}/node/read-rounds.ts`,
    find: "if (first === undefined || first.index > applied) return;",
    replace: "if (first === undefined || applied < 0) return;",
  },
  {
    id: "reads-join-round-under-way",
    file: `${RAFT}/node/read-rounds.ts`,
    find: "    this.#waiting.push(callback);\n    if (this.#round === undefined)",
    replace:
      "    (this.#round?.callbacks ?? this.#waiting).push(callback);\n    if (this.#round === undefined)",
  },
  {
    id: "reads-without-round",
    file: `${RAFT}/core/roles/leader.ts`,
    find: "else readOnly.add(request, log.committed);",
    replace: "else answerRead(raft, request, log.committed);",
  },
  {
    id: "reads-any-round",
    file: `${RAFT}/core/roles/read-only.ts`,
    find: "while (count < waiting.length && (waiting[count]?.round ?? 0) <= round) count += 1;",
    replace: "while (count < waiting.length && round >= 0) count += 1;",
  },
  {
    id: "reads-quorum-ignored",
    file: `${SERVER}/consensus/requests.ts`,
    find: "    this.#reads.add(\n      trace === undefined ? done : (this.#options.tracing?.reading(trace, done) ?? done),\n    );",
    replace: "    setImmediate(done, undefined); void trace;",
  },
  // The log.
  {
    id: "log-sync-missing",
    file: `${RAFT}/wal/files/node-file-system.ts`,
    find: "        fdatasyncSync(operation.file);\n        return;",
    replace: "        return;",
  },
  {
    id: "log-pool-sync-missing",
    file: `${RAFT}/wal/files/node-file-system.ts`,
    find: 'case "syncData":\n        return fdatasyncOnPool(operation.file);',
    replace: 'case "syncData":\n        return;',
  },
  {
    id: "log-directory-sync-missing",
    file: `${RAFT}/wal/files/node-file-system.ts`,
    find: '      case "syncDirectory":\n        syncDirectory(operation.path);\n        return;',
    replace: '      case "syncDirectory":\n        return;',
  },
  {
    id: "log-failure-forgotten",
    file: `${RAFT}/wal/step-runner.ts`,
    find: "    this.#failure ??= writeError(this.#options.directory, error);\n    return this.#failure;",
    replace: "    return writeError(this.#options.directory, error);",
  },
  // The store.
  {
    id: "store-index-skipped",
    file: `${STORE}/state-machine.ts`,
    find: "if (entry.index <= this.#raftIndex) {",
    replace: "if (entry.index < this.#raftIndex) {",
  },
  {
    id: "store-flush-unsynced",
    file: `${STORE}/state-machine.ts`,
    find: "    this.#saveTime(batch, Math.floor(this.clock.steadyMs()));\n    batch.write({ sync: true });",
    replace:
      "    this.#saveTime(batch, Math.floor(this.clock.steadyMs()));\n    batch.write({ sync: false });",
  },
  {
    id: "store-created-index-lost",
    file: `${STORE}/tree/tree.ts`,
    find: "      false,\n      command.refresh ? node.value : command.value,\n      node.createdIndex,",
    replace: "      false,\n      command.refresh ? node.value : command.value,\n      index,",
  },
  {
    id: "store-compare-either",
    file: `${STORE}/tree/tree.ts`,
    find: "if (!valueFails && !indexFails) return undefined;",
    replace: "if (!valueFails || !indexFails) return undefined;",
  },
  {
    id: "store-refused-takes-index",
    file: `${STORE}/tree/tree.ts`,
    find: "if (this.#space.get(path) !== undefined) return this.#error(105, path);",
    replace:
      "if (this.#space.get(path) !== undefined) {\n      this.etcdIndex += 1;\n      return this.#error(105, path);\n    }",
  },
  {
    id: "store-in-order-name",
    file: `${STORE}/tree/tree.ts`,
    find: 'const name = (this.etcdIndex + 1).toString().padStart(INDEX_DIGITS, "0");',
    replace: 'const name = this.etcdIndex.toString().padStart(INDEX_DIGITS, "0");',
  },
  {
    id: "store-refresh-clears",
    file: `${STORE}/tree/tree.ts`,
    find: "      node.dir || command.refresh ? node.value : command.value,",
    replace: "      node.dir ? node.value : command.value,",
  },
  // Lives.
  {
    id: "lives-early",
    file: `${SERVER}/member/ttl-sync.ts`,
    find: "    const now = machine.clock.steadyMs();\n    const next = machine.nextDeadline();\n    if (next === undefined || next > now) return;",
    replace:
      "    const now = machine.clock.steadyMs() + 900;\n    const next = machine.nextDeadline();\n    if (next === undefined || next > now) return;",
  },
  {
    id: "lives-never",
    file: `${SERVER}/member/ttl-sync.ts`,
    find: "if (this.#inFlight || !consensus.node.isLeader) return;",
    replace: "if (this.#inFlight || consensus.node.isLeader) return;",
  },
  {
    id: "lives-expire-changed-nodes",
    file: `${STORE}/tree/tree.ts`,
    find: "if (node?.modifiedIndex !== expired.modifiedIndex) return undefined;",
    replace: "if (node === undefined) return undefined;",
  },
  // Applying.
  {
    id: "applier-not-skipping",
    file: `${SERVER}/consensus/proposals.ts`,
    find: "if (pending.term >= term) continue;",
    replace: "if (pending.term > term) continue;",
  },
  {
    id: "applier-never-again",
    file: `${SERVER}/consensus/proposals.ts`,
    find: "      pending.term = currentTerm;\n",
    replace: "",
  },
  {
    id: "applier-answers-others",
    file: `${SERVER}/consensus/proposals.ts`,
    find: "return id?.session === this.session ? this.#at(id.sequence) : undefined;",
    replace: "return id === undefined ? undefined : this.#at(id.sequence);",
  },
  {
    id: "applier-acknowledges-at-once",
    file: `${SERVER}/consensus/proposals.ts`,
    find: "for (const pending of this.#waiting()) pending.term = Number.POSITIVE_INFINITY;",
    replace: "for (const pending of this.#waiting()) pending.term = 0;",
  },
  // History and watches.
  {
    id: "history-memory-off-by-one",
    file: `${STORE}/events/event-log.ts`,
    find: "const from = this.#ringStart + since - this.#ringFirst;",
    replace:
      "const from = this.#ringStart + since - this.#ringFirst + (since > this.#ringFirst ? 1 : 0);",
  },
  {
    id: "history-cleared-early",
    file: `${STORE}/events/event-log.ts`,
    find: "return Math.max(this.#storedFirst, this.#lastIndex - this.#countMax + 1);",
    replace: "return Math.max(this.#storedFirst, this.#lastIndex - 3);",
  },
  {
    id: "hub-repeats",
    file: `${STORE}/events/watcher-hub.ts`,
    find: "if (entry.state !== state || event.etcdIndex < entry.next) return false;",
    replace: "if (entry.state !== state) return false;",
  },
  {
    id: "hub-skips-after-snapshot",
    file: `${STORE}/events/watcher-hub.ts`,
    find: "      entry.next = Math.max(entry.next, firstUndelivered);\n      if (entry.next > source.history.lastIndex) continue;",
    replace: "      if (entry.next >= 0) continue;\n      entry.next = firstUndelivered;",
  },
  {
    id: "hub-hidden-shown",
    file: `${STORE}/tree/watch-rule.ts`,
    find: 'return path.includes("/_", from);',
    replace: "return path.length < from;",
  },
  {
    id: "hub-removed-children",
    file: `${STORE}/tree/watch-rule.ts`,
    find: "return event.removed !== undefined && isBelow(watched, key) && event.removed.has(watched);",
    replace: "return false;",
  },
  {
    id: "hub-refresh-told",
    file: `${STORE}/tree/watch-rule.ts`,
    find: "  if (event.refresh) return false;\n",
    replace: "",
  },
  // Snapshots and compaction.
  {
    id: "compactor-not-durable",
    file: `${SERVER}/storage/compactor.ts`,
    find: "machine.flushDurable();",
    replace: "",
  },
  {
    id: "snapshot-not-named",
    file: `${SERVER}/storage/member-storage.ts`,
    find: "      incoming.flushDurable();\n      this.#directory.switchTo(path);",
    replace: "      incoming.flushDurable();",
  },
  {
    id: "snapshot-current-unsynced",
    file: `${STORE}/disk/store-directory.ts`,
    find: "    this.#inUse = path;\n    syncPath(this.path);\n",
    replace: "    this.#inUse = path;\n",
  },
  {
    id: "snapshot-not-attached",
    file: `${SERVER}/consensus/snapshot-exchange.ts`,
    find: "      hub.attach(machine);\n",
    replace: "      void hub; void machine;\n",
  },
  {
    id: "snapshot-members-not-read",
    file: `${SERVER}/consensus/snapshot-exchange.ts`,
    find: "      cluster.reload();\n",
    replace: "      void cluster;\n",
  },
  // The gateway.
  {
    id: "gateway-condition-dropped",
    file: `${API}/keys/write-command.ts`,
    find: "prevIndex: conditional ? request.prevIndex : 0,",
    replace: "prevIndex: 0,",
  },
  {
    id: "gateway-create-sets",
    file: `${API}/keys/write-command.ts`,
    find: '  if (request.prevExist === false) return "create";\n',
    replace: "",
  },
  {
    id: "gateway-refresh-sets",
    file: `${API}/keys/write-command.ts`,
    find: 'refresh: request.refresh && !isDelete && action !== "create" && action !== "createInOrder",',
    replace: "refresh: false,",
  },
  // Who is who.
  {
    id: "lives-admission-off",
    file: `${SERVER}/lives/admission.ts`,
    find: '    if (doubt === "none") return true;',
    replace: '    if (doubt !== "copy") return true;',
  },
  {
    id: "life-not-counted",
    file: `${SERVER}/lives/life-file.ts`,
    find: "...{ incarnation, starts: starts + 1, diverged },",
    replace: '...{ incarnation: starts > 0 ? incarnation : "", starts: 1, diverged },',
  },
];
