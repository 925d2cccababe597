/** Users, roles and the switch of authentication. */
import { sendAdmin } from "./admin.ts";
import type { Action, CallOptions, Cluster } from "./cluster.ts";
import { pathElement } from "./encoding.ts";
import {
  flagOf,
  type JsonObject,
  objectOf,
  objectsOf,
  parseObject,
  textOf,
  textsOf,
} from "./json.ts";

/** Key patterns: a key, or a prefix that ends in `*`. */
export interface Permissions {
  readonly read: readonly string[];
  readonly write: readonly string[];
}

export interface Role {
  readonly name: string;
  readonly permissions: Permissions;
}

export interface User {
  readonly name: string;
  /** Names of roles. */
  readonly roles: readonly string[];
}

function decodeUser(record: JsonObject): User {
  const roles = objectsOf(record, "roles").map((role) => textOf(role, "role"));
  return {
    name: textOf(record, "user"),
    roles: roles.length > 0 ? roles : textsOf(record, "roles"),
  };
}

function decodeRole(record: JsonObject): Role {
  const kv = objectOf(objectOf(record, "permissions"), "kv");
  return {
    name: textOf(record, "role"),
    permissions: { read: textsOf(kv, "read"), write: textsOf(kv, "write") },
  };
}

/** One kind of named things below /v2/auth. */
class Collection {
  readonly #cluster: Cluster;
  readonly #path: string;

  constructor(cluster: Cluster, name: "users" | "roles") {
    this.#cluster = cluster;
    this.#path = `/v2/auth/${name}`;
  }

  async list(options: CallOptions): Promise<JsonObject> {
    return parseObject(
      (await sendAdmin(this.#cluster, "GET", this.#path, undefined, options)).body,
    );
  }

  async of(
    method: Action["method"],
    name: string,
    body: JsonObject | undefined,
    options: CallOptions,
  ): Promise<string> {
    const path = `${this.#path}/${pathElement(name)}`;
    return (await sendAdmin(this.#cluster, method, path, body, options)).body;
  }
}

export class UsersApi {
  readonly #users: Collection;

  constructor(cluster: Cluster) {
    this.#users = new Collection(cluster, "users");
  }

  async list(options: CallOptions = {}): Promise<readonly User[]> {
    const record = await this.#users.list(options);
    const users = objectsOf(record, "users").map(decodeUser);
    if (users.length > 0) return users;
    // Servers of 2.1 and 2.2 list plain names.
    return textsOf(record, "users").map((name) => ({ name, roles: [] }));
  }

  /** @throws RefusedError 404. */
  async get(name: string, options: CallOptions = {}): Promise<User> {
    return decodeUser(parseObject(await this.#users.of("GET", name, undefined, options)));
  }

  /** Adds a user. One that is there gets the password instead, as the servers have it. */
  async create(name: string, password: string, options: CallOptions = {}): Promise<User> {
    return this.#put(name, { password }, options);
  }

  /** @throws RefusedError 404. */
  async remove(name: string, options: CallOptions = {}): Promise<void> {
    await this.#users.of("DELETE", name, undefined, options);
  }

  setPassword(name: string, password: string, options: CallOptions = {}): Promise<User> {
    return this.#put(name, { password }, options);
  }

  /** Gives roles, which need not exist yet. @throws RefusedError 404, 409 when it has one already. */
  grant(name: string, roles: readonly string[], options: CallOptions = {}): Promise<User> {
    return this.#put(name, { grant: roles }, options);
  }

  /** Takes roles. @throws RefusedError 404, 409 when it does not have one. */
  revoke(name: string, roles: readonly string[], options: CallOptions = {}): Promise<User> {
    return this.#put(name, { revoke: roles }, options);
  }

  async #put(name: string, fields: JsonObject, options: CallOptions): Promise<User> {
    const body = { user: name, roles: null, ...fields };
    return decodeUser(parseObject(await this.#users.of("PUT", name, body, options)));
  }
}

export class RolesApi {
  readonly #roles: Collection;

  constructor(cluster: Cluster) {
    this.#roles = new Collection(cluster, "roles");
  }

  async list(options: CallOptions = {}): Promise<readonly Role[]> {
    const record = await this.#roles.list(options);
    const roles = objectsOf(record, "roles").map(decodeRole);
    if (roles.length > 0) return roles;
    const permissions = { read: [], write: [] };
    return textsOf(record, "roles").map((name) => ({ name, permissions }));
  }

  /** @throws RefusedError 404. */
  async get(name: string, options: CallOptions = {}): Promise<Role> {
    return decodeRole(parseObject(await this.#roles.of("GET", name, undefined, options)));
  }

  /** @throws RefusedError 409 when it is there. */
  async create(
    name: string,
    permissions: Partial<Permissions> = {},
    options: CallOptions = {},
  ): Promise<Role> {
    const body = { role: name, permissions: { kv: kvOf(permissions) } };
    return decodeRole(parseObject(await this.#roles.of("PUT", name, body, options)));
  }

  /** @throws RefusedError 404. */
  async remove(name: string, options: CallOptions = {}): Promise<void> {
    await this.#roles.of("DELETE", name, undefined, options);
  }

  /** @throws RefusedError 404, 409 when it has one already. */
  grant(name: string, more: Partial<Permissions>, options: CallOptions = {}): Promise<Role> {
    return this.#change(name, { grant: { kv: kvOf(more) } }, options);
  }

  /** @throws RefusedError 404. */
  revoke(name: string, less: Partial<Permissions>, options: CallOptions = {}): Promise<Role> {
    return this.#change(name, { revoke: { kv: kvOf(less) } }, options);
  }

  async #change(name: string, change: JsonObject, options: CallOptions): Promise<Role> {
    const body = { role: name, permissions: { kv: kvOf({}) }, ...change };
    return decodeRole(parseObject(await this.#roles.of("PUT", name, body, options)));
  }
}

function kvOf({ read, write }: Partial<Permissions>): JsonObject {
  return { read: read ?? null, write: write ?? null };
}

export class AuthApi {
  readonly users: UsersApi;
  readonly roles: RolesApi;
  readonly #cluster: Cluster;

  constructor(cluster: Cluster) {
    this.#cluster = cluster;
    this.users = new UsersApi(cluster);
    this.roles = new RolesApi(cluster);
  }

  /** Whether authentication is on. */
  async isEnabled(options: CallOptions = {}): Promise<boolean> {
    const answer = await sendAdmin(this.#cluster, "GET", "/v2/auth/enable", undefined, options);
    return flagOf(parseObject(answer.body), "enabled");
  }

  /** @throws RefusedError 409 without a user `root`, or when it is on. */
  async enable(options: CallOptions = {}): Promise<void> {
    await sendAdmin(this.#cluster, "PUT", "/v2/auth/enable", undefined, options);
  }

  /** @throws RefusedError 401, 409 when it is off. */
  async disable(options: CallOptions = {}): Promise<void> {
    await sendAdmin(this.#cluster, "DELETE", "/v2/auth/enable", undefined, options);
  }
}
