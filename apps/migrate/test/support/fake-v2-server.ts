/**
 * A small v2 server in memory with the manners of an old one, good and bad, on demand: a bounded
 * history, watchers that are dropped without a word, lost connections, another history after a
 * restore. Just as much of the API as a mirror uses.
 */
import { createServer } from "node:http";
import type { IncomingMessage, Server, ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

interface FakeNode {
  dir: boolean;
  value: string;
  createdIndex: number;
  modifiedIndex: number;
  /** Unix milliseconds. */
  expiresAt: number | undefined;
}

interface FakeEvent {
  readonly index: number;
  readonly key: string;
  readonly text: string;
  readonly isRefresh: boolean;
}

interface Watcher {
  readonly response: ServerResponse;
  readonly root: string;
  readonly stream: boolean;
}

const HISTORY_MAX = 1000;

export class FakeV2Server {
  readonly nodes = new Map<string, FakeNode>();
  index = 0;
  clusterId = "c1";
  /** Answers every write with this status while set. */
  failWrites: number | undefined;
  /** The Authorization header demanded, if any. */
  authorization: string | undefined;
  /** Requests by method. */
  readonly requests = new Map<string, number>();
  #events: FakeEvent[] = [];
  readonly #watchers = new Set<Watcher>();
  readonly #server: Server;

  private constructor() {
    this.#server = createServer((request, response) => {
      void this.#handle(request, response);
    });
  }

  static async start(): Promise<FakeV2Server> {
    const fake = new FakeV2Server();
    await new Promise<void>((resolve) => fake.#server.listen(0, "127.0.0.1", resolve));
    return fake;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  get watcherCount(): number {
    return this.#watchers.size;
  }

  /** The keys as lines, for comparing: path, value or "/", and whether it expires. */
  dump(withHidden = false): readonly string[] {
    return [...this.nodes]
      .filter(([key]) => withHidden || !key.includes("/_"))
      .map(
        ([key, n]) => `${key} ${n.dir ? "/" : n.value}${n.expiresAt === undefined ? "" : " ttl"}`,
      )
      .sort();
  }

  set(key: string, value: string, ttlSeconds?: number): void {
    this.#put(key, { value, ...(ttlSeconds === undefined ? {} : { ttl: String(ttlSeconds) }) });
  }

  makeDirectory(key: string, ttlSeconds?: number): void {
    this.#put(key, {
      dir: "true",
      ...(ttlSeconds === undefined ? {} : { ttl: String(ttlSeconds) }),
    });
  }

  refresh(key: string, ttlSeconds: number): void {
    this.#put(key, { prevExist: "true", refresh: "true", ttl: String(ttlSeconds) });
  }

  remove(key: string): void {
    this.#remove(key, "delete");
  }

  /** Stops telling all present watchers anything; their connections stay open. */
  dropWatchers(): void {
    this.#watchers.clear();
  }

  closeConnections(): void {
    this.#watchers.clear();
    this.#server.closeAllConnections();
  }

  clearHistory(): void {
    this.#events = [];
  }

  async close(): Promise<void> {
    this.closeConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  async #handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const method = request.method ?? "";
    this.requests.set(method, (this.requests.get(method) ?? 0) + 1);
    const url = new URL(request.url ?? "/", "http://x");
    let body = "";
    for await (const chunk of request) body += String(chunk);
    const form = Object.fromEntries(new URLSearchParams(body));
    const query = Object.fromEntries(url.searchParams);
    const key = decodeURIComponent(url.pathname.slice("/v2/keys".length)).replace(/\/$/, "") || "/";
    if (!url.pathname.startsWith("/v2/keys")) {
      response.writeHead(404).end("404 page not found\n");
      return;
    }
    if (this.authorization !== undefined && request.headers.authorization !== this.authorization) {
      this.#answer(response, 401, { errorCode: 110, cause: "Insufficient credentials", index: 0 });
      return;
    }
    this.#expire();
    if (method === "GET") this.#get(response, key, query);
    else if (this.failWrites !== undefined) this.#answer(response, this.failWrites, {});
    else if (method === "PUT") this.#write(response, () => this.#put(key, { ...query, ...form }));
    else this.#write(response, () => this.#remove(key, "delete", query["recursive"] === "true"));
  }

  #answer(response: ServerResponse, status: number, body: object, index = this.index): void {
    response.writeHead(status, {
      "content-type": "application/json",
      "x-etcd-index": String(index),
      "x-etcd-cluster-id": this.clusterId,
    });
    response.end(`${JSON.stringify(body)}\n`);
  }

  #write(response: ServerResponse, change: () => number | { node: object }): void {
    const outcome = change();
    if (typeof outcome !== "number") {
      this.#answer(response, 200, outcome);
      return;
    }
    const status = { 100: 404, 102: 403, 104: 400, 105: 412 }[outcome] ?? 400;
    this.#answer(response, status, {
      errorCode: outcome,
      cause: this.#obstacle,
      index: this.index,
    });
  }

  #obstacle = "";

  #get(response: ServerResponse, key: string, query: Readonly<Record<string, string>>): void {
    if (query["wait"] === "true") {
      this.#watch(response, key, query);
      return;
    }
    if (key !== "/" && !this.nodes.has(key)) {
      this.#answer(response, 404, { errorCode: 100, cause: key, index: this.index });
      return;
    }
    this.#answer(response, 200, {
      action: "get",
      node: this.#show(key, query["recursive"] === "true", 0),
    });
  }

  #watch(response: ServerResponse, root: string, query: Readonly<Record<string, string>>): void {
    const since = Number(query["waitIndex"] ?? 0);
    const oldest = this.#events[0]?.index ?? this.index + 1;
    if (since > 0 && since <= this.index && since < oldest) {
      this.#answer(response, 400, { errorCode: 401, cause: "cleared", index: this.index });
      return;
    }
    response.writeHead(200, {
      "content-type": "application/json",
      "x-etcd-index": String(this.index),
      "x-etcd-cluster-id": this.clusterId,
    });
    response.flushHeaders();
    const stream = query["stream"] === "true";
    const past =
      since === 0
        ? undefined
        : this.#events.find((e) => e.index >= since && !e.isRefresh && matches(e.key, root));
    if (past !== undefined) {
      response.write(past.text);
      // A stream that began in the past stays open and tells nothing more.
      if (!stream) response.end();
      return;
    }
    const watcher = { response, root, stream };
    this.#watchers.add(watcher);
    response.on("close", () => this.#watchers.delete(watcher));
  }

  #show(key: string, recursive: boolean, depth: number): object {
    const node = this.nodes.get(key);
    const children = [...this.nodes.keys()]
      .filter((other) => parentOf(other) === key && other !== "/")
      .filter((other) => !other.slice(other.lastIndexOf("/") + 1).startsWith("_"))
      .sort();
    const isDirectory = node === undefined || node.dir;
    return {
      ...(key === "/" ? {} : { key }),
      ...(isDirectory ? { dir: true } : { value: node.value }),
      ...lifeOf(node),
      ...(isDirectory && children.length > 0 && (recursive || depth === 0)
        ? { nodes: children.map((child) => this.#show(child, recursive, depth + 1)) }
        : {}),
      ...(node === undefined
        ? {}
        : { modifiedIndex: node.modifiedIndex, createdIndex: node.createdIndex }),
    };
  }

  #put(key: string, form: Readonly<Record<string, string>>): number | { node: object } {
    const known = this.nodes.get(key);
    const dir = form["dir"] === "true";
    const exists = form["prevExist"];
    this.#obstacle = key;
    for (let up = parentOf(key); up !== "/"; up = parentOf(up)) {
      if (this.nodes.get(up)?.dir !== false) continue;
      this.#obstacle = up;
      return 104;
    }
    if (exists === "false" && known !== undefined) return 105;
    if (exists === "true" && known === undefined) return 100;
    if (exists === undefined && known?.dir === true) return 102;
    if (exists === "true" && known?.dir === true && (form["value"] ?? "") !== "") return 102;
    this.index++;
    for (let up = parentOf(key); up !== "/"; up = parentOf(up)) {
      if (!this.nodes.has(up)) this.nodes.set(up, this.#newNode(true, "", undefined));
    }
    const isRefresh = form["refresh"] === "true";
    const ttl = form["ttl"];
    const expiresAt = ttl === undefined ? undefined : Date.now() + Number(ttl) * 1000;
    const value = isRefresh ? (known?.value ?? "") : (form["value"] ?? "");
    const isDirectory = exists === "true" ? (known?.dir ?? false) : dir;
    const node = this.#newNode(isDirectory, isDirectory ? "" : value, expiresAt);
    if (exists === "true" && known !== undefined) node.createdIndex = known.createdIndex;
    this.nodes.set(key, node);
    const action = exists === "false" ? "create" : exists === "true" ? "update" : "set";
    return this.#tell(action, key, { node: this.#show(key, false, 1) }, isRefresh);
  }

  #newNode(dir: boolean, value: string, expiresAt: number | undefined): FakeNode {
    return { dir, value, createdIndex: this.index, modifiedIndex: this.index, expiresAt };
  }

  #remove(key: string, action: string, recursive = true): number | { node: object } {
    const known = this.nodes.get(key);
    this.#obstacle = key;
    if (known === undefined) return 100;
    if (known.dir && !recursive) return 102;
    const prevNode = this.#show(key, false, 1);
    this.index++;
    for (const other of [...this.nodes.keys()]) {
      if (other === key || other.startsWith(`${key}/`)) this.nodes.delete(other);
    }
    const node = {
      key,
      ...(known.dir && action === "delete" ? { dir: true } : {}),
      modifiedIndex: this.index,
      createdIndex: known.createdIndex,
    };
    return this.#tell(action, key, { node, prevNode }, false);
  }

  #tell(
    action: string,
    key: string,
    body: { readonly node: object; readonly prevNode?: object },
    isRefresh: boolean,
  ): { node: object } {
    const event = {
      index: this.index,
      key,
      isRefresh,
      text: `${JSON.stringify({ action, ...body })}\n`,
    };
    this.#events.push(event);
    if (this.#events.length > HISTORY_MAX) this.#events.shift();
    if (isRefresh) return body;
    for (const watcher of this.#watchers) {
      const isHidden = key.slice(watcher.root === "/" ? 0 : watcher.root.length).includes("/_");
      const isRemovedAbove = watcher.root.startsWith(`${key}/`) && action !== "set";
      if (!(isRemovedAbove || (matches(key, watcher.root) && !isHidden))) continue;
      watcher.response.write(event.text);
      if (watcher.stream) continue;
      watcher.response.end();
      this.#watchers.delete(watcher);
    }
    return body;
  }

  #expire(): void {
    const now = Date.now();
    for (const [key, node] of [...this.nodes]) {
      if (node.expiresAt !== undefined && node.expiresAt <= now && this.nodes.has(key)) {
        this.#remove(key, "expire");
      }
    }
  }
}

function parentOf(key: string): string {
  return key.slice(0, key.lastIndexOf("/")) || "/";
}

function matches(key: string, root: string): boolean {
  return key === root || root === "/" || key.startsWith(`${root}/`);
}

function lifeOf(node: FakeNode | undefined): object {
  if (node?.expiresAt === undefined) return {};
  const ttl = Math.ceil((node.expiresAt - Date.now()) / 1000);
  return { expiration: new Date(node.expiresAt).toISOString(), ...(ttl > 0 ? { ttl } : {}) };
}
