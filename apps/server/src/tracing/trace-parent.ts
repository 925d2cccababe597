/**
 * Owns the text and the bytes by which a trace goes on elsewhere: the W3C `traceparent` header of
 * a client, and what one member tells another of the proposals it forwards. Pure.
 */

/** The position of a caller in a trace. */
export interface TraceParent {
  /** 32 lower-case hexadecimal digits, not all 0. */
  readonly traceId: string;
  /** 16 lower-case hexadecimal digits, not all 0: the span that the next one hangs below. */
  readonly spanId: string;
  /** The caller records this trace, and asks everybody else to. */
  readonly sampled: boolean;
}

const SAMPLED = 1;

/** Version, trace id, parent id and flags; later versions may have more behind them. */
const pattern = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/;

/** Reads a `traceparent` header; undefined for one that is to be ignored. */
export function parseTraceParent(header: string): TraceParent | undefined {
  const match = pattern.exec(header.trim());
  if (match === null) return undefined;
  const [, version = "", traceId = "", spanId = "", flags = "", rest] = match;
  if (version === "ff" || (version === "00" && rest !== undefined)) return undefined;
  if (isNobody(traceId) || isNobody(spanId)) return undefined;
  return { traceId, spanId, sampled: (Number.parseInt(flags, 16) & SAMPLED) !== 0 };
}

/** An id that stands for none. */
function isNobody(id: string): boolean {
  return /^0+$/.test(id);
}

/**
 * Whether a request is traced: as its caller decided, or else by chance.
 * @param perMillion of the requests whose caller has no opinion
 * @param random in [0, 1)
 */
export function isSampled(
  parent: TraceParent | undefined,
  perMillion: number,
  random: () => number,
): boolean {
  if (parent !== undefined) return parent.sampled;
  return perMillion > 0 && random() * 1_000_000 < perMillion;
}

/** One traced entry of a message of proposals. */
export interface TracedEntry {
  /** Place among the entries of the message, from 0. */
  readonly position: number;
  readonly traceId: string;
  readonly spanId: string;
}

/** Position, trace id, span id. */
const RECORD_BYTES = 2 + 16 + 8;

/** Positions fit 16 bits; entries behind that go untraced. */
const POSITION_MAX = 0xffff;

/** What a message of proposals says about the traces its entries belong to. */
export function encodeTracedEntries(entries: readonly TracedEntry[]): Uint8Array {
  const known = entries.filter(({ position }) => position <= POSITION_MAX);
  const bytes = Buffer.alloc(known.length * RECORD_BYTES);
  for (const [at, { position, traceId, spanId }] of known.entries()) {
    const from = at * RECORD_BYTES;
    bytes.writeUInt16BE(position, from);
    bytes.write(traceId, from + 2, "hex");
    bytes.write(spanId, from + 18, "hex");
  }
  return bytes;
}

/** Reads them back; what does not have this form is of another kind, and ignored. */
export function decodeTracedEntries(bytes: Uint8Array): readonly TracedEntry[] {
  if (bytes.length % RECORD_BYTES !== 0) return [];
  const view = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  const entries: TracedEntry[] = [];
  for (let from = 0; from < view.length; from += RECORD_BYTES) {
    const traceId = view.toString("hex", from + 2, from + 18);
    const spanId = view.toString("hex", from + 18, from + RECORD_BYTES);
    if (isNobody(traceId) || isNobody(spanId)) continue;
    entries.push({ position: view.readUInt16BE(from), traceId, spanId });
  }
  return entries;
}
