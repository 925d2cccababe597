/** Builders for the writes of a replay, so that each call names only what it sets. */
import type { WriteAction } from "@etcd2/store";
import { nanosToMs } from "../io/go-time.ts";
import type { ReplayWrite } from "./replay-store.ts";

export interface WriteOptions {
  readonly value?: string;
  readonly dir?: boolean;
  readonly recursive?: boolean;
  readonly prevValue?: string;
  readonly prevIndex?: number;
  readonly refresh?: boolean;
  readonly expirationNs?: bigint | undefined;
}

/** A write with everything not named at its zero value. */
export function write(action: WriteAction, path: string, options: WriteOptions = {}): ReplayWrite {
  const { expirationNs } = options;
  const expirationMs = expirationNs === undefined ? undefined : nanosToMs(expirationNs);
  return {
    action,
    path,
    value: options.value ?? "",
    dir: options.dir ?? false,
    recursive: options.recursive ?? false,
    prevValue: options.prevValue ?? "",
    prevIndex: options.prevIndex ?? 0,
    refresh: options.refresh ?? false,
    expirationMs,
    ttlMs: undefined,
    expirationNs,
  };
}
