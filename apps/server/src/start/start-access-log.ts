/**
 * Starts the access log of --access-log: its sink, and the handler around that of the gateway.
 * What a line holds and how lines are written is elsewhere.
 */
import type { Meter } from "@etcd2/observability";
import type { RequestListener } from "node:http";
import type { ServerConfig } from "../config/server-config.ts";
import type { Logging } from "../logging/logger.ts";
import { StartError } from "../base/start-error.ts";
import { messageOf } from "../base/message-of.ts";

export interface AccessLogging {
  /** Puts --access-log around a handler. */
  around(handler: RequestListener): RequestListener;
  /** Takes a line with its end that another thread made. */
  write(line: string): void;
  /** Writes what was gathered. */
  close(): void;
}

const nothing: AccessLogging = {
  around: (handler) => handler,
  write: () => undefined,
  close: () => undefined,
};

/** Off it loads nothing and wraps nothing. @throws StartError when the log cannot be opened */
export async function startAccessLog(
  config: ServerConfig,
  logging: Logging,
  meter: Meter,
): Promise<AccessLogging> {
  if (config.accessLog === "") return nothing;
  const { withAccessLog } = await import("../logging/access-log.ts");
  const { openAccessSink } = await import("../logging/access-sink.ts");
  try {
    const sink = openAccessSink({
      target: config.accessLog,
      onDropped: (lines) => {
        meter.counter("etcd2_access_log_lines_dropped_total").add(lines);
      },
      onError: (error) => {
        logging.logger("etcdhttp").error(`cannot write the access log: ${error.message}`);
      },
    });
    const close = (): void => {
      sink.close();
    };
    // A process that ends by a fault of its own says last what it was asked.
    process.once("exit", close);
    return {
      around: (handler) => withAccessLog(handler, sink),
      write: (line) => {
        sink.write(line);
      },
      close,
    };
  } catch (error) {
    const reason = messageOf(error);
    throw new StartError(`cannot open the access log: ${reason}`, { cause: error });
  }
}
