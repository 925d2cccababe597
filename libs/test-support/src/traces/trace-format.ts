/** Recorded HTTP traces: the file format, as types, and reading it. Runs nothing. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

export interface TraceExpectation {
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  readonly unordered?: boolean;
  readonly bodyContains?: readonly string[];
  readonly metricsDelta?: { readonly since: string; readonly values: Record<string, number> };
  readonly complete?: boolean;
}

/** One step; which kind it is shows in the fields present. */
export interface TraceStep {
  readonly method?: string;
  readonly target?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  readonly timeout_ms?: number;
  readonly repeat?: number;
  readonly capture?: { readonly var: string; readonly pointer: string };
  readonly metrics?: string;
  readonly background?: string;
  readonly await?: string;
  readonly events?: number;
  readonly quiet_ms?: number;
  readonly pending?: string;
  readonly wait_ms?: number;
  readonly close?: string;
  readonly sleep_ms?: number;
  readonly expect?: TraceExpectation;
}

export interface TraceScenario {
  readonly name: string;
  readonly title: string;
  readonly isolation: "prefix" | "exclusive" | "fresh";
  readonly serverFlags?: readonly string[];
  readonly ghostPeers?: number;
  readonly checkHeaders?: readonly string[];
  readonly vars?: readonly string[];
  readonly baseAuth?: string;
  readonly setup?: readonly TraceStep[];
  readonly steps: readonly TraceStep[];
  readonly cleanup?: readonly TraceStep[];
}

export interface TraceFile {
  readonly format: number;
  readonly recordedFrom: string;
  readonly area: string;
  readonly scenarios: readonly TraceScenario[];
}

/** The version of the format that is understood here. */
const FORMAT = 1;

/** All trace files of a folder, by name. @throws Error for an unknown format. */
export function loadTraces(folder: string): TraceFile[] {
  return readdirSync(folder)
    .filter((name) => name.endsWith(".json"))
    .sort()
    .map((name) => {
      const file = JSON.parse(readFileSync(join(folder, name), "utf8")) as TraceFile;
      if (file.format !== FORMAT) throw new Error(`${name}: unknown format ${file.format}`);
      return file;
    });
}
