/**
 * Owns what `--help` prints: the usage, then every flag by group with default and meaning.
 */
import type { FlagGroup, FlagSpec } from "./flag-spec.ts";
import { flagTable } from "./flag-table.ts";

/** The short form, also shown after a wrong flag. */
export const usageText = `usage: etcd [flags]
       start an etcd server

       etcd --version
       show the version of etcd

       etcd -h | --help
       show the help information about etcd

       Every flag can also be given as a variable: ETCD_DATA_DIR for --data-dir, and so on.
       Flags come before variables, variables before --config-file.
`;

const titles: Readonly<Record<Exclude<FlagGroup, "foreign">, string>> = {
  member: "member flags",
  clustering: "clustering flags",
  proxy: "proxy flags",
  bridge: "bridge flags",
  security: "security flags",
  logging: "logging flags",
  monitoring: "profiling and monitoring flags",
  limits: "limit flags",
  unsafe:
    "unsafe and other flags (force-new-cluster breaks the guarantees of consensus; use with care)",
  deprecated: "deprecated flags",
};

function flagText(spec: FlagSpec): string {
  const value = spec.kind === "switch" ? spec.default : `'${spec.default}'`;
  return `\t--${spec.name} ${value}\n\t\t${spec.help}\n`;
}

function namesOf(kinds: readonly FlagSpec["kind"][]): string {
  const names = flagTable.filter((spec) => spec.group === "foreign" && kinds.includes(spec.kind));
  return names.map((spec) => `\t--${spec.name}\n`).join("");
}

/** All flags, for `--help`. */
export function flagsText(): string {
  const groups = Object.entries(titles).map(([group, title]) => {
    const flags = flagTable.filter((spec) => spec.group === group);
    return `${title}:\n\n${flags.map(flagText).join("")}\n`;
  });
  return [
    ...groups,
    `flags of other releases, accepted without effect:\n\n${namesOf(["noop", "noopSwitch", "ignored"])}\n`,
    `flags of etcd 3.x, accepted under their experimental names:\n\n${namesOf(["text", "collector", "switch", "count"])}\n`,
    `flags of etcd 3.x that are refused, because ignoring them would weaken security:\n\n${namesOf(["refused"])}`,
  ].join("");
}
