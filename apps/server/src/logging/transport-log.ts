/**
 * The transport's structured log lines as sentences for the console: who the peer is, where it was
 * looked for, and why. Owns the wording of fields; knows no levels and no sinks.
 */
import { formatId } from "@etcd2/member-dir";
import { createLogger, type LogFields, type Logger } from "@etcd2/observability";
import type { Logging } from "./logger.ts";

/** "message 8e9e05c52164694d at http://...: reason (bytes: 12)". */
function describeTransportEvent(message: string, fields: LogFields): string {
  const { peer, url, address, reason, ...others } = fields;
  const id = typeof peer === "string" && peer !== "" ? ` ${formatId(peer)}` : "";
  const place = url ?? address;
  const at = place === undefined ? "" : ` at ${String(place)}`;
  const why = reason === undefined ? "" : `: ${explained(String(reason), String(url))}`;
  const rest = Object.entries(others).map(([name, value]) => `${name}: ${String(value)}`);
  return `${message}${id}${at}${why}${rest.length > 0 ? ` (${rest.join(", ")})` : ""}`;
}

/** What a peer's log should be asked for when it hangs up at the handshake without a word. */
const HUNG_UP = /^(?:read ECONNRESET|write EPIPE|Failed to connect|socket hang up)/;

/** The reason in words that say what to look at. */
function explained(reason: string, url: string): string {
  const plain = withoutWrapping(reason).replace(/ \(\d{4}-\d\d-\d\dT[\d:.]+Z\)$/, "");
  if (plain.startsWith("The server does not implement the method")) {
    return "it is still starting, or no member of this kind";
  }
  if (HUNG_UP.test(plain) && url.startsWith("https:")) {
    return `${plain}: it closed the connection at the TLS handshake, perhaps because it does not accept this member's certificate; its log says why`;
  }
  return plain;
}

/** The errno of a failed connection without what gRPC says around it. */
function withoutWrapping(reason: string): string {
  const wrapped = /^No connection established\. Last error: (?:Error: )?(.*?)\. Resolution note: /;
  return wrapped.exec(reason)?.[1] ?? reason;
}

/** Writes what the transport has to say as rafthttp, the name of that package in etcd 2.3.8. */
export function createTransportLog(logging: Logging): Logger {
  const log = logging.logger("rafthttp");
  return createLogger(
    (level, message, fields = {}) => {
      log.log(level, describeTransportEvent(message, fields));
    },
    (level) => log.isOn(level),
  );
}
