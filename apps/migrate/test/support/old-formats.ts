/** Writes what old servers wrote: log records of 0.4, write-ahead logs of 2.x and 3.x, snapshots. */
import { closeSync, mkdirSync, openSync, writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { crc32c } from "../../src/crc32c.ts";
import type { RequestMethod } from "../../src/etcd2/request.ts";

export function varint(value: number | bigint): Buffer {
  const bytes: number[] = [];
  let rest = BigInt.asUintN(64, BigInt(value));
  do {
    const low = Number(rest & 127n);
    rest >>= 7n;
    bytes.push(rest > 0n ? low | 128 : low);
  } while (rest > 0n);
  return Buffer.from(bytes);
}

export function numberField(field: number, value: number | bigint): Buffer {
  return Buffer.concat([varint(field << 3), varint(value)]);
}

export function bytesField(field: number, value: Uint8Array | string): Buffer {
  const bytes = typeof value === "string" ? Buffer.from(value, "utf8") : value;
  return Buffer.concat([varint((field << 3) | 2), varint(bytes.length), bytes]);
}

/** One record of a 0.4 log. */
export function record04(index: number, name: string, command: unknown, term = 0): Buffer {
  const text = command === undefined ? "" : `${JSON.stringify(command)}\n`;
  const body = Buffer.concat([
    numberField(1, index),
    numberField(2, term),
    bytesField(3, name),
    bytesField(4, text),
  ]);
  return Buffer.concat([Buffer.from(`${body.length.toString(16).padStart(8)}\n`), body]);
}

export interface RequestFields {
  readonly method: RequestMethod;
  readonly path?: string;
  readonly value?: string;
  readonly dir?: boolean;
  readonly prevValue?: string;
  readonly prevIndex?: number;
  readonly prevExist?: boolean;
  readonly expirationNs?: bigint;
  readonly timeNs?: bigint;
  readonly recursive?: boolean;
  readonly refresh?: boolean;
}

/** A v2 request as 2.x encodes it. */
export function request(fields: RequestFields): Buffer {
  const flag = (field: number, value: boolean | undefined): Buffer =>
    numberField(field, value === true ? 1 : 0);
  return Buffer.concat([
    numberField(1, 7),
    bytesField(2, fields.method),
    bytesField(3, fields.path ?? ""),
    bytesField(4, fields.value ?? ""),
    flag(5, fields.dir),
    bytesField(6, fields.prevValue ?? ""),
    numberField(7, fields.prevIndex ?? 0),
    ...(fields.prevExist === undefined ? [] : [flag(8, fields.prevExist)]),
    numberField(9, fields.expirationNs ?? 0n),
    flag(10, false),
    numberField(11, 0),
    flag(12, fields.recursive),
    flag(13, false),
    flag(14, false),
    numberField(15, fields.timeNs ?? 0n),
    flag(16, false),
    ...(fields.refresh === undefined ? [] : [flag(17, fields.refresh)]),
  ]);
}

/** A conf change entry's data. */
export function confChange(type: number, id: bigint, context?: unknown): Buffer {
  return Buffer.concat([
    numberField(1, 1),
    numberField(2, type),
    numberField(3, id),
    ...(context === undefined ? [] : [bytesField(4, JSON.stringify(context))]),
  ]);
}

export interface WalWriterOptions {
  readonly directory: string;
  readonly memberId?: bigint;
  readonly clusterId?: bigint;
  /** 3.x: pads records to 8 bytes and makes files this long. */
  readonly preallocateBytes?: number;
  /** rc.1 wrote none. */
  readonly withSnapshotMark?: boolean;
}

/** Writes segments record by record, keeping the checksum chain. */
export class OldWalWriter {
  readonly #options: WalWriterOptions;
  #crc = 0;
  #fd = -1;
  #sequence = -1;
  #buffered: Buffer[] = [];
  #bufferedBytes = 0;
  #written = 0;
  path = "";

  constructor(options: WalWriterOptions) {
    this.#options = options;
    mkdirSync(options.directory, { recursive: true });
    this.cut(0);
    if (options.withSnapshotMark !== false) this.snapshotMark(0, 0);
  }

  /** Begins another segment. */
  cut(firstIndex: number): void {
    this.close();
    this.#sequence++;
    const hex = (value: number): string => value.toString(16).padStart(16, "0");
    this.path = join(this.#options.directory, `${hex(this.#sequence)}-${hex(firstIndex)}.wal`);
    this.#fd = openSync(this.path, "w");
    this.#written = 0;
    this.#record(4, undefined);
    const metadata = [
      numberField(1, this.#options.memberId ?? 0xa1n),
      numberField(2, this.#options.clusterId ?? 0xc1n),
    ];
    this.#record(1, Buffer.concat(metadata));
  }

  entry(index: number, term: number, data: Uint8Array, type = 0): void {
    const fields = [numberField(1, type), numberField(2, term), numberField(3, index)];
    if (data.length > 0) fields.push(bytesField(4, data));
    this.#record(2, Buffer.concat(fields));
  }

  state(term: number, vote: bigint, commit: number): void {
    const fields = [numberField(1, term), numberField(2, vote), numberField(3, commit)];
    this.#record(3, Buffer.concat(fields));
  }

  snapshotMark(index: number, term: number): void {
    this.#record(5, Buffer.concat([numberField(1, index), numberField(2, term)]));
  }

  close(): void {
    if (this.#fd < 0) return;
    this.#flush();
    const size = this.#options.preallocateBytes ?? 0;
    if (this.#written < size) writeSync(this.#fd, Buffer.alloc(1), 0, 1, size - 1);
    closeSync(this.#fd);
    this.#fd = -1;
  }

  #record(type: number, data: Buffer | undefined): void {
    if (data !== undefined) this.#crc = crc32c(data, this.#crc);
    const fields = [numberField(1, type), numberField(2, this.#crc)];
    if (data !== undefined) fields.push(bytesField(3, data));
    const body = Buffer.concat(fields);
    const length = Buffer.alloc(8);
    length.writeUInt32LE(body.length, 0);
    const padding = this.#options.preallocateBytes === undefined ? 0 : (8 - (body.length % 8)) % 8;
    if (padding > 0) length.writeUInt32LE((0x80 | padding) * 2 ** 24, 4);
    this.#push(Buffer.concat([length, body, Buffer.alloc(padding)]));
  }

  #push(bytes: Buffer): void {
    this.#buffered.push(bytes);
    this.#bufferedBytes += bytes.length;
    if (this.#bufferedBytes > 1 << 20) this.#flush();
  }

  #flush(): void {
    const bytes = Buffer.concat(this.#buffered);
    writeSync(this.#fd, bytes);
    this.#written += bytes.length;
    this.#buffered = [];
    this.#bufferedBytes = 0;
  }
}

/** A snapshot file of 2.x. */
export function writeSnapshot2(
  directory: string,
  position: { index: number; term: number },
  voters: readonly bigint[],
  store: unknown,
): string {
  mkdirSync(directory, { recursive: true });
  const conf = Buffer.concat(voters.map((id) => numberField(1, id)));
  const metadata = Buffer.concat([
    bytesField(1, conf),
    numberField(2, position.index),
    numberField(3, position.term),
  ]);
  const data = Buffer.concat([bytesField(1, JSON.stringify(store)), bytesField(2, metadata)]);
  const hex = (value: number): string => value.toString(16).padStart(16, "0");
  const path = join(directory, `${hex(position.term)}-${hex(position.index)}.snap`);
  writeFileSync(path, Buffer.concat([numberField(1, crc32c(data)), bytesField(2, data)]));
  return path;
}
