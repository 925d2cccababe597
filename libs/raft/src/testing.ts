/**
 * Third entry point of the package, "@etcd2/raft/testing": storage that exists for tests and for the
 * simulator. No program imports it.
 */
export { MemoryStorage } from "./testing/memory-storage.ts";
export { SimulatedDisk } from "./testing/simulated-disk.ts";
export { SimulatedFile } from "./testing/simulated-file.ts";
export type { PowerLoss } from "./testing/simulated-file.ts";
export { closeInline, compactInline, createInline, openInline } from "./testing/inline-wal.ts";
export { decodeStreamFrame, encodeBatchFrame, encodeHelloFrame } from "./codec/frames.ts";
export type { Hello } from "./codec/frames.ts";
export { refuseAnswer, refuseHello, removedRefusal } from "./transport/refusal.ts";
export type { Refusal } from "./transport/refusal.ts";
