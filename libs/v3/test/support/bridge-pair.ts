/** Bridges on a real server, opened and closed together. */
import { Bridge } from "../../src/bridge/bridge.ts";
import { type Credentials, V3Client } from "../../src/client/v3-client.ts";

export interface OpenedBridge {
  readonly bridge: Bridge;
  readonly conflicts: () => number;
  readonly logged: readonly string[];
  readonly close: () => void;
}

export async function openBridge(
  endpoints: readonly string[],
  prefix = "/v2",
  more: { readonly credentials?: Credentials; readonly timeoutMs?: number } = {},
): Promise<OpenedBridge> {
  const { credentials, timeoutMs } = more;
  const client = new V3Client({ endpoints, credentials });
  let conflicts = 0;
  const logged: string[] = [];
  const bridge = await Bridge.open({
    client,
    prefix,
    ...(timeoutMs !== undefined && { timeoutMs }),
    observer: {
      called: () => undefined,
      retried: () => undefined,
      conflicted: () => {
        conflicts += 1;
      },
    },
    log: (_level, message) => {
      logged.push(message);
    },
  });
  return {
    bridge,
    conflicts: () => conflicts,
    logged,
    close: () => {
      bridge.close();
      client.close();
    },
  };
}

/** Collects the events of one stream; `next` waits for so many of them. */
export function collectEvents(
  bridge: Bridge,
  path: string,
  sinceIndex: number,
): { readonly texts: readonly string[]; readonly indexes: readonly number[] } {
  const texts: string[] = [];
  const indexes: number[] = [];
  bridge.hub.watch({
    path,
    recursive: true,
    stream: true,
    sinceIndex,
    deliver: (event) => {
      texts.push(`${event.action} ${event.node.key}=${event.node.value ?? ""}`);
      indexes.push(event.node.modifiedIndex);
      return "taken";
    },
    ended: (reason) => texts.push(`ended ${reason}`),
  });
  return { texts, indexes };
}

/** Waits for a condition. @throws Error when it does not come true in time */
export async function until(what: string, condition: () => boolean): Promise<void> {
  const deadline = performance.now() + 60_000;
  while (!condition()) {
    if (performance.now() > deadline) throw new Error(`not in time: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
