/** Peer URLs given on the command line: the checks of etcdctl 2.3.8, in its order and words. */
import { AddressError, checkedUrls } from "@etcd2/net-url";
import { refuse } from "../admin-command.ts";

/** The URLs, sorted. @throws Failure for the first that is none. */
export function parsePeerUrls(texts: readonly string[]): readonly string[] {
  try {
    return checkedUrls(texts).map(({ text }) => text);
  } catch (error) {
    if (error instanceof AddressError) throw refuse(error.message);
    throw error;
  }
}
