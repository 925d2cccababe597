/**
 * Owns the `--initial-cluster` value: reading it, writing it, and the checks a first start makes
 * on it. It decides nothing about whether this is a first start.
 */
import { splitInitialCluster } from "@etcd2/member-dir";
import type { Parsed, ResolveHost, SocketUrl } from "./urls.ts";
import { parseSocketUrls, sameUrls, sortUrls, urlTexts } from "./urls.ts";

/** Peer URLs of each member by name. */
export type InitialCluster = ReadonlyMap<string, readonly SocketUrl[]>;

/**
 * Reads `name=url,name=url`; a name may occur several times, once per URL. Blanks and line ends
 * around a pair do not count: lists are wrapped in configuration files.
 */
export function parseInitialCluster(text: string): Parsed<InitialCluster> {
  const cluster = new Map<string, readonly SocketUrl[]>();
  for (const [name, list] of splitInitialCluster(text)) {
    const parsed = parseSocketUrls(list.join(","));
    if (!parsed.ok) return parsed;
    cluster.set(name, parsed.value);
  }
  return { ok: true, value: cluster };
}

/** The cluster as text, sorted: how messages and the start-up log show it. */
export function formatInitialCluster(cluster: InitialCluster): string {
  const pairs = [...cluster].flatMap(([name, urls]) => urls.map((url) => `${name}=${url.text}`));
  return pairs.sort().join(",");
}

export interface InitialClusterCheck {
  readonly name: string;
  readonly cluster: InitialCluster;
  readonly advertisePeerUrls: readonly SocketUrl[];
  /** Joining an existing cluster: the own URLs were announced before and are not compared. */
  readonly isJoining: boolean;
  readonly isClusterDefault: boolean;
  readonly isAdvertiseDefault: boolean;
  readonly discoveryUrl: string;
}

/** Why a first start is refused. The hints are log lines of their own, after the error. */
export interface InitialClusterProblem {
  readonly message: string;
  readonly hints: readonly string[];
}

/** What is wrong with the initial cluster for a first start; undefined when nothing is. */
export async function checkInitialCluster(
  check: InitialClusterCheck,
  resolve: ResolveHost,
): Promise<InitialClusterProblem | undefined> {
  const { name, cluster } = check;
  const own = cluster.get(name);
  if (own === undefined) {
    const message = `couldn't find local name "${name}" in the initial cluster configuration`;
    return { message, hints: [] };
  }
  if (!check.isJoining && !(await sameUrls(own, check.advertisePeerUrls, resolve))) {
    return mismatch(check);
  }
  const texts = [...cluster.values()].flatMap((urls) => urlTexts(urls));
  if (new Set(texts).size !== texts.length) {
    const message = `initial cluster ${formatInitialCluster(cluster)} has duplicate url`;
    return { message, hints: [] };
  }
  return undefined;
}

function mismatch(check: InitialClusterCheck): InitialClusterProblem {
  const wanted = formatInitialCluster(new Map([[check.name, check.advertisePeerUrls]]));
  const given = urlTexts(sortUrls(check.advertisePeerUrls)).join(",");
  const hints: string[] = [];
  if (check.isClusterDefault) hints.push("forgot to set --initial-cluster flag?");
  if (check.isAdvertiseDefault) hints.push("forgot to set --initial-advertise-peer-urls flag?");
  if (check.isClusterDefault && check.discoveryUrl === "") {
    hints.push("if you want to use discovery service, please set --discovery flag.");
  }
  return {
    message: `--initial-cluster must include ${wanted} given --initial-advertise-peer-urls=${given}`,
    hints,
  };
}
