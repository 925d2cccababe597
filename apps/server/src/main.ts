/**
 * The `etcd` command: reads the configuration, starts a member or a proxy, and stops it on a
 * signal. Owns the process: exit status, signals, last words. Everything else is elsewhere.
 */
import { readFileSync } from "node:fs";
import type { ConfigOutcome } from "./config/config.ts";
import type { ServerConfig } from "./config/server-config.ts";
import { parseConfig } from "./config/config.ts";
import type { Notice } from "./config/flags.ts";
import type { Logging } from "./logging/logger.ts";
import { createLogging, createTextLogging, wantsColor } from "./logging/logger.ts";
import { leave } from "./system/leave.ts";
import { openLogSink } from "./logging/log-sink.ts";
import type { ServiceNotifier } from "./system/sd-notify.ts";
import { StartError } from "./base/start-error.ts";
import { startServer } from "./start/start-server.ts";
import type { RunningServer } from "./start/running-server.ts";
import { messageOf } from "./base/message-of.ts";

const STDERR = 2;
/** What a shell shows for a program that SIGPIPE ended. */
const BROKEN_PIPE_STATUS = 141;

function logNotices(logging: Logging, notices: readonly Notice[]): void {
  for (const { level, pkg, message } of notices) logging.logger(pkg).log(level, message);
}

/** systemd's view of this process; its code is loaded once the server serves. */
async function announceReady(logging: Logging): Promise<ServiceNotifier> {
  const { ServiceNotifier: Notifier } = await import("./system/sd-notify.ts");
  const notifier = new Notifier({ env: process.env, log: logging.logger("etcdmain") });
  void notifier.ready();
  return notifier;
}

/** Tells `npm start`, or another Node program that opened a channel to this process, where it serves. */
function tellParent({ listenClientUrls, listenConsoleUrls }: ServerConfig): void {
  const textOf = ({ text }: { readonly text: string }): string => text;
  process.send?.({
    type: "etcd2-ready",
    clientUrls: listenClientUrls.map(textOf),
    consoleUrls: listenConsoleUrls.map(textOf),
  });
}

/** Ends the process as the signal would have; as process 1 the status is 0. */
function leaveBySignal(signal: NodeJS.Signals): void {
  if (process.pid === 1) leave(0);
  process.removeAllListeners(signal);
  process.kill(process.pid, signal);
}

const signalNames = { SIGINT: "interrupt", SIGTERM: "terminated" } as const;

/** What a signal must stop: nothing while the server still waits for others to start with. */
interface Stoppable {
  server: RunningServer | undefined;
  notifier: Promise<ServiceNotifier> | undefined;
}

function stopOnSignals(stoppable: Stoppable, logging: Logging): void {
  let stopping = false;
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    process.on(signal, () => {
      if (stopping) return;
      stopping = true;
      const log = logging.logger("osutil");
      log.notice(`received ${signalNames[signal]} signal, shutting down...`);
      void stoppable.notifier?.then((told) => told.stopping());
      const closed = stoppable.server?.close() ?? Promise.resolve();
      closed.then(
        () => {
          logging.flush();
          leaveBySignal(signal);
        },
        (error: unknown) => {
          log.error(`could not stop cleanly: ${messageOf(error)}`);
          logging.flush();
          leave(1);
        },
      );
    });
  }
}

/** Shows help, version or a refusal. A reader that has seen enough, such as head, is no fault. */
function print(outcome: ConfigOutcome & { readonly kind: "exit" }): void {
  for (const stream of [process.stdout, process.stderr]) {
    stream.on("error", () => {
      process.exit(BROKEN_PIPE_STATUS);
    });
  }
  process.stderr.write(outcome.stderr);
  process.stdout.write(outcome.stdout);
  process.exitCode = outcome.status;
}

async function main(): Promise<void> {
  // What the server writes is for its own user alone; the native store takes its modes from here.
  process.umask(0o077);
  const sink = openLogSink(STDERR);
  const useColor = wantsColor(process.stderr.isTTY, process.env);
  const outcome = await parseConfig(process.argv.slice(2), process.env, (path) =>
    readFileSync(path, "utf8"),
  );
  if (outcome.kind === "exit") {
    logNotices(
      createTextLogging({ sink, format: "text", useColor, level: "info" }),
      outcome.notices,
    );
    print(outcome);
    sink.close();
    return;
  }
  const { config, notices } = outcome;
  const elsewhere = process.stderr.isTTY ? "text" : "json";
  const format = config.log.format === "auto" ? elsewhere : config.log.format;
  const logging = await createLogging({ sink, useColor, level: config.log.level, format });
  const badLevels =
    config.log.packageLevels === ""
      ? undefined
      : logging.setPackageLevels(config.log.packageLevels);
  logNotices(logging, notices);
  const log = logging.logger("etcdmain");
  if (badLevels !== undefined) {
    log.warning(`couldn't parse log level string: ${badLevels}, continuing with default levels`);
  }
  const die = (error: unknown): never => {
    if (error instanceof StartError) {
      for (const { level, message } of error.lines) log.log(level, message);
    } else {
      log.critical(messageOf(error));
      if (error instanceof Error) log.debug(error.stack ?? "");
    }
    logging.flush();
    leave(1);
  };
  process.on("uncaughtException", die);
  process.on("unhandledRejection", die);
  const stoppable: Stoppable = { server: undefined, notifier: undefined };
  stopOnSignals(stoppable, logging);
  try {
    stoppable.server = await startServer(config, logging, {
      onFatal: die,
      onRemoved: (reason) => {
        const serverLog = logging.logger("etcdserver");
        serverLog.error(reason);
        serverLog.error("the data-dir used by this member must be removed.");
        logging.flush();
        leave(0);
      },
    });
    stoppable.notifier = announceReady(logging);
    tellParent(config);
  } catch (error) {
    die(error);
  }
}

void main();
