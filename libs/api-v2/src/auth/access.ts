/**
 * Who may do what: the access rules of http-api.md §12 for keys and for administration. Reads
 * users and roles from the auth store, lets passwords be checked, and decides.
 */
import type { ByteString } from "@etcd2/store";
import { JsonDecodeError } from "../json/json-document.ts";
import type { KeyAccess } from "../keys/key-access.ts";
import type { KeyRequest } from "../keys/parse-key-request.ts";
import { GUEST_NAME, ROOT_NAME, roleAllows, type AuthUser } from "./auth-documents.ts";
import type { AuthStore } from "./auth-store.ts";
import { parseBasicAuth } from "./basic-auth.ts";
import type { PasswordChecks } from "./password-checks.ts";

/** Decides by the documents of the store; what cannot be read lets nobody in. */
export class Access implements KeyAccess {
  readonly #store: AuthStore;
  readonly #checks: PasswordChecks;

  constructor(store: AuthStore, checks: PasswordChecks) {
    this.#store = store;
    this.#checks = checks;
  }

  isOpen(): boolean {
    return !this.#store.isEnabled();
  }

  allows(
    authorization: string | undefined,
    key: ByteString,
    request: KeyRequest,
  ): boolean | Promise<boolean> {
    const isWrite = request.method !== "GET" && request.method !== "HEAD";
    if (authorization === undefined || authorization === "") {
      // For guests recursive access follows the ordinary rule.
      const guest = readable(() => this.#store.role(GUEST_NAME));
      return guest !== undefined && roleAllows(guest, key, isWrite, false);
    }
    const user = this.#authenticate(authorization);
    if (!(user instanceof Promise)) return this.#userAllows(user, key, isWrite, request.recursive);
    return user.then((known) => this.#userAllows(known, key, isWrite, request.recursive));
  }

  /** Whether a request may administer: auth is off, or the credentials are those of a root. */
  isAdmin(authorization: string | undefined): boolean | Promise<boolean> {
    if (!this.#store.isEnabled()) return true;
    if (authorization === undefined) return false;
    const user = this.#authenticate(authorization);
    return user instanceof Promise ? user.then(isRoot) : isRoot(user);
  }

  /** Whether a request may see what is for users only: auth is off, or the credentials are valid. */
  isUser(authorization: string | undefined): boolean | Promise<boolean> {
    if (!this.#store.isEnabled()) return true;
    if (authorization === undefined) return false;
    const user = this.#authenticate(authorization);
    return user instanceof Promise ? user.then(isSomebody) : isSomebody(user);
  }

  /** The user whose valid credentials the header holds. */
  #authenticate(authorization: string): AuthUser | undefined | Promise<AuthUser | undefined> {
    const credentials = parseBasicAuth(authorization);
    if (credentials === undefined) return undefined;
    const user = readable(() => this.#store.user(credentials.user));
    if (user === undefined || user.password === "") return undefined;
    const isRight = this.#checks.verify(credentials.user, user.password, credentials.password);
    if (typeof isRight === "boolean") return isRight ? user : undefined;
    return isRight.then((late) => (late ? user : undefined));
  }

  #userAllows(
    user: AuthUser | undefined,
    key: ByteString,
    isWrite: boolean,
    recursive: boolean,
  ): boolean {
    for (const name of user?.roles ?? []) {
      const role = readable(() => this.#store.role(name));
      if (role !== undefined && roleAllows(role, key, isWrite, recursive)) return true;
    }
    return false;
  }
}

function isSomebody(user: AuthUser | undefined): boolean {
  return user !== undefined;
}

function isRoot(user: AuthUser | undefined): boolean {
  return user?.roles?.includes(ROOT_NAME) === true;
}

/** A damaged document counts as none: it must not let anyone in, nor stop the others. */
function readable<Document>(read: () => Document | undefined): Document | undefined {
  try {
    return read();
  } catch (error) {
    if (error instanceof JsonDecodeError) return undefined;
    throw error;
  }
}
