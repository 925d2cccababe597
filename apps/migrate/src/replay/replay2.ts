/**
 * Replays the entries of a 2.x or 3.x log onto a store: turns each into the write the old server
 * made of it. Knows the rules of old versions; where entries come from and which are committed is
 * decided outside.
 */
import { formatId, MEMBERS_PATH } from "@etcd2/member-dir";
import { decodeConfChange } from "../etcd2/conf-change.ts";
import type { WalEntry } from "../etcd2/records.ts";
import type { V2Request } from "../etcd2/request.ts";
import { decodeRequest } from "../etcd2/request.ts";
import { cleanKey } from "@etcd2/store";
import { encodeAttributes, MemberDirectory } from "./member-directory.ts";
import type { ReplayStore, ReplayWrite } from "./replay-store.ts";
import type { ReplayRules } from "./rules.ts";
import type { WriteOptions } from "./writes.ts";
import { write } from "./writes.ts";

const VERSION_PATH = "/0/version";
/** Root of the users' keys. */
const KEYS_PATH = "/1";

export interface ReplayCounts {
  /** Entries applied. */
  entries: number;
  /** Entries of the v3 store, left out. */
  v3Entries: number;
  /** Updates with conditions in a log whose writer may or may not have honoured them. */
  ambiguousUpdates: number;
  /** Deletes of everything at once. */
  rootDeletes: number;
}

export class Replay2 {
  readonly #store: ReplayStore;
  readonly #rules: ReplayRules;
  readonly members: MemberDirectory;
  readonly counts: ReplayCounts = {
    ...{ entries: 0, v3Entries: 0, ambiguousUpdates: 0, rootDeletes: 0 },
  };
  /** By how much the index here is ahead of the one the old server had. */
  #indexAhead = 0;

  constructor(store: ReplayStore, rules: ReplayRules) {
    this.#store = store;
    this.#rules = rules;
    this.members = new MemberDirectory(store);
  }

  /** @throws FormatError when the entry cannot be read. */
  apply(entry: WalEntry): void {
    this.#store.begin(entry.index, entry.term);
    this.counts.entries++;
    if (entry.isConfChange) {
      this.members.apply(decodeConfChange(entry.data));
      return;
    }
    if (entry.data.length === 0) return;
    const request = decodeRequest(entry.data);
    switch (request.kind) {
      case "v2":
        this.#applyV2(request);
        return;
      case "clusterVersion":
        this.#store.write(write("set", VERSION_PATH, { value: request.version }));
        return;
      case "memberAttributes": {
        if (!this.members.has(request.memberId)) return;
        const path = `${MEMBERS_PATH}/${formatId(request.memberId)}/attributes`;
        const value = encodeAttributes(request.name, request.clientUrls);
        this.#store.write(write("set", path, { value }));
        return;
      }
      case "v3":
        this.counts.v3Entries++;
        return;
    }
  }

  #applyV2(request: V2Request): void {
    switch (request.method) {
      case "POST":
        this.#inOrder(request);
        return;
      case "PUT":
        this.#store.write(this.#put(request));
        return;
      case "DELETE":
        if (this.#isRootDelete(request)) this.#deleteRoot();
        else this.#store.write(this.#delete(request));
        return;
      case "SYNC":
        this.#store.expire(request.timeNs);
        return;
      case "QGET":
        return;
    }
  }

  #isRootDelete({ path, recursive, prevValue, prevIndex }: V2Request): boolean {
    const isConditional = prevIndex > 0 || prevValue !== "";
    return this.#rules.deletesRoot && recursive && !isConditional && cleanKey(path) === KEYS_PATH;
  }

  /** The users' root itself stays here, so its children go one by one; the old server counted one. */
  #deleteRoot(): void {
    const children = this.#store.peekChildren(KEYS_PATH);
    this.#store.group(
      children.map(({ key }) => write("delete", key, { dir: true, recursive: true })),
    );
    this.#indexAhead += children.length - 1;
    this.counts.rootDeletes++;
  }

  /** Old in-order names are plain numbers: the name is settled here, then simply created. */
  #inOrder(request: V2Request): void {
    const options = { value: request.value, dir: request.dir, ...this.#life(request) };
    if (this.#rules.padsInOrderNames) {
      this.#store.write(write("createInOrder", cleanKey(request.path), options));
      return;
    }
    const path = `${cleanKey(request.path)}/${this.#store.etcdIndex + 1 - this.#indexAhead}`;
    this.#store.write(write("create", path, options));
  }

  #put(request: V2Request): ReplayWrite {
    const { value, dir, prevValue, prevIndex, refresh } = request;
    const path = cleanKey(request.path);
    const life = this.#life(request);
    const hasCondition = prevIndex > 0 || prevValue !== "";
    if (request.prevExist === false) {
      return write("create", path, { value, dir, ...life });
    }
    if (request.prevExist === true && (!hasCondition || this.#rules.updateIgnoresConditions)) {
      return write("update", path, { value, refresh, ...life });
    }
    if (hasCondition) {
      if (request.prevExist === true && !this.#rules.padsInOrderNames) {
        this.counts.ambiguousUpdates++;
      }
      const options = { value, prevValue, prevIndex, refresh, ...life };
      return write("compareAndSwap", path, options);
    }
    return write("set", path, { value, dir, refresh, ...life });
  }

  #delete(request: V2Request): ReplayWrite {
    const { prevValue, prevIndex, dir, recursive } = request;
    const path = cleanKey(request.path);
    if (prevIndex > 0 || prevValue !== "") {
      return write("compareAndDelete", path, { prevValue, prevIndex });
    }
    return write("delete", path, { dir, recursive });
  }

  #life(request: V2Request): Pick<WriteOptions, "expirationNs"> {
    return request.expirationNs === 0n ? {} : { expirationNs: request.expirationNs };
  }
}
