/**
 * Owns the version texts of the server: what `--version` prints and what the start-up log opens
 * with. It knows nothing of the cluster version, which is agreed through the log.
 */

/** The etcd release whose behaviour this server follows; clients parse it. */
export const compatVersion = "2.3.8";

/** What the cluster version becomes once every member speaks it. */
export const compatClusterVersion = "2.3.0";

// The bundler replaces these two expressions; a run from source keeps the fallbacks.
export const productVersion = process.env["ETCD2_VERSION"] ?? "0.0.0-source";
const gitSha = process.env["ETCD2_GIT_SHA"] ?? "not recorded";

/** Lines of `--version` and of the start-up log; the first two are in etcd 2.3.8's style. */
export function versionLines(
  runtime: { readonly node: string; readonly platform: string; readonly arch: string } = {
    node: process.versions.node,
    platform: process.platform,
    arch: process.arch,
  },
): readonly string[] {
  return [
    `etcd Version: ${compatVersion}`,
    `Git SHA: ${gitSha}`,
    `etcd2 Version: ${productVersion}`,
    `Node Version: ${runtime.node}`,
    `Node OS/Arch: ${runtime.platform}/${runtime.arch}`,
  ];
}
