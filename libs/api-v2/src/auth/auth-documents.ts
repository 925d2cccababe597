/**
 * Users and roles as documents: read from JSON, changed, and written as JSON the way etcd 2.3.8
 * stores and shows them. Pure; knows neither the store nor HTTP.
 */
import type { ByteString } from "@etcd2/store";
import type { JsonDocument } from "../json/json-document.ts";
import { jsonString } from "../json/json-text.ts";
import { GRANTS_MAX } from "../ports/limits.ts";

/** `null` where etcd 2.3.8 keeps a list that was never given. */
export type NameList = readonly ByteString[] | null;

/** A user, as stored or as a request describes it. */
export interface AuthUser {
  readonly user: ByteString;
  /** A bcrypt hash when stored, the plain password in requests; "" when absent. */
  readonly password: ByteString;
  readonly roles: NameList;
}

/** What a request to change a user says. */
export interface UserRequest extends AuthUser {
  readonly grant: readonly ByteString[];
  readonly revoke: readonly ByteString[];
}

/** What a role may do with keys. */
export interface Permissions {
  readonly read: NameList;
  readonly write: NameList;
}

/** A role; `grant` and `revoke` are kept when a role was created with empty ones. */
export interface AuthRole {
  readonly role: ByteString;
  readonly permissions: Permissions;
  readonly grant: Permissions | undefined;
  readonly revoke: Permissions | undefined;
}

/** The user and the role that may do everything. */
export const ROOT_NAME = "root";
/** The role of requests without credentials. */
export const GUEST_NAME = "guest";

const EVERYTHING: Permissions = { read: ["/*"], write: ["/*"] };

function builtInRole(role: string): AuthRole {
  return { role, permissions: EVERYTHING, grant: undefined, revoke: undefined };
}

/** The role that may do everything; never stored. */
export const ROOT_ROLE = builtInRole(ROOT_NAME);
/** The role made when auth is enabled and nobody has said what guests may do. */
export const GUEST_ROLE = builtInRole(GUEST_NAME);

/** A request of the API is refused with this status and text. */
export class AuthRefusal extends Error {
  override readonly name = "AuthRefusal";
  readonly status: number;
  constructor(status: number, message: ByteString, options?: ErrorOptions) {
    super(message, options);
    this.status = status;
  }
}

/** @throws JsonDecodeError when a field has the wrong type. */
export function readUser(document: JsonDocument): UserRequest {
  return {
    user: document.string("user"),
    password: document.string("password"),
    roles: document.strings("roles") ?? null,
    grant: document.strings("grant") ?? [],
    revoke: document.strings("revoke") ?? [],
  };
}

/** @throws JsonDecodeError when a field has the wrong type. */
export function readRole(document: JsonDocument): AuthRole {
  const grant = document.object("grant");
  const revoke = document.object("revoke");
  return {
    role: document.string("role"),
    permissions: readPermissions(document.object("permissions")),
    grant: grant === undefined ? undefined : readPermissions(grant),
    revoke: revoke === undefined ? undefined : readPermissions(revoke),
  };
}

function readPermissions(document: JsonDocument | undefined): Permissions {
  const kv = document?.object("kv");
  return { read: kv?.strings("read") ?? null, write: kv?.strings("write") ?? null };
}

/** The document as stored; without a password as shown. */
export function userText({ user, password, roles }: AuthUser): ByteString {
  const hash = password === "" ? "" : `,"password":${jsonString(password)}`;
  return `{"user":${jsonString(user)}${hash},"roles":${listText(roles)}}`;
}

/** The document as stored and shown. */
export function roleText(role: AuthRole): ByteString {
  const grant = role.grant === undefined ? "" : `,"grant":${permissionsText(role.grant)}`;
  const revoke = role.revoke === undefined ? "" : `,"revoke":${permissionsText(role.revoke)}`;
  const permissions = permissionsText(role.permissions);
  return `{"role":${jsonString(role.role)},"permissions":${permissions}${grant}${revoke}}`;
}

