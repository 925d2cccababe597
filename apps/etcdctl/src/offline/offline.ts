/**
 * The part of the program that works on files instead of a server. It brings the store and the log
 * with it, so it is a bundle of its own, loaded only by the commands that need it.
 */
export { backupDirectory } from "./backup.ts";
export { restoreSnapshot } from "./restore.ts";
export { readSnapshotFile } from "./snapshot-file.ts";
export { verifySnapshot } from "@etcd2/store";
