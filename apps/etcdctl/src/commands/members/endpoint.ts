/** `endpoint`: what each endpoint says about itself. */
import { painterFor, type Painter } from "../../output/colour.ts";
import type { Command, CommandContext } from "../../cli/command.ts";
import { areEndpointsNamed, chosenEndpoints, type Endpoint } from "../../net/endpoints.ts";
import {
  type EndpointHealth,
  endpointHealth,
  type EndpointStatus,
  endpointStatus,
} from "../../api/endpoint-report.ts";
import { exitCodes, Failure } from "../../errors/exit-codes.ts";
import type { FlagSpec } from "../../cli/flags.ts";
import { type Session, withSession } from "../../api/session.ts";

const formats = ["simple", "table", "json"];

const formatFlag: FlagSpec = {
  kind: "string",
  name: "write-out",
  holds: formats,
  alias: "w",
  initial: "simple",
  usage: "output format (`simple`, `table` or `json`)",
};

/** One kind of report in its three forms. */
interface ReportKind<T> {
  readonly ask: (session: Session, endpoint: Endpoint) => Promise<T>;
  readonly head: readonly string[];
  readonly row: (report: T, paint: Painter) => readonly string[];
  readonly line: (report: T, paint: Painter) => string;
  readonly json: (report: T) => unknown;
  readonly isWell: (report: T) => boolean;
}

function milliseconds(ms: number): string {
  return `${ms.toFixed(1)} ms`;
}

function shown(value: number | undefined): string {
  return value === undefined ? "-" : String(value);
}

const status: ReportKind<EndpointStatus> = {
  ask: (session, endpoint) => endpointStatus(session.client, endpoint, session.deadline()),
  head: [
    "ENDPOINT",
    "ID",
    "NAME",
    "VERSION",
    "LEADER",
    "RAFT TERM",
    "RAFT INDEX",
    "ETCD INDEX",
    "LATENCY",
    "ERROR",
  ],
  row: (report, paint) => [
    report.endpoint,
    report.id,
    report.name,
    report.version,
    report.isLeader ? paint("green", "yes") : "no",
    shown(report.raftTerm),
    shown(report.raftIndex),
    shown(report.etcdIndex),
    milliseconds(report.latencyMs),
    report.error === undefined ? "" : paint("red", report.error),
  ],
  line: (report, paint) => {
    const cells = status.row(report, paint);
    return (report.error === undefined ? cells.slice(0, -1) : cells).join(", ");
  },
  json: ({ isLeader, latencyMs, error, ...rest }) => ({
    ...rest,
    leader: isLeader,
    latencyMs: Number(latencyMs.toFixed(3)),
    ...(error === undefined ? {} : { error }),
  }),
  isWell: ({ error }) => error === undefined,
};

const health: ReportKind<EndpointHealth> = {
  ask: (session, endpoint) => endpointHealth(session.client, endpoint, session.deadline()),
  head: ["ENDPOINT", "HEALTH", "LATENCY", "ERROR"],
  row: (report, paint) => [
    report.endpoint,
    report.isHealthy ? paint("green", "true") : paint("red", "false"),
    milliseconds(report.latencyMs),
    report.error ?? "",
  ],
  line: ({ endpoint, isHealthy, latencyMs, error }, paint) =>
    isHealthy
      ? `${endpoint} is ${paint("green", "healthy")}: answered in ${milliseconds(latencyMs)}`
      : `${endpoint} is ${paint("red", "unhealthy")}: ${error ?? ""}`,
  json: ({ endpoint, isHealthy, latencyMs, error }) => ({
    endpoint,
    health: isHealthy,
    latencyMs: Number(latencyMs.toFixed(3)),
    ...(error === undefined ? {} : { error }),
  }),
  isWell: ({ isHealthy }) => isHealthy,
};

async function printReports<T>(
  kind: ReportKind<T>,
  reports: readonly T[],
  { flags, terminal, env }: CommandContext,
): Promise<void> {
  const paint = painterFor(terminal.outIsTerminal, env);
  switch (flags.string("write-out")) {
    case "json":
      terminal.out(`${JSON.stringify(reports.map(kind.json))}\n`);
      return;
    case "table": {
      const { renderTable } = await import("../../output/table.ts");
      const rows = reports.map((report) => kind.row(report, paint));
      terminal.out(renderTable(kind.head, rows));
      return;
    }
    default:
      for (const report of reports) terminal.out(`${kind.line(report, paint)}\n`);
  }
}

/** Those that the members publish, and those that somebody named, whether they answer or not. */
async function endpointsToReport(
  { client }: Session,
  { globals, env }: CommandContext,
): Promise<Endpoint[]> {
  const named = areEndpointsNamed(globals, env) ? await chosenEndpoints(globals, env) : [];
  const byText = new Map([...client.endpoints, ...named].map((each) => [each.text, each]));
  return [...byText.values()].toSorted((a, b) => (a.text < b.text ? -1 : 1));
}

function reportCommand<T>(name: string, usage: string, kind: ReportKind<T>): Command {
  return {
    name,
    usage,
    argsUsage: " ",
    flags: [formatFlag],
    run: async (context) => {
      const format = context.flags.string("write-out");
      if (!formats.includes(format)) {
        const text = `Unsupported output format: ${format} (${formats.join(", ")})\n`;
        throw new Failure(exitCodes.badArguments, text);
      }
      return withSession(context, { sync: "ifPossible" }, async (session) => {
        const endpoints = await endpointsToReport(session, context);
        const asked = endpoints.map((endpoint) => kind.ask(session, endpoint));
        const reports = await Promise.all(asked);
        await printReports(kind, reports, context);
        return reports.every(kind.isWell) ? exitCodes.success : exitCodes.clusterNotHealthy;
      });
    },
  };
}

export const endpoint: Command = {
  name: "endpoint",
  usage: "status and health of each endpoint",
  isHidden: true,
  subcommands: [
    reportCommand(
      "status",
      "id, version, leadership, indexes and latency of each endpoint",
      status,
    ),
    reportCommand("health", "whether each endpoint is healthy", health),
  ],
};
