/** The members of the cluster. */
import { sendAdmin } from "./admin.ts";
import type { CallOptions, Cluster } from "./cluster.ts";
import { pathElement } from "./encoding.ts";
import { flagOf, type JsonObject, objectsOf, parseObject, textOf, textsOf } from "./json.ts";

export interface Member {
  /** Hexadecimal. */
  readonly id: string;
  /** "" before it has started for the first time. */
  readonly name: string;
  readonly peerURLs: readonly string[];
  /** Empty before it has started for the first time. */
  readonly clientURLs: readonly string[];
  /** It follows and does not vote; always false on servers without learners. */
  readonly isLearner: boolean;
}

const PATH = "/v2/members";

function decodeMember(record: JsonObject): Member {
  return {
    id: textOf(record, "id"),
    name: textOf(record, "name"),
    peerURLs: textsOf(record, "peerURLs"),
    clientURLs: textsOf(record, "clientURLs"),
    isLearner: flagOf(record, "isLearner"),
  };
}

export interface AddMemberOptions extends CallOptions {
  /** Joins without a vote at first; not on etcd 2.3.8 servers. Default false. */
  readonly isLearner?: boolean;
}

export class MembersApi {
  readonly #cluster: Cluster;

  constructor(cluster: Cluster) {
    this.#cluster = cluster;
  }

  /** All members, in the server's order. */
  async list(options: CallOptions = {}): Promise<readonly Member[]> {
    const { body } = await sendAdmin(this.#cluster, "GET", PATH, undefined, options);
    return objectsOf(parseObject(body), "members").map(decodeMember);
  }

  /** The leader as the member that is asked sees it. @throws ClusterError during an election. */
  async leader(options: CallOptions = {}): Promise<Member> {
    const { body } = await sendAdmin(this.#cluster, "GET", `${PATH}/leader`, undefined, options);
    return decodeMember(parseObject(body));
  }

  /** Adds a member that will be at these URLs. @throws RefusedError 400, 409. */
  async add(peerURLs: readonly string[], options: AddMemberOptions = {}): Promise<Member> {
    const fields = options.isLearner === true ? { peerURLs, isLearner: true } : { peerURLs };
    const { body } = await sendAdmin(this.#cluster, "POST", PATH, fields, options);
    return decodeMember(parseObject(body));
  }

  /** Replaces the peer URLs of a member. @throws RefusedError 404, 409. */
  async update(id: string, peerURLs: readonly string[], options: CallOptions = {}): Promise<void> {
    await sendAdmin(this.#cluster, "PUT", memberPath(id), { peerURLs }, options);
  }

  /** Removes a member for good. @throws RefusedError 404, 410 when it is removed already. */
  async remove(id: string, options: CallOptions = {}): Promise<void> {
    await sendAdmin(this.#cluster, "DELETE", memberPath(id), undefined, options);
  }

  /** Gives a learner its vote. Not on etcd 2.3.8 servers. */
  async promote(id: string, options: CallOptions = {}): Promise<void> {
    await sendAdmin(this.#cluster, "POST", `${memberPath(id)}/promote`, undefined, options);
  }

  /** Hands leadership to a member. Not on etcd 2.3.8 servers. */
  async moveLeader(id: string, options: CallOptions = {}): Promise<void> {
    await sendAdmin(this.#cluster, "POST", `${memberPath(id)}/move-leader`, undefined, options);
  }
}

function memberPath(id: string): string {
  return `${PATH}/${pathElement(id)}`;
}
