/** What the keys routes ask of auth: may this request be carried out? */
import type { ByteString } from "@etcd2/store";
import type { KeyRequest } from "./parse-key-request.ts";

/** The port; Access implements it. */
export interface KeyAccess {
  /**
   * Whether auth is off, so that everyone may do everything. Counts as the read of the auth flag
   * that every keys request makes.
   */
  isOpen(): boolean;
  /**
   * Judges a request while auth is on. `key` is the decoded path below /v2/keys with its final
   * slash. Answers at once where it can.
   */
  allows(
    authorization: string | undefined,
    key: ByteString,
    request: KeyRequest,
  ): boolean | Promise<boolean>;
}
