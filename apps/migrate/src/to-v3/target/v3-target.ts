/** The v3 cluster as the command line names it: endpoints, TLS files, a user. Sends nothing. */
import { readFileSync } from "node:fs";
import type { Credentials } from "@etcd2/v3";
import type { V3ClientOptions } from "@etcd2/v3";
import { MigrateError } from "../../errors.ts";
import { parseEndpoints } from "../../mirror/endpoints.ts";

export interface V3TargetFlags {
  readonly endpoints: string;
  readonly cacert?: string | undefined;
  readonly cert?: string | undefined;
  readonly key?: string | undefined;
  /** "name:password", or "name" with the password in a file. */
  readonly user?: string | undefined;
  readonly passwordFile?: string | undefined;
}

export type V3Target = Pick<V3ClientOptions, "endpoints" | "tls" | "credentials">;

/** @throws MigrateError "usage" */
export function parseTarget(flags: V3TargetFlags): V3Target {
  const { cacert: ca, cert, key } = flags;
  if ((cert === undefined) !== (key === undefined)) {
    throw new MigrateError("usage", "--cert and --key belong together");
  }
  const { urls, authorization, tls } = parseEndpoints(flags.endpoints, { ca, cert, key });
  if (authorization !== undefined) {
    throw new MigrateError("usage", "name the user with --user, not in --endpoints");
  }
  const endpoints = urls.map(({ scheme, host }) => `${scheme}://${host}`);
  return { endpoints, tls, credentials: parseUser(flags) };
}

function parseUser({ user, passwordFile }: V3TargetFlags): Credentials | undefined {
  if (user === undefined) {
    if (passwordFile === undefined) return undefined;
    throw new MigrateError("usage", "--password-file needs --user");
  }
  if (passwordFile !== undefined) {
    try {
      const password = readFileSync(passwordFile, "utf8").replace(/\r?\n$/, "");
      return { user, password };
    } catch (cause) {
      throw new MigrateError("usage", "cannot be read", { file: passwordFile, cause });
    }
  }
  const colon = user.indexOf(":");
  if (colon < 0) {
    throw new MigrateError("usage", "--user must be name:password, or come with --password-file");
  }
  return { user: user.slice(0, colon), password: user.slice(colon + 1) };
}
