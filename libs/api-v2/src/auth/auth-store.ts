/**
 * Users, roles and the flag where they are kept: below /2 of the store. Reads are cached until
 * anything there changes; writes go through the log like every other. Decides nothing.
 */
import {
  EtcdError,
  writeCommand,
  type ByteString,
  type StoreEvent,
  type WriteCommand,
} from "@etcd2/store";
import { JsonDecodeError, JsonDocument } from "../json/json-document.ts";
import { AUTH_DOCUMENTS_MAX } from "../ports/limits.ts";
import type { KeysServer } from "../ports/ports.ts";
import {
  readRole,
  readUser,
  ROOT_NAME,
  ROOT_ROLE,
  withRootRole,
  type AuthRole,
  type AuthUser,
} from "./auth-documents.ts";

const FLAG = "/2/enabled";
const USERS = "/2/users";
const ROLES = "/2/roles";

/** Whether auth data exists at all, and whether auth is on; what cannot be read counts as on. */
type Flag = "missing" | "off" | "on" | "damaged";

/** Users, roles and the flag as the replicated store has them, kept while nothing there changes. */
export class AuthStore {
  readonly #server: KeysServer;
  #generation: number | undefined;
  #flag: Flag = "missing";
  readonly #users = new Map<ByteString, AuthUser | undefined>();
  readonly #roles = new Map<ByteString, AuthRole | undefined>();

  constructor(server: KeysServer) {
    this.#server = server;
  }

  /** Reads the flag, which counts as a read of the store. */
  isEnabled(): boolean {
    this.#refresh();
    const { stats } = this.#server.reader;
    if (this.#flag === "missing") stats.getsFail++;
    else stats.getsSuccess++;
    return this.#isOn;
  }

  get #isOn(): boolean {
    return this.#flag === "on" || this.#flag === "damaged";
  }

  /** The same without counting: for the server's own purposes. */
  peekEnabled(): boolean {
    this.#refresh();
    return this.#isOn;
  }

  user(name: ByteString): AuthUser | undefined {
    return this.#cached(this.#users, name, USERS, (text) => parseUser(name, text));
  }

  role(name: ByteString): AuthRole | undefined {
    if (name === ROOT_NAME) return ROOT_ROLE;
    return this.#cached(this.#roles, name, ROLES, (text) => parseRole(name, text));
  }

  /** Names of all users, sorted; those beginning with an underscore are hidden. */
  userNames(): ByteString[] {
    return this.#names(USERS).sort();
  }

  /** Names of all roles with the built-in one, sorted. */
  roleNames(): ByteString[] {
    return [...this.#names(ROLES), ROOT_NAME].sort();
  }

  /** @throws EtcdError 105 when creating what exists, 100 when updating what does not. */
  async putUser(action: "create" | "update", name: ByteString, text: ByteString): Promise<void> {
    await this.#change(writeCommand({ action, path: `${USERS}/${name}`, value: text }));
  }

  /** @throws EtcdError as putUser. */
  async putRole(action: "create" | "update", name: ByteString, text: ByteString): Promise<void> {
    await this.#change(writeCommand({ action, path: `${ROLES}/${name}`, value: text }));
  }

  /** @throws EtcdError 100 */
  async deleteUser(name: ByteString): Promise<void> {
    await this.#change(writeCommand({ action: "delete", path: `${USERS}/${name}` }));
  }

  /** @throws EtcdError 100 */
  async deleteRole(name: ByteString): Promise<void> {
    await this.#change(writeCommand({ action: "delete", path: `${ROLES}/${name}` }));
  }

  async setEnabled(enabled: boolean): Promise<void> {
    await this.#change(writeCommand({ action: "update", path: FLAG, value: String(enabled) }));
  }

  /** Drops what is cached when anything below /2 may have changed. */
  #refresh(): void {
    const generation = this.#server.authGeneration;
    if (generation === this.#generation) return;
    this.#generation = generation;
    this.#users.clear();
    this.#roles.clear();
    this.#flag = this.#readFlag();
    if (this.#flag === "damaged") {
      const advice = "requests need credentials until root switches it off, and on again";
      this.#server.log.error(`the record of whether authentication is on is damaged: ${advice}`);
    }
  }

  #readFlag(): Flag {
    const { reader } = this.#server;
    const node = reader.peek(FLAG);
    // The flag is made before the first user can be.
    if (node === undefined) return reader.peekChildren(USERS).length > 0 ? "damaged" : "missing";
    if (node.value === "true") return "on";
    return node.value === "false" ? "off" : "damaged";
  }

  #cached<Document>(
    cache: Map<ByteString, Document | undefined>,
    name: ByteString,
    directory: string,
    parse: (text: ByteString) => Document,
  ): Document | undefined {
    this.#refresh();
    const { reader } = this.#server;
    let document = cache.get(name);
    if (document === undefined && !cache.has(name)) {
      // A name is one path element; anything else would reach other nodes.
      const value = isElement(name) ? reader.peek(`${directory}/${name}`)?.value : undefined;
      document = value === undefined ? undefined : parse(value);
      if (cache.size >= AUTH_DOCUMENTS_MAX) cache.clear();
      cache.set(name, document);
    }
    if (document === undefined) reader.stats.getsFail++;
    else reader.stats.getsSuccess++;
    return document;
  }

  #names(directory: string): ByteString[] {
    const { reader } = this.#server;
    const children = reader.peekChildren(directory);
    if (this.#flag === "missing") reader.stats.getsFail++;
    else reader.stats.getsSuccess++;
    return children
      .map((child) => child.key.slice(directory.length + 1))
      .filter((name) => !name.startsWith("_"));
  }

  async #change(command: WriteCommand): Promise<void> {
    await this.#ensureDirectories();
    await this.#propose(command);
  }

  /** The first change ever in a cluster makes the places for all of them. */
  async #ensureDirectories(): Promise<void> {
    if (this.#server.reader.peek(FLAG) !== undefined) return;
    const action = "create";
    const directories = ["/2", USERS, ROLES].map((path) =>
      writeCommand({ action, path, dir: true }),
    );
    const flag = writeCommand({ action, path: FLAG, value: "false" });
    for (const command of [...directories, flag]) {
      try {
        await this.#propose(command);
      } catch (error) {
        if (!(error instanceof EtcdError && error.code === 105)) throw error;
      }
    }
  }

  #propose(command: WriteCommand): Promise<StoreEvent> {
    return new Promise((resolve, reject) => {
      this.#server.propose(command, (result) => {
        if (result instanceof EtcdError) reject(result);
        else resolve(result.event);
      });
    });
  }
}

function isElement(name: ByteString): boolean {
  return name !== "" && name !== "." && name !== ".." && !name.includes("/");
}

/** A document that is about somebody else must not make this one root. */
function requireName(expected: ByteString, found: ByteString): void {
  if (found !== expected) throw new JsonDecodeError(`the document of ${expected} names ${found}`);
}

function parseUser(name: ByteString, text: ByteString): AuthUser {
  const { user, password, roles } = readUser(JsonDocument.parse(text, "refused"));
  requireName(name, user);
  return withRootRole({ user, password, roles });
}

function parseRole(name: ByteString, text: ByteString): AuthRole {
  const role = readRole(JsonDocument.parse(text, "refused"));
  requireName(name, role.role);
  return role;
}

/** Makes a way to ask whether authentication is on, for those who start what it needs. */
export function authWatch(server: KeysServer): () => boolean {
  const store = new AuthStore(server);
  return () => store.peekEnabled();
}
