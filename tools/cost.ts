/**
 * `npm run cost -- [--only NAME,...] [--seed S] [--bytes 262144]`: whether anything a stranger can
 * send costs more than in proportion to its length, to either port. Each kind of request is sent to a built server in
 * doubling sizes; the processor time of the server for each size, and how it grows, is printed. The
 * status is 1 when the last doubling costs more than three times as much, twice in a row. Processor time,
 * not time: other work of the machine does not matter much. Loopback only; ends
 * the server it started.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { freePort, pause, SeededRandom } from "@etcd2/test-support";
import { type PeerPort, peerKinds } from "./cost/peer-kinds.ts";

const root = join(import.meta.dirname, "..");

/** What is sent, of about so many bytes. */
interface Kind {
  readonly name: string;
  readonly method: string;
  readonly target: (bytes: number) => string;
  readonly headers?: (bytes: number) => readonly string[];
  readonly body?: (bytes: number) => string;
  /** Largest size that is sent. */
  readonly bytesMax?: number;
}

const FORM = "Content-Type: application/x-www-form-urlencoded";
const JSON_TYPE = "Content-Type: application/json";
const HEAD_MAX = 512 << 10;

/** Letters that differ from run to run, so that no cache answers. */
class Noise {
  readonly #random: SeededRandom;
  constructor(seed: number) {
    this.#random = new SeededRandom(seed);
  }

  word(length: number): string {
    let text = "";
    while (text.length < length) {
      text += this.#random.below(2 ** 32).toString(36);
    }
    return text.slice(0, length);
  }
}

/** Pieces, one after the other, of at least so many bytes. */
function many(bytes: number, piece: () => string): string {
  const pieces: string[] = [];
  for (let length = 0; length < bytes;) {
    const one = piece();
    pieces.push(one);
    length += one.length;
  }
  return pieces.join("");
}

/** Texts between the brackets of a JSON list. */
function list(bytes: number, piece: () => string): string {
  return many(bytes, () => `,${JSON.stringify(piece())}`).slice(1);
}

function key(noise: Noise): string {
  return `/v2/keys/cost/${noise.word(6)}`;
}

function targetKinds(noise: Noise): readonly Kind[] {
  const get = (name: string, target: Kind["target"]): Kind => ({
    name,
    method: "GET",
    target,
    bytesMax: HEAD_MAX,
  });
  return [
    get("levels", (bytes) => "/v2/keys" + many(bytes, () => "/a")),
    get("levels-noise", (bytes) => "/v2/keys" + many(bytes, () => `/${noise.word(3)}`)),
    get("levels-watch", (bytes) => "/v2/keys" + many(bytes, () => "/a") + "?wait=true"),
    get("name", (bytes) => `/v2/keys/${noise.word(bytes)}`),
    get("path-escapes", (bytes) => "/v2/keys/" + many(bytes, () => "%61")),
    get("path-dots", (bytes) => "/v2/keys" + many(bytes, () => "/a/..")),
    get("path-slashes", (bytes) => "/v2/keys" + many(bytes, () => "/")),
    get("path-elsewhere", (bytes) => "/" + many(bytes, () => "a/")),
    get("target-absolute", (bytes) => "http:" + many(bytes, () => "/a")),
    get("query-names", (bytes) => `${key(noise)}?` + many(bytes, () => `${noise.word(4)}=1&`)),
    get("query-repeated", (bytes) => `${key(noise)}?` + many(bytes, () => "recursive=true&")),
    get("query-escapes", (bytes) => `${key(noise)}?prevValue=` + many(bytes, () => "%61")),
    get("query-plus", (bytes) => `${key(noise)}?prevValue=` + many(bytes, () => "+")),
    get("query-index", (bytes) => `${key(noise)}?waitIndex=` + "0".repeat(bytes) + "1"),
    get("query-digits", (bytes) => `${key(noise)}?waitIndex=` + "9".repeat(bytes)),
  ];
}

function headerKinds(noise: Noise): readonly Kind[] {
  const header = (name: string, line: (bytes: number) => string): Kind => ({
    name,
    method: "GET",
    target: () => key(noise),
    headers: (bytes) => [line(bytes)],
    bytesMax: HEAD_MAX,
  });
  return [
    header("header-authorization", (bytes) => `Authorization: Basic ${"YTpi".repeat(bytes / 4)}`),
    header("header-origin", (bytes) => `Origin: http://${noise.word(bytes)}`),
    header("header-host-elements", (bytes) => `Cookie: ${many(bytes, () => "a=b; ")}`),
    header("header-accept", (bytes) => `Accept: ${many(bytes, () => "text/html;q=0.1, ")}`),
    header("header-blanks", (bytes) => `X-Blank: ${" ".repeat(bytes)}x`),
    {
      name: "header-names",
      method: "GET",
      target: () => key(noise),
      headers: (bytes) =>
        Array.from({ length: Math.min(900, bytes / 64) }, (_, at) => `X-${at}: ${noise.word(50)}`),
      bytesMax: 1 << 16,
    },
    {
      name: "media-type",
      method: "PUT",
      target: () => key(noise),
      headers: (bytes) => [`Content-Type: text/plain${many(bytes, () => `; ${noise.word(4)}=b`)}`],
      body: () => "value=1",
      bytesMax: HEAD_MAX,
    },
    {
      name: "media-type-quotes",
      method: "PUT",
      target: () => key(noise),
      headers: (bytes) => [`Content-Type: text/plain; a="${many(bytes, () => '\\"')}"`],
      body: () => "value=1",
      bytesMax: HEAD_MAX,
    },
  ];
}

