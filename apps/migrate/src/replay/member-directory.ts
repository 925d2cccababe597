/**
 * The members of a cluster during a replay: which membership changes are valid, and what each
 * writes under /0. Follows the rules the old servers applied, which made invalid changes void.
 */
import { formatId, MEMBERS_PATH, REMOVED_PATH } from "@etcd2/member-dir";
import { escapeJson } from "@etcd2/net-url";
import { MigrateError } from "../errors.ts";
import type { ConfChange2 } from "../etcd2/conf-change.ts";
import { FormatError } from "../io/format-error.ts";
import { JsonObject } from "../io/json-object.ts";
import { toByteString, fromByteString } from "@etcd2/store";
import type { ReplayStore } from "./replay-store.ts";
import { write } from "./writes.ts";

export interface ReplayMember {
  /** 16 hexadecimal digits. */
  readonly id: string;
  readonly peerUrls: readonly string[];
  readonly isLearner: boolean;
  /** Shown until the member publishes a name itself; empty when nobody said it. */
  readonly configuredName: string;
}

export class MemberDirectory {
  readonly #store: ReplayStore;
  readonly #members = new Map<string, ReplayMember>();
  readonly #removed = new Set<string>();

  constructor(store: ReplayStore) {
    this.#store = store;
  }

  /** Takes over what a snapshot put under /0. */
  load(): void {
    for (const node of this.#store.peekChildren(MEMBERS_PATH)) {
      const raft = this.#store.peek(`${node.key}/raftAttributes`);
      if (raft?.value === undefined) continue;
      const id = idOf(node.key);
      this.#members.set(id, { id, ...decodeRaftAttributes(raft.value) });
    }
    for (const node of this.#store.peekChildren(REMOVED_PATH)) this.#removed.add(idOf(node.key));
  }

  get members(): readonly ReplayMember[] {
    return [...this.#members.values()].sort((a, b) => (a.id < b.id ? -1 : 1));
  }

  get removedIds(): readonly string[] {
    return [...this.#removed].sort();
  }

  has(id: string): boolean {
    return this.#members.has(id);
  }

  /** True for a cluster of one: what it wrote, it also committed. */
  isAlone(): boolean {
    return this.members.filter((member) => !member.isLearner).length <= 1;
  }

  /** Applies a change; false when the old servers would have refused it. */
  apply(change: ConfChange2): boolean {
    if (!this.#isValid(change)) return false;
    const id = change.memberId;
    const base = `${MEMBERS_PATH}/${formatId(id)}`;
    if (change.kind === "remove") {
      this.#members.delete(id);
      this.#removed.add(id);
      this.#store.group([
        write("delete", base, { dir: true, recursive: true }),
        write("create", `${REMOVED_PATH}/${formatId(id)}`),
      ]);
      return true;
    }
    const known = this.#members.get(id);
    const isUpdate = change.kind === "update" || change.isPromotion;
    const member: ReplayMember = {
      id,
      peerUrls: change.isPromotion ? (known?.peerUrls ?? []) : change.peerUrls,
      isLearner: change.isPromotion
        ? false
        : isUpdate
          ? (known?.isLearner ?? false)
          : change.isLearner,
      configuredName: isUpdate ? (known?.configuredName ?? "") : change.name,
    };
    this.#members.set(id, member);
    const value = encodeRaftAttributes(member);
    this.#store.write(write(isUpdate ? "update" : "create", `${base}/raftAttributes`, { value }));
    return true;
  }

  #isValid(change: ConfChange2): boolean {
    const { memberId: id } = change;
    if (this.#removed.has(id)) return false;
    const taken = this.members.some(
      (other) => other.id !== id && other.peerUrls.some((url) => change.peerUrls.includes(url)),
    );
    const exists = this.#members.has(id);
    switch (change.kind) {
      case "add":
      case "addLearner":
        if (change.isPromotion) return exists && (this.#members.get(id)?.isLearner ?? false);
        return !exists && !taken;
      case "remove":
        return exists;
      case "update":
        return exists && !taken;
    }
  }
}

function idOf(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1).padStart(16, "0");
}

function decodeRaftAttributes(value: string): Omit<ReplayMember, "id"> {
  try {
    const json = JsonObject.parse(fromByteString(value));
    return {
      peerUrls: json.texts("peerURLs"),
      isLearner: json.boolean("isLearner"),
      configuredName: json.text("name"),
    };
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    throw new MigrateError("corrupt", `unreadable member record: ${error.message}`);
  }
}

/** The JSON stored for a member's part in raft: as etcd has it, with the configured name beside it. */
export function encodeRaftAttributes(
  member: Pick<ReplayMember, "peerUrls" | "isLearner"> & { readonly configuredName?: string },
): string {
  const { peerUrls, isLearner, configuredName = "" } = member;
  return goJson({
    peerURLs: peerUrls,
    ...(isLearner && { isLearner }),
    ...(configuredName !== "" && { name: configuredName }),
  });
}

/** The JSON etcd stores for a member's name and client URLs. */
export function encodeAttributes(name: string, clientUrls: readonly string[]): string {
  const fields: { name?: string; clientURLs?: readonly string[] } = {};
  if (name !== "") fields.name = name;
  if (clientUrls.length > 0) fields.clientURLs = clientUrls;
  return goJson(fields);
}

/** JSON as Go writes it, as a byte string: with <, > and & escaped. */
function goJson(value: unknown): string {
  return toByteString(escapeJson(JSON.stringify(value)));
}
