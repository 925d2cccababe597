/**
 * Failures of the v3 cluster as answers of v2. A write whose outcome nobody knows gets the words that
 * 2.3.8 has for a lost proposal: the client must look before it tries again.
 */
import { EtcdError } from "@etcd2/store";
import { V3Error } from "../client/v3-error.ts";

const LOST = "etcdserver: request timed out, possibly due to connection lost";

/** The last write before the space came to an end is carried out and refused all the same. */
const NO_SPACE =
  "etcdserver: mvcc: database space exceeded; a write may have been carried out all the same";

/** What of a v3 cluster's refusal is about who asks. */
function isRefusal({ code, message }: V3Error): boolean {
  if (code === "permissionDenied" || code === "unauthenticated") return true;
  return code === "invalidArgument" && /authentication failed|user name is empty/.test(message);
}

function isTooLarge({ code, message }: V3Error): boolean {
  if (message.includes("request is too large")) return true;
  return code === "resourceExhausted" && message.includes("larger than max");
}

/** @param index Revision to show, 0 where none is known. */
export function asEtcdError(error: unknown, index: number): EtcdError {
  if (error instanceof EtcdError) return error;
  if (!(error instanceof V3Error)) throw error;
  const { code, message } = error;
  if (isRefusal(error)) return new EtcdError(110, "Insufficient credentials", 0);
  if (isTooLarge(error)) return new EtcdError(209, "etcdserver: request is too large", index);
  if (error.isNoSpace) return new EtcdError(310, NO_SPACE, index);
  if (error.isCompacted) {
    return new EtcdError(401, "the requested history has been cleared", index);
  }
  if (message.startsWith("etcdserver: ")) return new EtcdError(300, message, 0);
  if (error.mayHaveHappened) {
    return new EtcdError(300, code === "cancelled" ? "etcdserver: request cancelled" : LOST, 0);
  }
  return new EtcdError(300, `etcdserver: not carried out: ${message}`, 0);
}
