/**
 * An OTLP collector for tests: takes spans over gRPC and keeps them. Reads of the protocol what
 * the tests look at, by field number.
 */
import { BinaryReader } from "@bufbuild/protobuf/wire";
import { Server, ServerCredentials, status } from "@grpc/grpc-js";
import type { sendUnaryData, ServerUnaryCall } from "@grpc/grpc-js";

type Value = string | number | boolean | undefined;
type Attributes = Readonly<Record<string, Value>>;

export interface CollectedSpan {
  readonly traceId: string;
  readonly spanId: string;
  /** "" for the first of a trace. */
  readonly parentId: string;
  readonly traceState: string;
  readonly name: string;
  readonly kind: number;
  readonly startNs: bigint;
  readonly endNs: bigint;
  readonly attributes: Attributes;
  readonly events: readonly string[];
  /** 2 is an error. */
  readonly status: number;
  readonly resource: Attributes;
}

type Field = (no: number, reader: BinaryReader) => boolean;

/** Reads one message; `field` returns false for a field it does not want. */
function read(bytes: Uint8Array, field: Field): void {
  const reader = new BinaryReader(bytes);
  while (reader.pos < reader.len) {
    const [no, type] = reader.tag();
    if (!field(no, reader)) reader.skip(type);
  }
}

function readValue(bytes: Uint8Array): Value {
  let value: Value;
  read(bytes, (no, r) => {
    if (no === 1) value = r.string();
    else if (no === 2) value = r.bool();
    else if (no === 3) value = Number(r.int64());
    else if (no === 4) value = r.double();
    else return false;
    return true;
  });
  return value;
}

function readAttribute(bytes: Uint8Array, into: Record<string, Value>): void {
  let key = "";
  let value: Value;
  read(bytes, (no, r) => {
    if (no === 1) key = r.string();
    else if (no === 2) value = readValue(r.bytes());
    else return false;
    return true;
  });
  into[key] = value;
}

function readSpan(bytes: Uint8Array, resource: Attributes): CollectedSpan {
  const attributes: Record<string, Value> = {};
  const events: string[] = [];
  const texts = ["", "", "", "", "", ""];
  const numbers = new Map<number, bigint>();
  let code = 0;
  read(bytes, (no, r) => {
    if (no === 1 || no === 2 || no === 4) texts[no] = Buffer.from(r.bytes()).toString("hex");
    else if (no === 3 || no === 5) texts[no] = r.string();
    else if (no === 6) numbers.set(no, BigInt(r.int32()));
    else if (no === 7 || no === 8) numbers.set(no, BigInt(r.fixed64()));
    else if (no === 9) readAttribute(r.bytes(), attributes);
    else if (no === 11) {
      read(r.bytes(), (eventNo, e) => {
        if (eventNo !== 2) return false;
        events.push(e.string());
        return true;
      });
    } else if (no === 15) {
      read(r.bytes(), (statusNo, s) => {
        if (statusNo !== 3) return false;
        code = s.int32();
        return true;
      });
    } else return false;
    return true;
  });
  const [, traceId = "", spanId = "", traceState = "", parentId = "", name = ""] = texts;
  const number = (no: number): bigint => numbers.get(no) ?? 0n;
  const times = { startNs: number(7), endNs: number(8) };
  const ids = { traceId, spanId, parentId, traceState, name };
  return { ...ids, ...times, kind: Number(number(6)), attributes, events, status: code, resource };
}

function readRequest(bytes: Uint8Array): readonly CollectedSpan[] {
  const spans: CollectedSpan[] = [];
  read(bytes, (no, request) => {
    if (no !== 1) return false;
    const resource: Record<string, Value> = {};
    read(request.bytes(), (part, resourceSpans) => {
      if (part === 1) {
        read(resourceSpans.bytes(), (at, r) => {
          if (at !== 1) return false;
          readAttribute(r.bytes(), resource);
          return true;
        });
      } else if (part === 2) {
        read(resourceSpans.bytes(), (at, scopeSpans) => {
          if (at !== 2) return false;
          spans.push(readSpan(scopeSpans.bytes(), resource));
          return true;
        });
      } else return false;
      return true;
    });
    return true;
  });
  return spans;
}

export class Collector {
  readonly #server = new Server();
  readonly spans: CollectedSpan[] = [];
  /** Refuses everything. */
  isBroken = false;
  address = "";

  static async start(credentials = ServerCredentials.createInsecure()): Promise<Collector> {
    const collector = new Collector();
    await collector.#listen(credentials);
    return collector;
  }

  /** The spans of one trace. */
  trace(traceId: string): readonly CollectedSpan[] {
    return this.spans.filter((span) => span.traceId === traceId);
  }

  stop(): void {
    this.#server.forceShutdown();
  }

  #listen(credentials: ServerCredentials): Promise<void> {
    const bytes = (value: Buffer): Buffer => value;
    const take = (call: ServerUnaryCall<Buffer, Buffer>, done: sendUnaryData<Buffer>): void => {
      if (this.isBroken) {
        done({ code: status.PERMISSION_DENIED, details: "not today" });
        return;
      }
      this.spans.push(...readRequest(call.request));
      done(null, Buffer.alloc(0));
    };
    this.#server.addService(
      {
        export: {
          path: "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
          requestStream: false,
          responseStream: false,
          requestSerialize: bytes,
          requestDeserialize: bytes,
          responseSerialize: bytes,
          responseDeserialize: bytes,
        },
      },
      { export: take },
    );
    return new Promise((resolve, reject) => {
      this.#server.bindAsync("127.0.0.1:0", credentials, (error, port) => {
        this.address = `127.0.0.1:${port}`;
        if (error === null) resolve();
        else reject(error);
      });
    });
  }
}
