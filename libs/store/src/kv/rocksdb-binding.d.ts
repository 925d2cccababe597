/** The part of the RocksDB binding that rocks-kv.ts uses: its synchronous calls are not typed. */
declare module "@nxtedition/rocksdb" {
  interface RocksIterator {
    _nextvSync(
      rowsMax: number,
      options: object,
    ): { readonly rows: Uint8Array[]; readonly finished: boolean };
    _seekSync(key: Uint8Array): void;
    _closeSync(): void;
  }
  interface RocksBatch {
    readonly length: number;
    _put(key: Uint8Array, value: Uint8Array, options: object): void;
    _del(key: Uint8Array, options: object): void;
    _clear(): void;
    _closeSync(): void;
    _writeSync(options: { readonly sync: boolean }): void;
  }
  export class RocksLevel {
    constructor(location: string | bigint | object, options: object);
    open(options?: object): Promise<void>;
    _open(options: object, callback: (error?: Error | null) => void): void;
    close(): Promise<void>;
    readonly status: string;
    readonly handle: bigint;
    getProperty(name: string): string;
    _getManySync(keys: readonly Uint8Array[], options: object): (Uint8Array | undefined | null)[];
    detachResource(resource: object): void;
    _chainedBatch(): RocksBatch;
    _iterator(options: object): RocksIterator;
  }
}
