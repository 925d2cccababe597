/**
 * Widens the HTTP/2 receive windows of connections to this process's peer port. By default a sender
 * may have 64 KiB under way per connection, and gets leave for more only when the receiver's event
 * loop comes round: measured with turns of 10 ms that caps replication at 2 MB/s, and with the
 * windows below at 15 to 28 MB/s. Wider still gains little and lets more appends pile up in the
 * socket in front of a heartbeat.
 *
 * The gRPC server has no option for it and hides its sessions; Node announces every stream on a
 * diagnostics channel, with its session. On a runtime without that channel nothing changes.
 */
import { subscribe, unsubscribe } from "node:diagnostics_channel";
import type { ServerHttp2Session, ServerHttp2Stream } from "node:http2";

const CHANNEL = "http2.server.stream.created";
/** Bytes one stream may have under way: the lane of appends in practice. */
const STREAM_WINDOW_BYTES = 512 * 1024;
/** Bytes of all streams of a connection; more than one, so that no lane takes it all. */
const SESSION_WINDOW_BYTES = 2 * STREAM_WINDOW_BYTES;

/** Widens sessions for which `isOurs(localPort)`. Returns how to stop. */
export function widenFlowWindows(isOurs: (localPort: number) => boolean): () => void {
  const done = new WeakSet<ServerHttp2Session>();
  const onStream = (announced: unknown): void => {
    const session = sessionOf(announced);
    if (session === undefined || done.has(session) || session.destroyed) return;
    const { localPort } = session.socket;
    if (localPort === undefined || !isOurs(localPort)) return;
    done.add(session);
    session.settings({ initialWindowSize: STREAM_WINDOW_BYTES });
    session.setLocalWindowSize(SESSION_WINDOW_BYTES);
  };
  subscribe(CHANNEL, onStream);
  return () => {
    unsubscribe(CHANNEL, onStream);
  };
}

function sessionOf(announced: unknown): ServerHttp2Session | undefined {
  if (typeof announced !== "object" || announced === null || !("stream" in announced)) return;
  const { session } = announced.stream as ServerHttp2Stream;
  return session as ServerHttp2Session | undefined;
}
