/**
 * The operations of /v2/auth on users, roles and the flag, with etcd 2.3.8's checks in their
 * order. Knows no HTTP but the status of a refusal.
 */
import { EtcdError, type ByteString } from "@etcd2/store";
import type { PasswordHasher } from "../ports/ports.ts";
import {
  AuthRefusal,
  changeRole,
  changeUser,
  GUEST_NAME,
  GUEST_ROLE,
  hasNoPermissions,
  ROOT_NAME,
  roleText,
  userText,
  withRootRole,
  type AuthRole,
  type AuthUser,
  type UserRequest,
} from "./auth-documents.ts";
import type { AuthStore } from "./auth-store.ts";

/** A document that was written, and whether it is answered with 201. */
export interface Written<Document> {
  readonly document: Document;
  readonly isNew: boolean;
}

/** Changes users, roles and the flag; refusals are AuthRefusals, failed writes EtcdErrors. */
export class AuthAdmin {
  readonly #store: AuthStore;
  readonly #hasher: PasswordHasher;

  constructor(store: AuthStore, hasher: PasswordHasher) {
    this.#store = store;
    this.#hasher = hasher;
  }

  /** @throws AuthRefusal */
  async enable(): Promise<void> {
    if (this.#store.isEnabled()) throw new AuthRefusal(409, "auth: already enabled");
    if (this.#store.user(ROOT_NAME) === undefined) {
      throw new AuthRefusal(409, "auth: No root user available, please create one");
    }
    if (this.#store.role(GUEST_NAME) === undefined) {
      await this.#store.putRole("create", GUEST_NAME, roleText(GUEST_ROLE));
    }
    await this.#store.setEnabled(true);
  }

  /** @throws AuthRefusal */
  async disable(): Promise<void> {
    if (!this.#store.isEnabled()) throw new AuthRefusal(409, "auth: already disabled");
    await this.#store.setEnabled(false);
  }

  /** @throws AuthRefusal 404 */
  user(name: ByteString): AuthUser {
    const user = this.#store.user(name);
    if (user === undefined) throw new AuthRefusal(404, `auth: User ${name} does not exist.`);
    return user;
  }

  /** @throws AuthRefusal 404 */
  role(name: ByteString): AuthRole {
    const role = this.#store.role(name);
    if (role === undefined) throw new AuthRefusal(404, `auth: Role ${name} does not exist.`);
    return role;
  }

  /** Creates or changes, whichever the request is about. @throws AuthRefusal */
  async putUser(request: UserRequest): Promise<Written<AuthUser>> {
    const changesRoles = request.grant.length > 0 || request.revoke.length > 0;
    const namesRoles = (request.roles ?? []).length > 0;
    if (changesRoles) {
      if (namesRoles) throw new AuthRefusal(400, "User JSON contains both roles and grant/revoke");
      return { document: await this.#updateUser(request), isNew: false };
    }
    if (namesRoles) return { document: await this.#createUser(request), isNew: false };
    if (this.#store.user(request.user) !== undefined) {
      return { document: await this.#updateUser(request), isNew: false };
    }
    return { document: await this.#createUser(request), isNew: true };
  }

  async #createUser(request: UserRequest): Promise<AuthUser> {
    const { user, password, roles } = withRootRole(request);
    if (password === "") {
      throw new AuthRefusal(400, `auth: Cannot create user ${user} with an empty password`);
    }
    const created = { user, password: await this.#hash(password), roles };
    await refuse(this.#store.putUser("create", user, userText(created)), {
      105: [409, `auth: User ${user} already exists.`],
    });
    return created;
  }

  async #updateUser(request: UserRequest): Promise<AuthUser> {
    const old = this.user(request.user);
    const password = request.password === "" ? old.password : await this.#hash(request.password);
    const changed = changeUser(old, request, password);
    const text = userText(changed);
    if (text === userText(old)) {
      const hint = "Use grant/revoke/password to update the user.";
      throw new AuthRefusal(400, `auth: User not updated. ${hint}`);
    }
    await this.#store.putUser("update", changed.user, text);
    return changed;
  }

  /** Creates or changes, whichever the request is about. @throws AuthRefusal */
  async putRole(request: AuthRole): Promise<Written<AuthRole>> {
    const { role: name } = request;
    const isCreate = hasNoPermissions(request.grant) && hasNoPermissions(request.revoke);
    if (!isCreate && !hasNoPermissions(request.permissions)) {
      throw new AuthRefusal(400, "Role JSON contains both permissions and grant/revoke");
    }
    refuseRootRole(name);
    if (isCreate) {
      await refuse(this.#store.putRole("create", name, roleText(request)), {
        105: [409, `auth: Role ${name} already exists.`],
      });
      return { document: request, isNew: true };
    }
    const old = this.role(name);
    const changed = changeRole(old, request);
    const text = roleText(changed);
    if (text === roleText(old)) {
      throw new AuthRefusal(400, "auth: Role not updated. Use grant/revoke to update the role.");
    }
    await this.#store.putRole("update", name, text);
    return { document: changed, isNew: false };
  }

  /** @throws AuthRefusal */
  async deleteUser(name: ByteString): Promise<void> {
    if (this.#store.isEnabled() && name === ROOT_NAME) {
      throw new AuthRefusal(403, "auth: Cannot delete root user while auth is enabled.");
    }
    await refuse(this.#store.deleteUser(name), { 100: [404, `auth: User ${name} does not exist`] });
  }

  /** @throws AuthRefusal */
  async deleteRole(name: ByteString): Promise<void> {
    refuseRootRole(name);
    await refuse(this.#store.deleteRole(name), { 100: [404, `auth: Role ${name} doesn't exist.`] });
  }

  async #hash(password: ByteString): Promise<ByteString> {
    return this.#hasher.hash(Buffer.from(password, "latin1"));
  }
}

function refuseRootRole(name: ByteString): void {
  if (name !== ROOT_NAME) return;
  throw new AuthRefusal(403, `auth: Cannot modify role ${name}: is root role.`);
}

/** Waits for a write and turns errors of the store named in the table into refusals. */
async function refuse(
  change: Promise<void>,
  table: Readonly<Record<number, readonly [status: number, message: ByteString]>>,
): Promise<void> {
  try {
    await change;
  } catch (error) {
    const refusal = error instanceof EtcdError ? table[error.code] : undefined;
    if (refusal === undefined) throw error;
    throw new AuthRefusal(...refusal);
  }
}
