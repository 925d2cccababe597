/** Error code of the v2 API to HTTP status. Knows no texts and no bodies. */
import type { ErrorCode } from "@etcd2/store";

const STATUSES: Readonly<Partial<Record<ErrorCode, number>>> = {
  100: 404,
  101: 412,
  102: 403,
  105: 412,
  108: 403,
  110: 401,
  300: 500,
  301: 500,
  310: 507,
};

/** The status an error is answered with. */
export function errorStatus(code: ErrorCode): number {
  return STATUSES[code] ?? 400;
}
