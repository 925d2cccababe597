/**
 * Owns what can be said of a flag: its kind, its group in the help, its default and its bounds. The
 * flags themselves are in flag-table.ts and foreign-flags.ts.
 */

/**
 * - text, count (a whole number), switch, choice, urls, address (`IP:port`), collector: honoured;
 * - ignored: a switch of etcd 0.4 without effect; unsupported: one that ends the program;
 * - noop, noopSwitch: flags of etcd 3.x without effect here;
 * - refused: flags of etcd 3.x that must not be ignored, and are not supported.
 */
export type FlagKind =
  | "text"
  | "count"
  | "switch"
  | "choice"
  | "urls"
  | "address"
  | "collector"
  | "ignored"
  | "unsupported"
  | "noop"
  | "noopSwitch"
  | "refused";

/** The heading of `--help` a flag stands under; foreign flags are not shown. */
export type FlagGroup =
  | "member"
  | "clustering"
  | "proxy"
  | "bridge"
  | "security"
  | "logging"
  | "monitoring"
  | "limits"
  | "unsafe"
  | "deprecated"
  | "foreign";

/** One flag: what the table of flags says of it. */
export interface FlagSpec {
  readonly name: string;
  readonly kind: FlagKind;
  readonly group: FlagGroup;
  /** As it would be typed. */
  readonly default: string;
  readonly help: string;
  readonly choices?: readonly string[];
  /** Bounds of a count. */
  readonly min?: number;
  readonly max?: number;
  /** The flag this is another spelling of. */
  readonly aliasOf?: string;
  /** A deprecated flag that still works, and the one to use instead. */
  readonly replacedBy?: string;
}