function permissionsText({ read, write }: Permissions): ByteString {
  return `{"kv":{"read":${listText(read)},"write":${listText(write)}}}`;
}

function listText(list: NameList): ByteString {
  return list === null ? "null" : `[${list.map(jsonString).join(",")}]`;
}

/** Whether nothing at all is permitted. */
export function hasNoPermissions(permissions: Permissions | undefined): boolean {
  return (permissions?.read ?? []).length === 0 && (permissions?.write ?? []).length === 0;
}

/** The user named root always has the role of the same name. */
export function withRootRole<User extends AuthUser>(user: User): User {
  if (user.user !== ROOT_NAME || user.roles?.includes(ROOT_NAME) === true) return user;
  return { ...user, roles: [...(user.roles ?? []), ROOT_NAME] };
}

/**
 * The user after grants, then revocations. `password` is the new hash or the old one.
 * @throws AuthRefusal for a role already held, or not held.
 */
export function changeUser(old: AuthUser, change: UserRequest, password: ByteString): AuthUser {
  const roles = new Set(old.roles);
  const { user } = change;
  for (const role of change.grant) {
    if (roles.has(role)) {
      throw new AuthRefusal(409, `auth: Granting duplicate role ${role} for user ${user}`);
    }
    roles.add(role);
  }
  checkGrants(roles, old.roles, "roles");
  for (const role of change.revoke) {
    if (!roles.delete(role)) {
      throw new AuthRefusal(409, `auth: Revoking ungranted role ${role} for user ${user}`);
    }
  }
  return { user: old.user, password, roles: [...roles].sort() };
}

/**
 * The role after grants, then revocations.
 * @throws AuthRefusal for a pattern already held.
 */
export function changeRole(old: AuthRole, change: AuthRole): AuthRole {
  let { permissions } = old;
  if (change.grant !== undefined) {
    permissions = {
      read: granted("read", permissions.read, change.grant.read),
      write: granted("write", permissions.write, change.grant.write),
    };
  }
  if (change.revoke !== undefined) {
    permissions = {
      read: revoked(permissions.read, change.revoke.read),
      write: revoked(permissions.write, change.revoke.write),
    };
  }
  return { role: old.role, permissions, grant: undefined, revoke: undefined };
}

function granted(kind: string, held: NameList, more: NameList): NameList {
  const patterns = new Set(held);
  for (const pattern of more ?? []) {
    if (patterns.has(pattern)) {
      throw new AuthRefusal(409, `auth: Granting duplicate ${kind} permission ${pattern}`);
    }
    patterns.add(pattern);
  }
  checkGrants(patterns, held, `${kind} permissions`);
  return [...patterns].sort();
}

/** Grants, one request after the other, must not make a document that is slow to read. */
function checkGrants(names: ReadonlySet<ByteString>, held: NameList, what: string): void {
  if (names.size <= GRANTS_MAX || names.size <= (held?.length ?? 0)) return;
  throw new AuthRefusal(400, `auth: More than ${GRANTS_MAX} ${what}`);
}

function revoked(held: NameList, less: NameList): NameList {
  const patterns = new Set(held);
  for (const pattern of less ?? []) patterns.delete(pattern);
  return [...patterns].sort();
}

/** Whether the role lets a key be read or written. Recursive access needs a wildcard. */
export function roleAllows(
  role: AuthRole,
  key: ByteString,
  isWrite: boolean,
  recursive: boolean,
): boolean {
  if (role.role === ROOT_NAME) return true;
  const patterns = isWrite ? role.permissions.write : role.permissions.read;
  return patterns?.some((pattern) => matches(pattern, key, recursive)) === true;
}

/** A final `*` stands for any rest; there are no other wildcards. */
function matches(pattern: ByteString, key: ByteString, recursive: boolean): boolean {
  if (pattern.endsWith("*")) return key.startsWith(pattern.slice(0, -1));
  return !recursive && pattern !== "" && pattern === key;
}
