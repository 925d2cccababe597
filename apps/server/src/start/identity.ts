/**
 * Decides who a new member is, before anything is written: a founder of a new cluster, or an
 * addition to a running one. What runs is asked of the peers, not believed from the flags. Every
 * refusal names the ids involved and the command that helps. Opens no storage.
 */
import { lookup } from "node:dns/promises";
import { clusterId, formatId, memberId } from "@etcd2/member-dir";
import { ClusterInfoError, fetchClusterInfo } from "@etcd2/raft";
import type { ClusterInfo, PeerCredentials } from "@etcd2/raft";
import type { Identity } from "../cluster/bootstrap.ts";
import { foundingIdentity } from "../cluster/bootstrap.ts";
import type { ServerConfig } from "../config/server-config.ts";
import { discoverCluster } from "../discovery/find-cluster.ts";
import { checkInitialCluster } from "../config/initial-cluster.ts";
import type { Logging } from "../logging/logger.ts";
import { StartError } from "../base/start-error.ts";
import { urlTexts } from "../config/urls.ts";

/** A peer asked about the cluster has this long to answer. */
const ASK_TIMEOUT_MS = 2000;

/**
 * Peers that do not answer in time are asked this often. To take a slow cluster for none would let a
 * member that lost its data found it anew under its old id, and vote twice in one term.
 */
const ASKS_MAX = 3;

/** An identity, and what is left to do once the storage that holds it is durable. */
export interface DecidedIdentity extends Identity {
  /** To be called before the member takes part in anything. */
  readonly settle: () => void;
}

export interface IdentityOptions {
  readonly logging: Logging;
  /** How to reach peers by https. */
  readonly credentials?: PeerCredentials;
}

type RunningMember = ClusterInfo["members"][number];

function nothing(): void {
  // Nothing is left to settle where nothing was registered.
}

function peerUrlsByName(config: ServerConfig): Map<string, readonly string[]> {
  return new Map([...config.initialCluster].map(([name, urls]) => [name, urlTexts(urls)]));
}

function othersOf(config: ServerConfig): readonly string[] {
  return [...config.initialCluster]
    .filter(([name]) => name !== config.name)
    .flatMap(([, urls]) => urlTexts(urls));
}

/** The first answer of any of the peers; undefined when none answers. */
async function askPeers(
  urls: readonly string[],
  { credentials, logging }: IdentityOptions,
): Promise<ClusterInfo | undefined> {
  const options = { timeoutMs: ASK_TIMEOUT_MS, ...(credentials !== undefined && { credentials }) };
  for (let ask = 1; ; ask++) {
    try {
      return await Promise.any(urls.map((url) => fetchClusterInfo(url, options)));
    } catch (error) {
      const late = lateness(error);
      if (late === undefined || ask === ASKS_MAX) return undefined;
      logging
        .logger("etcdserver")
        .warning(`no peer said in time which cluster it is of (${late}): asking again`);
    }
  }
}

/** What was said of a peer that might still answer; undefined when all of them are known not to. */
function lateness(error: unknown): string | undefined {
  const errors: readonly unknown[] = error instanceof AggregateError ? error.errors : [];
  const isLate = (each: unknown): each is ClusterInfoError =>
    each instanceof ClusterInfoError && each.code === "late";
  return errors.find(isLate)?.message;
}

async function check(config: ServerConfig, isJoining: boolean): Promise<void> {
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
  if (problem === undefined) return;
  throw new StartError(problem.message, {
    lines: [
      { level: "critical", message: problem.message },
      ...problem.hints.map((message) => ({ level: "info" as const, message })),
    ],
  });
}

