/** Checks of a received body beyond its text: sorted nodes, expiration times, metrics. */
import { TraceMismatch } from "./trace-template.ts";

/** Sorts every `nodes` array of the documents by key and writes them as the server would. */
export function sortBody(body: string): string {
  return body
    .split("\n")
    .map((line) => (line === "" ? line : serialise(sortNodes(JSON.parse(line)))))
    .join("\n");
}

interface Keyed {
  readonly key?: string;
}

function sortNodes(value: unknown): unknown {
  if (typeof value !== "object" || value === null) return value;
  for (const [name, field] of Object.entries(value)) {
    if (name === "nodes" && Array.isArray(field)) {
      (field as Keyed[]).sort((a, b) => ((a.key ?? "") < (b.key ?? "") ? -1 : 1));
    }
    sortNodes(field);
  }
  return value;
}

function serialise(value: unknown): string {
  return JSON.stringify(value).replace(
    /[<>&]/g,
    (character) => "\\u00" + character.charCodeAt(0).toString(16),
  );
}

/** Times far away overflow in etcd 2.3.8. */
const FAR_SECONDS = 1e8;

/** Every `ttl` must be the rounded-up seconds left until its `expiration`. */
export function checkExpirations(body: string, nowMs: number): void {
  for (const line of body.split("\n")) {
    if (!line.startsWith("{") || !line.includes('"expiration"')) continue;
    for (const node of nodesOf(JSON.parse(line))) {
      const { expiration, ttl } = node;
      if (typeof expiration !== "string" || typeof ttl !== "number" || ttl <= 1) continue;
      const left = (Date.parse(expiration) - nowMs) / 1000;
      if (left < FAR_SECONDS && (ttl - left < -1.2 || ttl - left > 2.2)) {
        throw new TraceMismatch(`ttl ${ttl} does not fit ${expiration}, ${left} s away`);
      }
    }
  }
}

function nodesOf(value: unknown): Record<string, unknown>[] {
  if (typeof value !== "object" || value === null) return [];
  const record = value as Record<string, unknown>;
  return [record, ...Object.values(record).flatMap(nodesOf)];
}

/** Samples of a metrics page by series name, labels sorted. */
export function parseMetrics(page: string): Map<string, number> {
  const samples = new Map<string, number>();
  for (const line of page.split("\n")) {
    const parsed = /^([A-Za-z_:][\w:]*)(?:\{(.*)\})?\s+(\S+)/.exec(line);
    if (parsed === null) continue;
    const [, name = "", labels = "", value] = parsed;
    const pairs = labels.match(/[A-Za-z_]\w*="(?:[^"\\]|\\.)*"/g) ?? [];
    samples.set(pairs.length === 0 ? name : `${name}{${pairs.sort().join(",")}}`, Number(value));
  }
  return samples;
}
