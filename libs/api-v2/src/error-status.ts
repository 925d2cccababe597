/** Error code of the v2 API to HTTP status. Knows no texts and no bodies. */
import type { ErrorCode } from "@etcd2/store";

/** The status an error is answered with. */
export function errorStatus(code: ErrorCode): number {
  switch (code) {
    case 100:
      return 404;
    case 102:
    case 108:
      return 403;
    case 101:
    case 105:
      return 412;
    case 110:
      return 401;
    case 300:
    case 301:
      return 500;
    default:
      return 400;
  }
}
