/** The mirror command: options, signals, lines for the user. */
import type { Command } from "commander";
import { EXIT } from "../cli/exit.ts";
import { MigrateError } from "../errors.ts";
import { cleanKey, toByteString } from "@etcd2/store";
import { parseEndpoints } from "../mirror/endpoints.ts";
import { runMirror } from "../mirror/mirror.ts";

interface MirrorFlags {
  readonly from: string;
  readonly to: string;
  readonly prefix: string;
  readonly hidden: readonly string[];
  readonly overwrite: boolean;
  readonly report: string;
  readonly output: string;
  readonly fromCa?: string;
  readonly fromCert?: string;
  readonly fromKey?: string;
  readonly toCa?: string;
  readonly toCert?: string;
  readonly toKey?: string;
}

const SHOWN_MAX = 20;

export function addMirrorCommand(program: Command): void {
  program
    .command("mirror")
    .description("copy a running v2 server to another one and follow it until interrupted")
    .requiredOption("--from <urls>", "server to copy, as http://[user:password@]host:port,...")
    .requiredOption("--to <urls>", "server to copy to")
    .option(
      "--prefix <path>",
      "mirror only this key, or this directory and everything below it",
      "/",
    )
    .option(
      "--hidden <path...>",
      "hidden subtrees to mirror as well (listings do not show them)",
      [],
    )
    .option("--overwrite", "delete keys of the target that the source does not have", false)
    .option("--report <seconds>", "seconds between reports of how far the target is behind", "10")
    .option("--output <format>", "summary as text or json", "text")
    .option("--from-ca <file>", "certificate authority of the source")
    .option("--from-cert <file>", "client certificate for the source")
    .option("--from-key <file>", "key of that certificate")
    .option("--to-ca <file>", "certificate authority of the target")
    .option("--to-cert <file>", "client certificate for the target")
    .option("--to-key <file>", "key of that certificate")
    .action(async (flags: MirrorFlags) => {
      process.exitCode = await mirror(flags);
    });
}

async function mirror(flags: MirrorFlags): Promise<number> {
  const seconds = Number(flags.report);
  if (!(seconds > 0)) throw new MigrateError("usage", "--report must be a number of seconds");
  const stop = new AbortController();
  const abort = new AbortController();
  const onSignal = (): void => {
    if (stop.signal.aborted) abort.abort();
    stop.abort();
  };
  process.on("SIGINT", onSignal);
  process.on("SIGTERM", onSignal);
  try {
    const result = await runMirror({
      from: parseEndpoints(flags.from, {
        ca: flags.fromCa,
        cert: flags.fromCert,
        key: flags.fromKey,
      }),
      to: parseEndpoints(flags.to, { ca: flags.toCa, cert: flags.toCert, key: flags.toKey }),
      roots: [...new Set([flags.prefix, ...flags.hidden].map(toRoot))],
      overwrite: flags.overwrite,
      log: (text) => {
        console.error(`mirror: ${text}`);
      },
      stop: stop.signal,
      abort: abort.signal,
      reportMs: seconds * 1000,
    });
    if (flags.output === "json") console.log(JSON.stringify(result));
    else {
      console.log(
        `${result.events} changes followed, ${result.copies} copies, ${result.writes} writes`,
      );
      console.log(
        result.inAgreement ? "both sides agree" : `${result.differences.length} keys differ:`,
      );
      for (const key of result.differences.slice(0, SHOWN_MAX)) console.log(`  ${key}`);
    }
    return result.inAgreement ? EXIT.ok : EXIT.failed;
  } finally {
    process.off("SIGINT", onSignal);
    process.off("SIGTERM", onSignal);
  }
}

function toRoot(path: string): string {
  return cleanKey(toByteString(path.startsWith("/") ? path : `/${path}`));
}
