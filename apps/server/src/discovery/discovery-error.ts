/**
 * How discovery ends badly, in the words operators and their tools know: one error class with the
 * log lines of each outcome. Decides nothing.
 */
import { StartError } from "../base/start-error.ts";
import type { StartErrorLine } from "../base/start-error.ts";

export type DiscoveryOutcome =
  /** Enough other members have registered. */
  | "full"
  /** This member registered in an earlier life and may have run since. */
  | "duplicateId"
  /** Another member registered with this name. */
  | "duplicateName"
  /** Everything else: the message tells. */
  | "failed";

/** What the lines of an outcome mention. */
export interface DiscoverySubject {
  /** As shown to people, without a password. */
  readonly url: string;
  readonly name: string;
  readonly dataDir: string;
  /** As shown to people. */
  readonly id: string;
}

const reasons: Readonly<Record<Exclude<DiscoveryOutcome, "failed">, string>> = {
  full: "discovery: cluster is full",
  duplicateId: "discovery: found duplicate id",
  duplicateName: "discovery: found duplicate name",
};

export class DiscoveryError extends StartError {
  override readonly name = "DiscoveryError";
  readonly outcome: DiscoveryOutcome;

  constructor(
    outcome: DiscoveryOutcome,
    subject: DiscoverySubject,
    options: { readonly reason?: string; readonly cause?: unknown } = {},
  ) {
    const reason =
      outcome === "failed" ? (options.reason ?? "discovery: failed") : reasons[outcome];
    super(`failed to join discovery cluster (${reason})`, {
      lines: linesOf(outcome, reason, subject),
      cause: options.cause,
    });
    this.outcome = outcome;
  }
}

function linesOf(
  outcome: DiscoveryOutcome,
  reason: string,
  { url, name, dataDir, id }: DiscoverySubject,
): readonly StartErrorLine[] {
  const error = (message: string): StartErrorLine => ({ level: "error", message });
  const info = (message: string): StartErrorLine => ({ level: "info", message });
  switch (outcome) {
    case "duplicateId":
      return [
        error(
          `member ${JSON.stringify(name)} has previously registered with discovery service token (${url}).`,
        ),
        error(
          `But etcd could not find valid cluster configuration in the given data dir (${dataDir}).`,
        ),
        info("Please check the given data dir path if the previous bootstrap succeeded"),
        info("or use a new discovery token if the previous bootstrap failed."),
        info(
          `If the cluster runs and the data is lost for good, ask a member for a replacement: ` +
            `"etcdctl member replace ${id} ${name} PEER_URL"`,
        ),
      ];
    case "duplicateName":
      return [
        error(`member with duplicated name has registered with discovery service token(${url}).`),
        error("please check (cURL) the discovery token for more information."),
        error(
          "please do not reuse the discovery token and generate a new one to bootstrap the cluster.",
        ),
      ];
    case "full":
    case "failed":
      return [
        error(`failed to join discovery cluster (${reason})`),
        info(`discovery token ${url} was used, but failed to bootstrap the cluster.`),
        info("please generate a new discovery token and try to bootstrap again."),
      ];
  }
}
