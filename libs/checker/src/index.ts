/** Checks of what a cluster did, on the simulator and on real processes alike. For tests only. */
export { checkHistory, checkPartition } from "./linearizability.ts";
export type { Model, Operation } from "./linearizability.ts";
export { parseJepsenLog } from "./jepsen-log.ts";
export { registerModel } from "./register.ts";
export type { RegisterInput, RegisterOutput } from "./register.ts";
export { isSameNode, KnownHistory } from "./events.ts";
export type { KnownEvent, KnownNode } from "./events.ts";
export { checkOperations } from "./operations.ts";
export type { ClientOperation, Condition, OperationOutcome } from "./operations.ts";
export { checkWatch, concerns } from "./watches.ts";
export type { ToldEvent, WatchRecord, WatchStep } from "./watches.ts";
export { checkLives } from "./lives.ts";
export type { GrantedLife } from "./lives.ts";
