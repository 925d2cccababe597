/**
 * Third entry point of the package, "@etcd2/store/testing": storage that exists for simulations,
 * and the store said simply, to compare with. No program imports it.
 */
export { LogKv } from "./testing/log-kv.ts";
export { NaiveModel } from "./testing/naive-model.ts";
export type { ModelClock, ModelEvent, ModelOutcome } from "./testing/naive-model.ts";