/** @throws StartError with the reason and what to do. */
export async function decideIdentity(
  config: ServerConfig,
  options: IdentityOptions,
): Promise<DecidedIdentity> {
  const isJoining = config.initialClusterState === "existing";
  await check(config, isJoining);
  if (isJoining) {
    if (config.discovery !== "") {
      throw new StartError("discovery URL should not be set when joining existing initial cluster");
    }
    return { ...(await join(config, options)), settle: nothing };
  }
  if (config.discovery === "") {
    return { ...(await found(config, options)), settle: nothing };
  }
  const own = urlTexts(config.initialCluster.get(config.name) ?? []);
  const id = memberId({ peerUrls: own, token: config.discovery });
  const { cluster, settle } = await discoverCluster(config, id, options.logging);
  const complete = { ...config, initialCluster: cluster };
  await check(complete, false);
  return { ...(await found(complete, options)), settle };
}

async function found(config: ServerConfig, options: IdentityOptions): Promise<Identity> {
  const token = config.discovery === "" ? config.initialClusterToken : config.discovery;
  const identity = foundingIdentity(config.name, peerUrlsByName(config), {
    memberId: (peerUrls) => memberId({ peerUrls, token }),
    clusterId,
  });
  const others = othersOf(config);
  if (others.length === 0) return identity;
  const info = await askPeers(others, options);
  return info === undefined ? identity : reconcile(config, identity, info, options);
}

/** A peer runs already: is it of the cluster to be founded, or is there one to be joined? */
function reconcile(
  config: ServerConfig,
  identity: Identity,
  info: ClusterInfo,
  { logging }: IdentityOptions,
): Identity {
  const own = urlTexts(config.initialCluster.get(config.name) ?? []);
  const running = memberAt(info, own);
  if (running !== undefined && running.name !== "") throw alreadyStarted(config, running, info);
  if (info.removedIds.includes(identity.memberId) && running === undefined) {
    throw wasRemoved(config, identity, info, own);
  }
  // A founder of the running cluster, not added to it later, has its id from the same flags: another
  // id means another token or another --initial-cluster.
  const isFounder = clusterId(info.members.map(({ id }) => id)) === info.clusterId;
  if (running !== undefined && running.id !== identity.memberId && !isFounder) {
    logging
      .logger("etcdserver")
      .notice(
        `a peer belongs to the running cluster ${formatId(info.clusterId)}, of which ${own.join(",")} is the ` +
          `member ${formatId(running.id)} not started yet: joining it, as with --initial-cluster-state existing`,
      );
    return joiner(running, info);
  }
  if (info.clusterId === identity.clusterId) return identity;
  const peer = formatId(info.memberId);
  throw new StartError(
    `cluster ID mismatch: member ${peer} of --initial-cluster runs in cluster ${formatId(info.clusterId)}, but these flags found ` +
      `cluster ${formatId(identity.clusterId)} (with member ${formatId(identity.memberId)} here). To found a new cluster give all ` +
      `its members the same --initial-cluster and --initial-cluster-token; to join the running one ` +
      `run "etcdctl member add ${config.name} ${own.join(",")}" first and start with --initial-cluster-state existing`,
  );
}

function memberAt(info: ClusterInfo, peerUrls: readonly string[]): RunningMember | undefined {
  const wanted = [...peerUrls].sort().join();
  return info.members.find((member) => [...member.peerUrls].sort().join() === wanted);
}

function alreadyStarted(
  config: ServerConfig,
  member: RunningMember,
  info: ClusterInfo,
): StartError {
  const id = formatId(member.id);
  return new StartError(
    `member ${id} has already been bootstrapped (as ${JSON.stringify(member.name)} in cluster ${formatId(info.clusterId)}), ` +
      `but its data is not in ${config.dataDir}. If it runs elsewhere or --data-dir is wrong, correct that. If its data is lost, ` +
      `run "etcdctl member remove ${id}", then "etcdctl member add ${config.name} ${member.peerUrls.join(",")}", ` +
      `and start with --initial-cluster-state existing`,
  );
}

