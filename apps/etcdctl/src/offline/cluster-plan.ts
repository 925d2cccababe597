/**
 * The members that a restored cluster is to have, and their ids. The ids depend on the data that is
 * restored, so that no member of the old cluster is ever taken for one of the new. Every member's
 * run with the same plan and the same data comes to the same ids.
 */
import { createHash } from "node:crypto";
import { DEFAULT_PEER_URLS, splitInitialCluster } from "@etcd2/member-dir";
import { socketUrl } from "@etcd2/net-url";

export interface PlannedMember {
  /** 16 hexadecimal digits. */
  readonly id: string;
  readonly name: string;
  /** Sorted. */
  readonly peerURLs: readonly string[];
}

export interface ClusterPlan {
  /** 16 hexadecimal digits. */
  readonly clusterId: string;
  /** Whose directory is being made. */
  readonly self: PlannedMember;
  /** Sorted by id. */
  readonly members: readonly PlannedMember[];
}

export interface PlanOptions {
  readonly name: string;
  /** As `--initial-cluster` gives it; "" for this member alone. */
  readonly initialCluster: string;
  /** Separated by commas; "" for those the plan names. */
  readonly advertisePeerUrls: string;
  readonly token: string;
  /** Names the data to be restored. */
  readonly origin: string;
}

function digest(text: string): string {
  return createHash("sha1").update(text).digest("hex").slice(0, 16);
}

function checkedUrl(text: string): string {
  return socketUrl(text.replace(/\/$/, "")).text;
}

function urlList(text: string): readonly string[] {
  return text.split(",").map((url) => checkedUrl(url.trim()));
}

/** Names and their peer URLs. @throws Error for a part that is not "name=peerURL", or comes twice. */
function parseInitialCluster(text: string): ReadonlyMap<string, readonly string[]> {
  const cluster = new Map<string, readonly string[]>();
  const seen = new Set<string>();
  for (const [name, texts] of splitInitialCluster(text)) {
    const urls = texts.map((part) => {
      if (name === "" || part === "") {
        const given = name === "" ? `=${part}` : name;
        throw new Error(`--initial-cluster: "${given}" does not have the form "name=peerURL"`);
      }
      const url = checkedUrl(part);
      if (seen.has(url)) throw new Error(`--initial-cluster: ${url} is named twice`);
      seen.add(url);
      return url;
    });
    cluster.set(name, urls);
  }
  return cluster;
}

/** @throws Error when the options contradict each other. */
export function planCluster(options: PlanOptions): ClusterPlan {
  const { name, token, origin } = options;
  const advertised =
    options.advertisePeerUrls === "" ? undefined : urlList(options.advertisePeerUrls);
  const cluster =
    options.initialCluster === ""
      ? new Map([[name, advertised ?? DEFAULT_PEER_URLS]])
      : parseInitialCluster(options.initialCluster);
  const own = cluster.get(name);
  if (own === undefined) {
    throw new Error(`--initial-cluster does not name the member "${name}" of --name`);
  }
  if (advertised !== undefined && [...advertised].sort().join() !== [...own].sort().join()) {
    throw new Error(
      `--initial-cluster has ${name}=${own.join(`,${name}=`)}, ` +
        `but --initial-advertise-peer-urls is ${advertised.join(",")}`,
    );
  }
  const members = [...cluster].map(([memberName, urls]): PlannedMember => {
    const peerURLs = [...urls].sort();
    return { id: digest(`${peerURLs.join(",")}\n${token}\n${origin}`), name: memberName, peerURLs };
  });
  members.sort((a, b) => (a.id < b.id ? -1 : 1));
  const self = members.find((member) => member.name === name);
  if (self === undefined) throw new Error(`the member "${name}" is not in the plan`);
  return { clusterId: digest(members.map(({ id }) => id).join()), self, members };
}
