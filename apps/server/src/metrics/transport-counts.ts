/**
 * Counts what the transport reports to the member on the way: connections lost and snapshots
 * sent. Changes nothing of it.
 */
import type { NodeId, TransportListener } from "@etcd2/raft";

/** What of the counters is fed here. */
export interface TransportCounts {
  snapshotSent(to: NodeId, ok: boolean): void;
  peer(id: NodeId): { connectionsLost: number };
  snapshotApplysInProgress: number;
}

/** The listener, with its calls counted. */
export function countTransport(
  listener: TransportListener,
  counters: TransportCounts,
): TransportListener {
  return {
    onMessages: (messages) => {
      listener.onMessages(messages);
    },
    onUnreachable: (id) => {
      listener.onUnreachable(id);
    },
    onConnectionLost: (id) => {
      counters.peer(id).connectionsLost += 1;
      listener.onConnectionLost(id);
    },
    onSnapshotSent: (id, ok) => {
      counters.snapshotSent(id, ok);
      listener.onSnapshotSent(id, ok);
    },
    openSnapshotSink: (message) => {
      const sink = listener.openSnapshotSink(message);
      return {
        write: (chunk) => sink.write(chunk),
        commit: async () => {
          counters.snapshotApplysInProgress += 1;
          await sink.commit().finally(() => (counters.snapshotApplysInProgress -= 1));
        },
        abort: (reason) => sink.abort(reason),
      };
    },
    openSnapshotSource: (message) => listener.openSnapshotSource(message),
    onRemoved: (reason) => {
      listener.onRemoved(reason);
    },
    onDisowned: (reason) => {
      listener.onDisowned(reason);
    },
  };
}
