/** The membership of a fake server: kept in memory, with the store's part of every change. */
import { createHash } from "node:crypto";
import { writeCommand, type GroupCommand, type WriteCommand } from "@etcd2/store";
import { MembershipError, type Member, type Membership } from "../src/index.ts";

const SELF = "ce2a822cea30bfca";
const PEER_URL = "http://127.0.0.1:2380";

type Apply = (command: WriteCommand | GroupCommand) => unknown;

function write(action: WriteCommand["action"], path: string, value = ""): WriteCommand {
  const isDelete = action === "delete";
  return writeCommand({ action, path, value, dir: isDelete, recursive: isDelete });
}

export class FakeMembership implements Membership {
  /** Members that run; the others only count against the quorum. */
  started: number;
  readonly #apply: Apply;
  readonly #members = new Map<string, Member>();
  readonly #removed = new Set<string>();

  constructor(apply: Apply, clientUrl: string, ghosts: number) {
    this.#apply = apply;
    this.started = ghosts === 0 ? 1 : 0;
    for (let ghost = 1; ghost <= ghosts; ghost++) {
      this.#put(this.#unstarted([`http://127.0.0.1:${String(ghost)}`], `ghost${String(ghost)}`));
    }
    this.#put({ ...this.#unstarted([PEER_URL], SELF), id: SELF });
    if (ghosts > 0) return;
    this.#put({
      ...this.#unstarted([PEER_URL], SELF),
      id: SELF,
      name: "default",
      clientURLs: [clientUrl],
    });
    this.#group(write("create", `/0/members/${SELF}/raftAttributes`, "{}"));
    this.#apply(write("set", `/0/members/${SELF}/attributes`, "{}"));
  }

  list(): readonly Member[] {
    return [...this.#members.values()].sort((a, b) =>
      BigInt(`0x${a.id}`) < BigInt(`0x${b.id}`) ? -1 : 1,
    );
  }

  self(): Member | undefined {
    return this.#members.get(SELF);
  }

  leader(): Member | undefined {
    return this.started > 0 ? this.self() : undefined;
  }

  add(peerURLs: readonly string[], options: { readonly learner: boolean }): Promise<Member> {
    return this.#change(() => {
      this.#refuseTaken(peerURLs, undefined);
      const seed = `${peerURLs.join("")}${String(Date.now())}`;
      const member = { ...this.#unstarted(peerURLs, seed), isLearner: options.learner };
      this.#put(member);
      this.#group(write("create", `/0/members/${member.id}/raftAttributes`, "{}"));
      return member;
    });
  }

  remove(id: string): Promise<void> {
    return this.#change(() => {
      this.#find(id);
      this.#members.delete(id);
      this.#removed.add(id);
      this.#group(write("delete", `/0/members/${id}`), write("create", `/0/removed_members/${id}`));
    });
  }

  updatePeerURLs(id: string, peerURLs: readonly string[]): Promise<void> {
    return this.#change(() => {
      const member = this.#find(id);
      this.#refuseTaken(peerURLs, id);
      this.#put({ ...member, peerURLs });
      this.#group(write("update", `/0/members/${id}/raftAttributes`, "{}"));
    });
  }

  promote(id: string): Promise<void> {
    return Promise.reject(new MembershipError("notFound", id));
  }

  moveLeader(id: string): Promise<void> {
    return Promise.reject(new MembershipError("notFound", id));
  }

  async #change<T>(make: () => T): Promise<T> {
    await Promise.resolve();
    if (this.started * 2 <= this.#members.size) throw new MembershipError("timeout", "no quorum");
    return make();
  }

  #put(member: Member): void {
    this.#members.set(member.id, member);
  }

  #unstarted(peerURLs: readonly string[], seed: string): Member {
    const id = createHash("sha1").update(seed).digest("hex").slice(0, 16).replace(/^0+/, "");
    return { id, name: "", peerURLs, clientURLs: [], isLearner: false };
  }

  #group(...writes: WriteCommand[]): void {
    this.#apply({ action: "group", writes });
  }

  #find(id: string): Member {
    const member = this.#members.get(id);
    if (member !== undefined) return member;
    throw new MembershipError(this.#removed.has(id) ? "removed" : "notFound", id);
  }

  #refuseTaken(peerURLs: readonly string[], except: string | undefined): void {
    for (const { id, peerURLs: taken } of this.#members.values()) {
      if (id !== except && taken.some((url) => peerURLs.includes(url))) {
        throw new MembershipError("peerUrlExists", id);
      }
    }
  }
}
