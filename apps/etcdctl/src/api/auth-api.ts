/** The requests about users, roles and the switch of authentication. */
import { expectStatus, sendAdmin, sendChange } from "./admin-request.ts";
import type { Action } from "./client.ts";
import { ClientError } from "../errors/errors.ts";
import { cleanPath } from "../text/go-text.ts";
import { answeredMessage } from "./members-api.ts";
import type { Session } from "./session.ts";
import { decodeObject, recordOf, recordsOf, textOf, textsOf } from "./wire.ts";

type Json = Readonly<Record<string, unknown>>;

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
  /** As they are shown: see `decodeUser` for the empty ones. */
  readonly roles: readonly string[];
}

function authPath(...parts: readonly string[]): Action["path"] {
  return (basePath) => cleanPath(`${basePath}/v2/auth/${parts.join("/")}`).replace(/(?<=.)\/$/, "");
}

/**
 * Sends a request; a refusal becomes an error with the server's words.
 * @param look for one that changes something: the command that shows whether it did
 */
async function send(
  session: Session,
  method: string,
  path: Action["path"],
  body: Json | undefined,
  accepted: readonly number[],
  look?: string,
): Promise<Buffer> {
  const action = { method, path, contentType: "application/json" };
  const whole = body === undefined ? action : { ...action, body: JSON.stringify(body) };
  const answer = await (look === undefined
    ? sendAdmin(session, whole)
    : sendChange(session, whole, look));
  if (accepted.includes(answer.status)) return answer.body;
  throw new ClientError(textOf(decodeObject(answer.body), "message"));
}

/**
 * The real server answers with whole roles where etcdctl 2.3.8 expects names; what that
 * client then shows is one empty name for each role before the real ones, and scripts cut it apart.
 */
function decodeUser(record: Json): User {
  const name = textOf(record, "user");
  const names = recordsOf(record, "roles").map((role) => textOf(role, "role"));
  if (names.length === 0) return { name, roles: textsOf(record, "roles") };
  return { name, roles: [...names.map(() => ""), ...names] };
}

function decodeRole(record: Json): Role {
  const kv = recordOf(recordOf(record, "permissions"), "kv");
  return {
    name: textOf(record, "role"),
    permissions: { read: textsOf(kv, "read"), write: textsOf(kv, "write") },
  };
}

/** Names in a list of records or of plain names. */
function listedNames(record: Json, list: string, name: string): readonly string[] {
  const names = recordsOf(record, list).map((item) => textOf(item, name));
  return names.length > 0 ? names : textsOf(record, list);
}

function lookAtUser(name: string): string {
  return `etcdctl user get ${name}`;
}

function lookAtRole(name: string): string {
  return `etcdctl role get ${name}`;
}

export async function listUsers(session: Session): Promise<readonly string[]> {
  const body = await send(session, "GET", authPath("users"), undefined, [200]);
  return listedNames(decodeObject(body), "users", "user");
}

export async function getUser(session: Session, name: string): Promise<User> {
  return decodeUser(
    decodeObject(await send(session, "GET", authPath("users", name), undefined, [200])),
  );
}

/** Whether the server shows such a user to us. */
export async function hasUser(session: Session, name: string): Promise<boolean> {
  try {
    await getUser(session, name);
    return true;
  } catch (error) {
    if (error instanceof ClientError) return false;
    throw error;
  }
}

export async function addUser(session: Session, name: string, password: string): Promise<void> {
  const body = { user: name, password, roles: null };
  await send(session, "PUT", authPath("users", name), body, [200, 201], lookAtUser(name));
}

export async function removeUser(session: Session, name: string): Promise<void> {
  await send(session, "DELETE", authPath("users", name), undefined, [200], lookAtUser(name));
}

/** Grants or revokes roles, or sets the password. */
export async function changeUser(
  session: Session,
  name: string,
  change:
    | { readonly grant: readonly string[] }
    | { readonly revoke: readonly string[] }
    | { readonly password: string },
): Promise<User> {
  const body =
    "password" in change
      ? { user: name, password: change.password, roles: null }
      : { user: name, roles: null, ...change };
  // A password shows only to whoever gives it.
  const look = "password" in change ? `etcdctl --username ${name} ls` : lookAtUser(name);
  const answer = await send(session, "PUT", authPath("users", name), body, [200], look);
  return decodeUser(decodeObject(answer));
}

/** @throws ClientError that names the status, unlike the other requests. */
export async function listRoles(session: Session): Promise<readonly string[]> {
  const answer = await sendAdmin(session, {
    method: "GET",
    path: authPath("roles"),
    contentType: "application/json",
  });
  expectStatus(answer, 200);
  return listedNames(decodeObject(answer.body), "roles", "role");
}

export async function getRole(session: Session, name: string): Promise<Role> {
  return decodeRole(
    decodeObject(await send(session, "GET", authPath("roles", name), undefined, [200])),
  );
}

/** Whether the server shows such a role to us. */
export async function hasRole(session: Session, name: string): Promise<boolean> {
  try {
    await getRole(session, name);
    return true;
  } catch (error) {
    if (error instanceof ClientError) return false;
    throw error;
  }
}

function roleBody(name: string): Json {
  return { role: name, permissions: { kv: { read: null, write: null } } };
}

export async function addRole(session: Session, name: string): Promise<void> {
  const look = lookAtRole(name);
  await send(session, "PUT", authPath("roles", name), roleBody(name), [200, 201], look);
}

export async function removeRole(session: Session, name: string): Promise<void> {
  await send(session, "DELETE", authPath("roles", name), undefined, [200], lookAtRole(name));
}

/** Grants or revokes one path. */
export async function changeRole(
  session: Session,
  name: string,
  change: "grant" | "revoke",
  path: string,
  access: { readonly read: boolean; readonly write: boolean },
): Promise<Role> {
  const kv = { read: access.read ? [path] : null, write: access.write ? [path] : null };
  const body = { ...roleBody(name), [change]: { kv } };
  const look = lookAtRole(name);
  const answer = await send(session, "PUT", authPath("roles", name), body, [200], look);
  return decodeRole(decodeObject(answer));
}

/** Switches authentication on or off. */
export async function switchAuth(session: Session, on: boolean): Promise<void> {
  const action: Action = {
    method: on ? "PUT" : "DELETE",
    path: authPath("enable"),
    contentType: "application/json",
  };
  const answer = await sendChange(session, action, "curl <endpoint>/v2/auth/enable");
  if (answer.status !== 200) throw new ClientError(answeredMessage(answer.body));
}