function wasRemoved(
  config: ServerConfig,
  identity: Identity,
  info: ClusterInfo,
  own: readonly string[],
): StartError {
  return new StartError(
    `member ${formatId(identity.memberId)} has been permanently removed from cluster ${formatId(info.clusterId)}: ` +
      `run "etcdctl member add ${config.name} ${own.join(",")}" to get a new id, then start with --initial-cluster-state existing`,
  );
}

function describeMembers({ members }: ClusterInfo): string {
  return members
    .map(({ id, name, peerUrls }) => {
      const shown = name === "" ? `${formatId(id)} (unstarted)` : `${formatId(id)} (${name})`;
      return `${shown} ${peerUrls.join(",")}`;
    })
    .join("; ");
}

/** What --initial-cluster should be, as far as the cluster itself can tell. */
function correctCluster(config: ServerConfig, { members }: ClusterInfo): string {
  const own = [...(config.initialCluster.get(config.name) ?? [])].map(({ text }) => text);
  return members
    .flatMap(({ id, name, peerUrls }) => {
      const isOwn = peerUrls.some((url) => own.includes(url));
      const shown = isOwn ? config.name : name === "" ? formatId(id) : name;
      return peerUrls.map((url) => `${shown}=${url}`);
    })
    .join(",");
}

async function join(config: ServerConfig, options: IdentityOptions): Promise<Identity> {
  const cluster = peerUrlsByName(config);
  const own = [...(cluster.get(config.name) ?? [])].sort();
  const others = othersOf(config);
  if (others.length === 0) {
    throw new StartError(
      "cannot fetch cluster info from peer urls: could not retrieve cluster information from the given urls (none): " +
        `--initial-cluster names nobody but ${config.name}: give it all members, ` +
        `as "etcdctl member add ${config.name} ${own.join(",")}" prints them`,
    );
  }
  const info = await askPeers(others, options);
  if (info === undefined) {
    throw new StartError(
      `cannot fetch cluster info from peer urls: could not retrieve cluster information from the given urls (${others.join(", ")}): ` +
        `check that these members run and that --initial-cluster has their peer URLs; see "etcdctl member list"`,
    );
  }
  const problem = `error validating peerURLs of cluster ${formatId(info.clusterId)} [${describeMembers(info)}]`;
  const self = memberAt(info, own);
  const add = `"etcdctl member add ${config.name} ${own.join(",")}"`;
  if (self === undefined && info.members.length < cluster.size) {
    throw new StartError(
      `${problem}: member count is unequal: ${own.join(",")} is no member yet, run ${add} first`,
    );
  }
  const correction = `start with --initial-cluster '${correctCluster(config, info)}'`;
  if (info.members.length !== cluster.size) {
    throw new StartError(
      `${problem}: member count is unequal: there are ${info.members.length}, --initial-cluster names ${cluster.size}: ${correction}`,
    );
  }
  const wanted = new Set([...cluster.values()].flat());
  const unmatched = info.members.find(({ peerUrls }) => !peerUrls.every((url) => wanted.has(url)));
  if (unmatched !== undefined) {
    throw new StartError(
      `${problem}: unmatched member while checking PeerURLs: ${formatId(unmatched.id)} has ${unmatched.peerUrls.join(",")}: ${correction}`,
    );
  }
  if (self === undefined) {
    throw new StartError(
      `${problem}: no member has the peer URLs ${own.join(",")}, run ${add} first`,
    );
  }
  if (self.name !== "") throw alreadyStarted(config, self, info);
  return joiner(self, info);
}

/** The identity of a member that the running cluster waits for. */
function joiner(self: RunningMember, info: ClusterInfo): Identity {
  const hosts = info.members.map(({ id, name, peerUrls, clientUrls, isLearner }) => ({
    id,
    name,
    peerURLs: peerUrls,
    clientURLs: clientUrls,
    isLearner,
  }));
  return { memberId: self.id, clusterId: info.clusterId, founders: [], hosts };
}
