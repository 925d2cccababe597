/**
 * Third entry point of the package, "@etcd2/raft/testing": storage that exists for tests and for the
 * simulator. No program imports it.
 */
export { MemoryStorage } from "./testing/memory-storage.ts";
export { SimulatedDisk } from "./testing/simulated-disk.ts";
export type { PowerLoss } from "./testing/simulated-file.ts";
export { closeInline, compactInline, createInline, openInline } from "./testing/inline-wal.ts";
