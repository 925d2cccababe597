/**
 * A running v2 server as a source: listings of the chosen subtrees, kept in temporary files, and its users
 * and roles where the credentials given may see them.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { MigrateError, messageOf } from "../errors.ts";
import { FormatError } from "../io/format-error.ts";
import { JsonObject } from "../io/json-object.ts";
import type { Endpoints } from "../mirror/endpoints.ts";
import { fetchListing, probeKey } from "../mirror/listing.ts";
import type { Listing } from "../mirror/listing.ts";
import { V2Client } from "../mirror/v2-client.ts";
import type { V2Auth, V2Role, V2User } from "./mapping/auth-map.ts";
import { isAtOrBelow } from "./mapping/path-map.ts";
import type { SourceNode } from "./mapping/rows.ts";
import { readRole, readUser } from "./source-view.ts";
import type { SourceView } from "./source-view.ts";

export interface LiveSourceOptions {
  readonly from: Endpoints;
  /** Subtrees to list, "" for everything that is not hidden. */
  readonly roots: readonly string[];
  readonly signal: AbortSignal;
  readonly log: (text: string) => void;
}

export class LiveSource implements Disposable {
  readonly client: V2Client;
  readonly roots: readonly string[];
  readonly #signal: AbortSignal;
  readonly #temporary = mkdtempSync(join(tmpdir(), "etcd-migrate-"));
  #listings = 0;

  constructor({ from, roots, signal, log }: LiveSourceOptions) {
    this.client = new V2Client(from, (reachable, reason) => {
      log(reachable ? "the source answers again" : `the source cannot be reached (${reason})`);
    });
    this.roots = roots;
    this.#signal = signal;
  }

  /** @throws MigrateError "remote" unless one of the endpoints answers as a v2 server does. */
  async check(): Promise<void> {
    const call = { method: "GET", key: probeKey("/"), query: {} } as const;
    let reason = "";
    for (let i = 0; i < 5; i++) {
      try {
        const { status, etcdIndex } = await this.client.once(call, this.#signal);
        if (status === 401 || etcdIndex > 0) return;
        reason = `it answers ${status}: is the v2 API on (--enable-v2)?`;
      } catch (error) {
        reason = messageOf(error);
      }
      this.client.nextEndpoint(reason);
    }
    throw new MigrateError("remote", `${this.client.name} cannot be read: ${reason}`);
  }

  /** The nodes of one subtree now. Close it. */
  async list(root: string): Promise<{ readonly view: SourceView; close(): void }> {
    const file = join(this.#temporary, `listing-${this.#listings++}`);
    const wallMs = Date.now() - performance.now();
    const path = root === "" ? "/" : root;
    const listing = await fetchListing(this.client, path, file, this.#signal);
    const { etcdIndex } = listing;
    const nodes = (): Iterable<SourceNode> => sourceNodes(listing, wallMs);
    const view = { name: this.client.name, etcdIndex, nodes, auth: undefined };
    return {
      view,
      close: () => {
        listing.close();
      },
    };
  }

  /** Everything that was asked for, as one view. */
  async withView<T>(use: (view: SourceView) => Promise<T>): Promise<T> {
    const lists: { readonly view: SourceView; close(): void }[] = [];
    try {
      for (const root of this.roots) lists.push(await this.list(root));
      const etcdIndex = Math.min(...lists.map(({ view }) => view.etcdIndex));
      const auth = await this.#auth();
      return await use({
        name: this.client.name,
        etcdIndex,
        *nodes() {
          for (const { view } of lists) yield* view.nodes();
        },
        auth,
      });
    } finally {
      for (const list of lists) list.close();
    }
  }

  [Symbol.dispose](): void {
    this.client.close();
    rmSync(this.#temporary, { recursive: true, force: true });
  }

  /** Undefined when the server does not show them. */
  async #auth(): Promise<V2Auth | undefined> {
    const enable = await this.#document("enable");
    const users = await this.#document("users");
    const roles = await this.#document("roles");
    if (users === undefined || roles === undefined) return undefined;
    const readUsers = await this.#each(users, "users", shownUser);
    const readRoles = await this.#each(roles, "roles", readRole);
    if (readUsers === undefined || readRoles === undefined) return undefined;
    return { enabled: enable?.boolean("enabled") ?? false, users: readUsers, roles: readRoles };
  }

  /** The documents of a list; early versions list names only. */
  async #each<T extends V2User | V2Role>(
    list: JsonObject,
    name: "users" | "roles",
    read: (json: JsonObject) => T,
  ): Promise<readonly T[] | undefined> {
    const found: T[] = [];
    try {
      for (const json of list.objects(name)) found.push(read(json));
      return found;
    } catch (error) {
      if (!(error instanceof FormatError)) throw error;
    }
    for (const entry of list.texts(name)) {
      const json = await this.#document(`${name}/${encodeURIComponent(entry)}`);
      if (json === undefined) return undefined;
      found.push(read(json));
    }
    return found;
  }

  async #document(path: string): Promise<JsonObject | undefined> {
    const call = { method: "GET", api: "/v2/auth", key: `/${path}`, query: {} } as const;
    const { status, body } = await this.client.request(call, this.#signal);
    if (status !== 200) return undefined;
    try {
      return JsonObject.parse(body.toString("utf8"));
    } catch (error) {
      if (!(error instanceof FormatError)) throw error;
      return undefined;
    }
  }
}

/** Lists show the roles of a user whole, single users by name. */
function shownUser(json: JsonObject): V2User {
  const name = json.byteString("user");
  try {
    return readUser(json);
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    return {
      name,
      roles: json.objects("roles").map((role) => role.byteString("role")),
    };
  }
}

function* sourceNodes(listing: Listing, wallMs: number): Generator<SourceNode> {
  for (const { key, dir, value, ttl } of listing.nodes()) {
    if (key === "/") continue;
    const expirationMs =
      ttl === undefined ? undefined : Math.round(wallMs + listing.askedAtMs + ttl * 1000);
    yield { path: key, dir, value, expirationMs };
  }
}

/** Subtrees that a live server has to be asked for: the chosen ones, and hidden ones that no listing shows. */
export function liveRoots(chosen: readonly string[], hidden: readonly string[]): readonly string[] {
  const roots = new Set(chosen);
  for (const path of hidden) {
    const outer = chosen.find((root) => isAtOrBelow(path, root));
    if (outer === undefined) {
      throw new MigrateError("usage", `--hidden ${path} lies outside of --only`);
    }
    if (!path.slice(outer.length).includes("/_")) continue;
    roots.add(path);
  }
  return [...roots];
}