function formKinds(noise: Noise): readonly Kind[] {
  const form = (name: string, body: NonNullable<Kind["body"]>): Kind => ({
    name,
    method: "PUT",
    target: () => key(noise),
    headers: () => [FORM],
    body,
  });
  return [
    form("form-pairs", (bytes) => many(bytes, () => `${noise.word(4)}=1&`)),
    form("form-repeated", (bytes) => many(bytes, () => "value=1&")),
    form("form-empty", (bytes) => "&".repeat(bytes)),
    form("form-value", (bytes) => `value=${noise.word(bytes)}`),
    form("form-escapes", (bytes) => "value=" + many(bytes, () => "%e2%80%a8")),
    form("form-quotes", (bytes) => "value=" + '"'.repeat(bytes)),
    form("form-ttl", (bytes) => `value=1&ttl=${"0".repeat(bytes)}5`),
    form("form-plus", (bytes) => "value=" + "+".repeat(bytes)),
    form("form-escaped-letters", (bytes) => "value=" + many(bytes, () => "%61")),
  ];
}

function jsonKinds(noise: Noise): readonly Kind[] {
  const json = (
    name: string,
    method: string,
    target: () => string,
    body: NonNullable<Kind["body"]>,
  ): Kind => ({
    name,
    method,
    target,
    headers: () => [JSON_TYPE],
    body,
    bytesMax: 512 << 10,
  });
  const user = (): string => `/v2/auth/users/u${noise.word(6)}`;
  const role = (): string => `/v2/auth/roles/r${noise.word(6)}`;
  return [
    json("json-nested", "PUT", user, (bytes) => `{"user":${"[".repeat(bytes)}`),
    json(
      "json-nested-closed",
      "PUT",
      user,
      (bytes) => `{"x":${"[".repeat(bytes / 2)}${"]".repeat(bytes / 2)}}`,
    ),
    json(
      "json-fields",
      "PUT",
      user,
      (bytes) => `{${many(bytes, () => `"${noise.word(4)}":1,`)}"z":1}`,
    ),
    json("json-repeated", "PUT", user, (bytes) => `{${many(bytes, () => '"user":"a",')}"z":1}`),
    json("json-blanks", "PUT", user, (bytes) => " ".repeat(bytes) + "{}"),
    json("user-roles", "PUT", user, (bytes) => {
      const roles = list(bytes, () => noise.word(6));
      return `{"user":"u","password":"p","roles":[${roles}]}`;
    }),
    json("role-permissions", "PUT", role, (bytes) => {
      const read = list(bytes, () => `/${noise.word(6)}*`);
      return `{"role":"r","permissions":{"kv":{"read":[${read}],"write":[]}}}`;
    }),
    json(
      "member-urls",
      "POST",
      () => "/v2/members",
      (bytes) => {
        const urls = list(bytes, () => `http://${noise.word(6)}:1x`);
        return `{"peerURLs":[${urls}]}`;
      },
    ),
    json(
      "member-long-url",
      "POST",
      () => "/v2/members",
      (bytes) => {
        return `{"peerURLs":["http://${noise.word(bytes)}:1x"]}`;
      },
    ),
  ];
}

/** Sends one request; a watch that goes on counts as answered after a while. */
function exchange(port: number, text: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, "127.0.0.1");
    let answer = "";
    const timer = setTimeout(() => {
      socket.destroy();
    }, 20_000);
    socket.on("connect", () => {
      socket.write(text, "latin1");
    });
    socket.on("data", (part: Buffer) => {
      answer = (answer + part.toString("latin1")).slice(0, 20);
      if (text.includes("?wait=true")) socket.destroy();
    });
    socket.on("error", reject);
    socket.on("close", () => {
      clearTimeout(timer);
      resolve(answer.slice(9, 12));
    });
  });
}

/** Processor time of a process so far, in milliseconds; the kernel counts in steps of ten. */
function processorMs(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8")
    .replace(/^.*\) /, "")
    .split(" ");
  return (Number(fields[11]) + Number(fields[12])) * 10;
}

class Server {
  readonly port: number;
  readonly peerPort: number;
  readonly #child: ChildProcess;
  readonly #directory: string;
  private constructor(port: number, peerPort: number, child: ChildProcess, directory: string) {
    this.port = port;
    this.peerPort = peerPort;
    this.#child = child;
    this.#directory = directory;
  }

