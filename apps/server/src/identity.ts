/**
 * Decides who a new member is, before anything is written: a founder of a new cluster, or an
 * addition to a running one, which it asks by its peers' URLs.
 */
import { lookup } from "node:dns/promises";
import { fetchClusterInfo } from "@etcd2/raft";
import type { ClusterInfo } from "@etcd2/raft";
import type { Identity } from "./bootstrap.ts";
import { foundingIdentity } from "./bootstrap.ts";
import type { ServerConfig } from "./config.ts";
import { clusterId, formatId, memberId } from "./ids.ts";
import { checkInitialCluster } from "./initial-cluster.ts";
import { StartError } from "./start-error.ts";
import { urlTexts } from "./urls.ts";

/** A peer asked about the cluster has this long to answer. */
const ASK_TIMEOUT_MS = 2000;

function peerUrlsByName(config: ServerConfig): Map<string, readonly string[]> {
  return new Map([...config.initialCluster].map(([name, urls]) => [name, urlTexts(urls)]));
}

/** The first answer of any of the peers; undefined when none answers. */
async function askPeers(urls: readonly string[]): Promise<ClusterInfo | undefined> {
  const answers = urls.map((url) => fetchClusterInfo(url, { timeoutMs: ASK_TIMEOUT_MS }));
  return Promise.any(answers).catch(() => undefined);
}

/** @throws StartError with the reason and what to do. */
export async function decideIdentity(config: ServerConfig): Promise<Identity> {
  const isJoining = config.initialClusterState === "existing";
  const problem = await checkInitialCluster(
    {
      name: config.name,
      cluster: config.initialCluster,
      advertisePeerUrls: config.advertisePeerUrls,
      isJoining,
      isClusterDefault: config.isInitialClusterDefault,
      isAdvertiseDefault: config.isAdvertisePeerUrlsDefault,
      discoveryUrl: config.discovery,
    },
    async (host) => (await lookup(host)).address,
  );
  if (problem !== undefined) throw new StartError([problem.message, ...problem.hints].join("; "));
  return isJoining ? join(config) : found(config);
}

async function found(config: ServerConfig): Promise<Identity> {
  const identity = foundingIdentity(config.name, peerUrlsByName(config), {
    memberId: (peerUrls) => memberId({ peerUrls, token: config.initialClusterToken }),
    clusterId,
  });
  const others = [...config.initialCluster]
    .filter(([name]) => name !== config.name)
    .flatMap(([, urls]) => urlTexts(urls));
  if (others.length === 0) return identity;
  const info = await askPeers(others);
  const known = info?.members.find((member) => member.id === identity.memberId);
  if (known !== undefined && known.name !== "") {
    throw new StartError(
      `member ${formatId(identity.memberId)} has already been bootstrapped: its data directory is missing here. ` +
        `Remove it with "etcdctl member remove ${formatId(identity.memberId)}", add it again with "etcdctl member add", ` +
        `and start it with --initial-cluster-state existing`,
    );
  }
  return identity;
}

async function join(config: ServerConfig): Promise<Identity> {
  const cluster = peerUrlsByName(config);
  const own = [...(cluster.get(config.name) ?? [])].sort();
  const others = [...cluster].filter(([name]) => name !== config.name).flatMap(([, urls]) => urls);
  const info = await askPeers(others);
  if (info === undefined) {
    throw new StartError(
      `cannot fetch cluster info from peer urls: could not retrieve cluster information from the given urls (${others.join(", ")})`,
    );
  }
  const wanted = new Set([...cluster.values()].flat());
  const problem = "error validating peerURLs";
  if (info.members.length !== cluster.size) {
    throw new StartError(
      `${problem} ${[...wanted].join(",")}: member count is unequal (the cluster has ${info.members.length} members, ` +
        `--initial-cluster names ${cluster.size}); see "etcdctl member list"`,
    );
  }
  for (const member of info.members) {
    if (!member.peerUrls.every((url) => wanted.has(url))) {
      throw new StartError(
        `${problem}: unmatched member while checking PeerURLs: ${formatId(member.id)} has ${member.peerUrls.join(",")}; ` +
          `name it so in --initial-cluster`,
      );
    }
  }
  const self = info.members.find((member) => [...member.peerUrls].sort().join() === own.join());
  if (self === undefined) {
    throw new StartError(
      `${problem}: no member of the cluster has the peer URLs ${own.join(",")}: run "etcdctl member add ${config.name} ${own.join(",")}" first`,
    );
  }
  const hosts = info.members.map(({ id, name, peerUrls, clientUrls, isLearner }) => ({
    id,
    name,
    peerURLs: peerUrls,
    clientURLs: clientUrls,
    isLearner,
  }));
  return { memberId: self.id, clusterId: info.clusterId, founders: [], hosts };
}
