/**
 * The part of the program that works on files instead of a server. It brings the store and the log
 * with it, so it is a bundle of its own, loaded only by the commands that need it.
 */
export { backupDirectory } from "./offline/backup.ts";
export { restoreSnapshot } from "./offline/restore.ts";
export { readSnapshotFile } from "./offline/snapshot-file.ts";
export { verifySnapshot } from "@etcd2/store";