  static async start(): Promise<Server> {
    const directory = mkdtempSync(join(tmpdir(), "cost-"));
    const port = await freePort();
    const peerPort = await freePort();
    const peer = `http://127.0.0.1:${peerPort}`;
    const client = `http://127.0.0.1:${port}`;
    const args = ["--name", "m", "--data-dir", join(directory, "m"), "--initial-cluster"];
    args.push(`m=${peer}`, "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer);
    args.push("--listen-client-urls", client, "--advertise-client-urls", client);
    const child = spawn(join(root, "apps/server/bin/etcd"), args, { stdio: "ignore" });
    const server = new Server(port, peerPort, child, directory);
    const host = `Host: 127.0.0.1:${port}`;
    const hello = `GET /v2/keys/?quorum=true HTTP/1.1\r\n${host}\r\nConnection: close\r\n\r\n`;
    for (const deadline = Date.now() + 60_000; Date.now() < deadline;) {
      if ((await exchange(port, hello).catch(() => "")) === "200") return server;
      await pause(50);
    }
    await server.stop();
    throw new Error("the server did not come up");
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** The peer port, with the names that let a caller in. */
  async peer(): Promise<PeerPort> {
    const answer = await fetch(`http://127.0.0.1:${this.port}/v2/members`);
    const { members } = (await answer.json()) as { readonly members: readonly { id: string }[] };
    const clusterId = answer.headers.get("x-etcd-cluster-id") ?? "";
    const memberId = (members[0]?.id ?? "").padStart(16, "0");
    return { port: this.peerPort, clusterId: clusterId.padStart(16, "0"), memberId };
  }

  get isRunning(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  async stop(): Promise<void> {
    const gone = new Promise((resolve) => this.#child.once("exit", resolve));
    if (this.isRunning && this.#child.kill("SIGKILL")) await gone;
    rmSync(this.#directory, { recursive: true, force: true });
  }
}

/** Requests of each size; more than one, as the clock is coarse. */
const REQUESTS = 5;
const SIZES = 4;
/** Growth at a doubling that is more than noise on a coarse clock. */
const GROWTH_MAX = 3;
/** Costs below this say nothing. */
const COST_MIN_MS = 200;

/** One kind with a way to send it. */
interface Sendable {
  readonly name: string;
  readonly bytesMax?: number | undefined;
  readonly send: (bytes: number) => Promise<string>;
}

function asRequest(port: number, kind: Kind): Sendable {
  return {
    name: kind.name,
    bytesMax: kind.bytesMax,
    send: (bytes) => {
      const body = kind.body?.(bytes);
      const lines = [`${kind.method} ${kind.target(bytes)} HTTP/1.1`];
      lines.push(`Host: 127.0.0.1:${port}`, "Connection: close");
      lines.push(...(kind.headers?.(bytes) ?? []));
      if (body !== undefined) lines.push(`Content-Length: ${body.length}`);
      return exchange(port, `${lines.join("\r\n")}\r\n\r\n${body ?? ""}`);
    },
  };
}

/** @returns Whether costs grow faster than sizes. */
async function measure(server: Server, kind: Sendable, bytesWanted: number): Promise<boolean> {
  const largest = Math.min(kind.bytesMax ?? bytesWanted, bytesWanted);
  const costs: number[] = [];
  let status = "";
  for (let at = SIZES - 1; at >= 0; at--) {
    let cost = 0;
    for (let request = 0; request < REQUESTS; request++) {
      const before = processorMs(server.pid);
      status = await kind.send(largest >> at);
      cost += processorMs(server.pid) - before;
    }
    costs.push(cost);
  }
  const grows = costs.map((cost, at) => {
    const before = costs[at - 1];
    return before !== undefined && cost > COST_MIN_MS && cost > GROWTH_MAX * Math.max(before, 10);
  });
  const isBad = grows.at(-1) === true;
  const shown = costs.map((cost) => String(cost).padStart(7)).join("");
  console.log(`${kind.name.padEnd(22)}${status.padEnd(6)}${shown}${isBad ? "  GROWS" : ""}`);
  return isBad;
}

const { values } = parseArgs({
  options: {
    only: { type: "string", default: "" },
    seed: { type: "string", default: String(Math.floor(Math.random() * 2 ** 31)) },
    bytes: { type: "string", default: String(256 << 10) },
  },
});
console.log(`SEED=${values.seed}; processor time in ms of ${REQUESTS} requests, sizes doubling`);
const wanted = values.only === "" ? undefined : new Set(values.only.split(","));
const server = await Server.start();
try {
  const noise = new Noise(Number(values.seed));
  const peer = await server.peer();
  const kinds: readonly Sendable[] = [
    ...[targetKinds, headerKinds, formKinds, jsonKinds]
      .flatMap((make) => make(noise))
      .map((kind) => asRequest(server.port, kind)),
    ...peerKinds().map(({ name, send }) => ({ name, send: (bytes: number) => send(peer, bytes) })),
  ];
  for (const kind of kinds) {
    if (wanted !== undefined && !wanted.has(kind.name)) continue;
    const bytes = Number(values.bytes);
    // A second look tells growth from a collection of garbage.
    const grows = (await measure(server, kind, bytes)) && (await measure(server, kind, bytes));
    if (grows) process.exitCode = 1;
    if (!server.isRunning) throw new Error(`${kind.name} ended the server`);
  }
} finally {
  await server.stop();
}
