/**
 * Replays recorded scenarios against a server and compares what it answers. Needs nothing but the
 * way to connect, so that it serves in-process tests and tests of a running server alike.
 */
import { randomBytes } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { RawConnection, type RawRequest, type RawResponse, type RawTarget } from "./raw-client.ts";
import { checkExpirations, parseMetrics, sortBody } from "./trace-checks.ts";
import type { TraceExpectation, TraceScenario, TraceStep } from "./trace-format.ts";
import { excerpt, TraceMismatch, TraceVariables } from "./trace-template.ts";

/** Compared in every step; one that is not expected must be absent. */
const CORE_HEADERS = [
  "Content-Type",
  "Allow",
  "Location",
  "X-Etcd-Cluster-Id",
  "X-Etcd-Index",
  "X-Raft-Index",
  "X-Raft-Term",
];

/** Headers of a watch come at once. */
const BACKGROUND_HEAD_TIMEOUT_MS = 3000;
const EVENT_TIMEOUT_MS = 5000;
const REQUEST_TIMEOUT_MS = 60_000;

/**
 * Runs one scenario. A scenario with isolation "fresh" needs a server just started for it.
 * @throws TraceMismatch naming the step that differs.
 */
export async function runTrace(target: RawTarget, scenario: TraceScenario): Promise<void> {
  const run = new TraceRun(target, scenario);
  await run.run();
}

interface Background {
  readonly connection: RawConnection;
  readonly response: RawResponse;
  /** Bytes of the body already compared. */
  taken: number;
}

class TraceRun {
  readonly #target: RawTarget;
  readonly #scenario: TraceScenario;
  readonly #variables = new TraceVariables();
  readonly #background = new Map<string, Background>();
  #connection: RawConnection | undefined;

  constructor(target: RawTarget, scenario: TraceScenario) {
    this.#target = target;
    this.#scenario = scenario;
  }

  async run(): Promise<void> {
    const { setup = [], steps, vars = [] } = this.#scenario;
    this.#variables.set("p", `/t${randomBytes(5).toString("hex")}`);
    try {
      for (const step of setup) await this.#send(step);
      if (vars.includes("member")) await this.#readMember();
      await this.#readBase();
      for (const [number, step] of steps.entries()) {
        try {
          await this.#step(step);
        } catch (error) {
          const text = error instanceof Error ? error.message : String(error);
          throw new TraceMismatch(`step ${number + 1} (${describe(step)}): ${text}`, {
            cause: error,
          });
        }
      }
    } finally {
      for (const { connection } of this.#background.values()) connection.close();
      await this.#cleanUp();
      this.#connection?.close();
    }
  }

  async #readMember(): Promise<void> {
    const { body } = await this.#exchange({ method: "GET", target: "/v2/members" });
    const { members } = JSON.parse(body) as {
      members: { id: string; name: string; peerURLs: string[]; clientURLs: string[] }[];
    };
    const [first] = members;
    if (first === undefined) throw new TraceMismatch("there is no member");
    const { id, name, peerURLs, clientURLs } = first;
    const member = { id, name, peerURL: peerURLs[0], clientURL: clientURLs[0] ?? "" };
    this.#variables.set("member", member);
  }

