/**
 * Tells an operator when a member's data directory and its flags do not belong together: directories
 * that were mixed up, or a member that moved. Decides nothing: a restarted member goes by its log.
 */
import type { MemberRecord } from "@etcd2/member-dir";
import { formatId } from "@etcd2/member-dir";

function sameUrls(a: readonly string[], b: readonly string[]): boolean {
  return [...a].sort().join() === [...b].sort().join();
}

/** What to say about advertised peer URLs that are not those the cluster knows; undefined when all is well. */
export function peerUrlsWarning(
  members: readonly MemberRecord[],
  memberId: string,
  advertised: readonly string[],
): string | undefined {
  const own = members.find(({ id }) => id === memberId);
  if (own === undefined || sameUrls(own.peerURLs, advertised)) return undefined;
  const id = formatId(memberId);
  const wanted = advertised.join(",");
  const said = `this data directory is that of member ${id} with the peer URLs ${own.peerURLs.join(",")}`;
  const other = members.find((member) => member !== own && sameUrls(member.peerURLs, advertised));
  if (other !== undefined) {
    return `${said}, but ${wanted} of --initial-advertise-peer-urls is member ${formatId(other.id)} (${other.name}): were data directories mixed up?`;
  }
  return (
    `${said}, not ${wanted}: --initial-advertise-peer-urls counts for new members only. ` +
    `If the member moved, run "etcdctl member update ${id} ${wanted}"; if this is another cluster's directory, stop it`
  );
}
