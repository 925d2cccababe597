/** Writing users and roles to a v3 cluster. What exists already stays; nothing is taken away. */
import { fromByteString } from "@etcd2/store";
import { randomBytes } from "node:crypto";
import { Permission_Type } from "@etcd2/proto/v3/cluster";
import { methods, V3Error } from "@etcd2/v3";
import type { V3Client } from "@etcd2/v3";
import type { Access, V3Auth, V3Permission } from "../mapping/auth-map.ts";
import type { V3Writer } from "./v3-writer.ts";

const ACCESS: Readonly<Record<Access, Permission_Type>> = {
  read: Permission_Type.READ_UNSPECIFIED,
  write: Permission_Type.WRITE,
  readwrite: Permission_Type.READWRITE,
};

/** @returns What could not be carried over, in sentences. @throws MigrateError */
export async function carryAuth(
  auth: V3Auth,
  client: V3Client,
  writer: V3Writer,
): Promise<readonly string[]> {
  const losses: string[] = [];
  const attempt = async (what: string, make: () => Promise<unknown>): Promise<void> => {
    try {
      await writer.call(async () => {
        try {
          await make();
        } catch (error) {
          if (error instanceof V3Error && isThere(error)) return;
          throw error;
        }
      });
    } catch (error) {
      const cause = error instanceof Error ? error.cause : undefined;
      if (!(cause instanceof V3Error) || cause.code === "unavailable") throw error;
      losses.push(`${what}: the v3 cluster answers "${cause.message}"`);
    }
  };
  for (const { name, permissions } of auth.roles) {
    const role = fromByteString(name);
    await attempt(`role ${role}`, () => client.call(methods.roleAdd, { name: role }));
    for (const permission of permissions) {
      await attempt(`a permission of role ${role}`, () => grant(client, role, permission));
    }
  }
  for (const { name, roles } of auth.users) {
    const user = fromByteString(name);
    // A user made without a password could never be given one; this one nobody knows.
    const request = { name: user, password: randomBytes(32).toString("base64url") };
    await attempt(`user ${user}`, () => client.call(methods.userAdd, request));
    for (const held of roles) {
      const role = fromByteString(held);
      await attempt(`role ${role} of user ${user}`, () =>
        client.call(methods.userGrantRole, { user, role }),
      );
    }
  }
  return losses;
}

function grant(
  client: V3Client,
  name: string,
  { access, key, rangeEnd }: V3Permission,
): Promise<unknown> {
  const perm = {
    permType: ACCESS[access],
    key: Buffer.from(key, "latin1"),
    rangeEnd: Buffer.from(rangeEnd, "latin1"),
  };
  return client.call(methods.roleGrantPermission, { name, perm });
}

function isThere({ message }: V3Error): boolean {
  return message.includes("already exists") || message.includes("already has");
}
