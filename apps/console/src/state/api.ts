/**
 * The client that the page asks with, and the credentials: they live in this tab's memory and
 * nowhere else.
 */
import { EtcdClient, EtcdClientError } from "@etcd2/client";
import { computed, signal } from "@preact/signals";

export interface Credentials {
  readonly username: string;
  readonly password: string;
}

export const credentials = signal<Credentials | undefined>(undefined);

/** Anew for each change of credentials. */
export const client = computed(
  () => new EtcdClient({ endpoints: location.origin, clusterId: "ignore", ...credentials.value }),
);

export interface Figures {
  readonly version: string;
  readonly role: string;
  readonly committed: number;
  readonly applied: number;
  readonly logEntries: number;
  readonly logBytes: number;
  readonly storeBytes: number;
  readonly freeBytes: number;
  readonly alarms: readonly string[];
  readonly certificateEnd: number;
}

export interface MemberFigures {
  readonly id: string;
  readonly name: string;
  readonly isLearner: boolean;
  readonly isSelf?: boolean;
  readonly figures?: Figures;
  readonly roundTripMs?: number;
  readonly problem?: "down" | "old";
}

export interface ClusterFigures {
  readonly leader: string;
  readonly members: readonly MemberFigures[];
}

/** @throws EtcdClientError */
export async function clusterFigures(signal: AbortSignal): Promise<ClusterFigures> {
  const answer = await client.value.request(
    { method: "GET", path: "/console/members" },
    { signal },
  );
  if (answer.status !== 200) throw new Error(`${answer.status}: ${answer.body}`);
  return JSON.parse(answer.body) as ClusterFigures;
}

function basicAuth({ username, password }: Credentials): string {
  const bytes = new TextEncoder().encode(`${username}:${password}`);
  return `Basic ${btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""))}`;
}

/** The bytes of a value as they are stored; the API itself shows text alone. */
export async function storedBytes(key: string): Promise<Uint8Array> {
  const known = credentials.value;
  const response = await fetch(`/console/value?key=${encodeURIComponent(key)}`, {
    headers: known === undefined ? {} : { Authorization: basicAuth(known) },
  });
  if (!response.ok) throw new Error(`${response.status}: ${await response.text()}`);
  return new Uint8Array(await response.arrayBuffer());
}

/** Whether the member takes these credentials; also true while authentication is off. */
export async function areAccepted(given: Credentials): Promise<boolean> {
  const response = await fetch("/console/user", { headers: { Authorization: basicAuth(given) } });
  return response.status !== 401;
}

/** A change that is asked for by POST or DELETE below /v2/members. */
export async function changeMembers(
  method: "POST" | "DELETE",
  rest: string,
  body?: unknown,
): Promise<void> {
  const path = `/v2/members${rest}`;
  const json = { body: JSON.stringify(body), contentType: "application/json" };
  const answer = await client.value.request({ method, path, ...(body !== undefined && json) });
  if (answer.status >= 300) throw new Error(`${answer.status}: ${answer.body}`);
}

/** What went wrong, for people. */
export function reasonOf(error: unknown): string {
  if (error instanceof EtcdClientError || error instanceof Error) return error.message;
  return String(error);
}
