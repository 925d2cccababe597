/** The Authorization header of HTTP basic authentication. Knows nothing of users. */
import type { ByteString } from "@etcd2/store";

/** What a Basic header holds, as byte strings. */
export interface Credentials {
  readonly user: ByteString;
  readonly password: ByteString;
}

const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;

/** Credentials of a header; undefined when it is malformed or of another scheme. */
export function parseBasicAuth(header: string): Credentials | undefined {
  if (header.slice(0, 6).toLowerCase() !== "basic ") return undefined;
  const encoded = header.slice(6);
  if (!BASE64.test(encoded)) return undefined;
  const decoded = Buffer.from(encoded, "base64").toString("latin1");
  const colon = decoded.indexOf(":");
  if (colon < 0) return undefined;
  return { user: decoded.slice(0, colon), password: decoded.slice(colon + 1) };
}