  async #readBase(): Promise<void> {
    const { baseAuth } = this.#scenario;
    const headers: Record<string, string> = {};
    if (baseAuth !== undefined) {
      headers["Authorization"] = `Basic ${Buffer.from(baseAuth).toString("base64")}`;
    }
    const response = await this.#exchange({ method: "GET", target: "/v2/keys/", headers });
    const index = response.headers.get("x-etcd-index");
    if (index === undefined || response.status === 401) {
      throw new TraceMismatch(`cannot read the start index: status ${response.status}`);
    }
    this.#variables.set("base", Number(index));
  }

  async #cleanUp(): Promise<void> {
    const { cleanup = [], isolation } = this.#scenario;
    const remove = { method: "DELETE", target: "/v2/keys${p}?recursive=true" };
    for (const step of isolation === "fresh" ? cleanup : [...cleanup, remove]) {
      try {
        await this.#send(step);
      } catch {
        this.#drop();
      }
    }
  }

  async #step(step: TraceStep): Promise<void> {
    if (step.sleep_ms !== undefined) await sleep(step.sleep_ms);
    else if (step.close !== undefined) {
      this.#find(step.close).connection.close();
      this.#background.delete(step.close);
    } else if (step.pending !== undefined) await this.#pending(step.pending, step.wait_ms ?? 0);
    else if (step.await !== undefined) await this.#await(step.await, step);
    else if (step.background !== undefined) await this.#start(step.background, step);
    else await this.#request(step);
  }

  async #request(step: TraceStep): Promise<void> {
    const count = step.repeat ?? 1;
    let response: RawResponse | undefined;
    for (let i = 0; i < count; i++) {
      if (count > 1) this.#variables.set("i", i);
      response = await this.#send(step);
    }
    if (response === undefined) return;
    const nowMs = Date.now();
    if (step.metrics?.startsWith("save:") === true) {
      this.#variables.set(`metrics.${step.metrics.slice(5)}`, parseMetrics(response.body));
    }
    if (step.capture !== undefined) {
      const { var: name, pointer } = step.capture;
      this.#variables.set(name, pointed(JSON.parse(response.body), pointer));
    }
    if (step.expect !== undefined) {
      this.#checkHead(step.expect, response);
      this.#checkBody(step.expect, response.body, nowMs);
    }
  }

  async #start(id: string, step: TraceStep): Promise<void> {
    const connection = await RawConnection.open(this.#target);
    connection.send(this.#toRequest(step));
    try {
      const response = await connection.head(BACKGROUND_HEAD_TIMEOUT_MS);
      this.#background.set(id, { connection, response, taken: 0 });
      if (step.expect !== undefined) this.#checkHead(step.expect, response);
    } catch (error) {
      connection.close();
      throw error;
    }
  }

  async #pending(id: string, waitMs: number): Promise<void> {
    const { connection, response, taken } = this.#find(id);
    await connection.receive(waitMs, () => response.body.length > taken);
    if (response.body.length > taken || response.complete) {
      throw new TraceMismatch(`expected no data, got ${excerpt(response.body, taken)}`);
    }
  }

  async #await(id: string, step: TraceStep): Promise<void> {
    const background = this.#find(id);
    const { connection, response, taken } = background;
    const timeoutMs = step.timeout_ms ?? EVENT_TIMEOUT_MS;
    const { events, expect = {} } = step;
    if (events === undefined) {
      if (!(await connection.receive(timeoutMs))) {
        throw new TraceMismatch(`the response is not finished: ${excerpt(response.body, taken)}`);
      }
    } else {
      const count = (): number => response.body.slice(taken).split("\n").length - 1;
      await connection.receive(timeoutMs, () => count() >= events);
      if (step.quiet_ms !== undefined) await connection.receive(step.quiet_ms);
      if (count() !== events) {
        throw new TraceMismatch(`expected ${events} events, got ${response.body.slice(taken)}`);
      }
    }
    background.taken = response.body.length;
    if ((expect.complete ?? false) !== response.complete) {
      throw new TraceMismatch(response.complete ? "the response ended" : "the response is open");
    }
    this.#checkBody(expect, response.body.slice(taken), Date.now());
  }

  #checkHead({ status, headers = {} }: TraceExpectation, response: RawResponse): void {
    if (status !== response.status) {
      const body = excerpt(response.body, 0);
      throw new TraceMismatch(`expected status ${status}, got ${response.status} ${body}`);
    }
    for (const name of [...CORE_HEADERS, ...(this.#scenario.checkHeaders ?? [])]) {
      const wanted = headers[name];
      const actual = response.headers.get(name.toLowerCase());
      if (wanted === undefined || actual === undefined) {
        if (wanted === actual) continue;
        throw new TraceMismatch(`header ${name}: expected ${wanted ?? "none"}, got ${actual}`);
      }
      this.#variables.match(wanted, actual);
    }
  }

  #checkBody(expect: TraceExpectation, body: string, nowMs: number): void {
    for (const part of expect.bodyContains ?? []) {
      const text = Buffer.from(this.#variables.expand(part), "utf8").toString("latin1");
      if (!body.includes(text)) throw new TraceMismatch(`the body does not contain ${text}`);
    }
    if (expect.metricsDelta !== undefined) this.#checkMetrics(expect.metricsDelta, body);
    if (expect.body === undefined) return;
    const template = Buffer.from(expect.body, "utf8").toString("latin1");
    this.#variables.match(template, expect.unordered === true ? sortBody(body) : body);
    checkExpirations(body, nowMs);
  }

  #checkMetrics(
    { since, values }: { since: string; values: Readonly<Record<string, number>> },
    page: string,
  ): void {
    const before = this.#variables.get(`metrics.${since}`) as ReadonlyMap<string, number>;
    const after = parseMetrics(page);
    for (const [name, increase] of Object.entries(values)) {
      const actual = (after.get(name) ?? 0) - (before.get(name) ?? 0);
      if (actual !== increase) {
        throw new TraceMismatch(`metric ${name}: expected +${increase}, got +${actual}`);
      }
    }
  }

  #find(id: string): Background {
    const background = this.#background.get(id);
    if (background === undefined) throw new TraceMismatch(`no background request ${id}`);
    return background;
  }

  #toRequest(step: TraceStep): RawRequest {
    const expand = (text: string): string =>
      Buffer.from(this.#variables.expand(text), "utf8").toString("latin1");
    const method = step.method ?? "GET";
    const headers: Record<string, string> = {};
    for (const [name, value] of Object.entries(step.headers ?? {})) headers[name] = expand(value);
    const mayHaveBody = method === "PUT" || method === "POST" || method === "PATCH";
    const body = step.body === undefined ? (mayHaveBody ? "" : undefined) : expand(step.body);
    return { method, target: expand(step.target ?? "/"), headers, body };
  }

  #send(step: TraceStep): Promise<RawResponse> {
    return this.#exchange(this.#toRequest(step), step.timeout_ms);
  }

  /** Sends on the kept connection, or on a new one when that has been closed meanwhile. */
  async #exchange(request: RawRequest, timeoutMs = REQUEST_TIMEOUT_MS): Promise<RawResponse> {
    if (this.#connection?.isOver === true) this.#drop();
    this.#connection ??= await RawConnection.open(this.#target);
    const response = await this.#connection.exchange(request, timeoutMs);
    if (response.headers.get("connection") === "close") this.#drop();
    return response;
  }

  #drop(): void {
    this.#connection?.close();
    this.#connection = undefined;
  }
}

/** The value a pointer such as "/members/0/id" leads to. */
function pointed(document: unknown, pointer: string): unknown {
  let value = document;
  for (const part of pointer.split("/")) {
    if (part !== "") value = (value as Record<string, unknown>)[part];
  }
  return value;
}

function describe(step: TraceStep): string {
  if (step.method === undefined) return JSON.stringify({ ...step, expect: undefined });
  const body = step.body === undefined ? "" : ` | ${step.body.slice(0, 60)}`;
  return `${step.method} ${step.target ?? ""}${body}`.slice(0, 300);
}
