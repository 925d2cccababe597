/** Second entry point of the package: the store on disk, apart so that others load no native code. */
export { RocksKv } from "./kv/rocks-kv.ts";
export type { RocksKvOptions } from "./kv/rocks-kv.ts";
