/** How a log may end after a crash without being corrupt. */

export interface TailDamage {
  readonly file: string;
  /** Where the good part ends. */
  readonly offset: number;
  /** Bytes from there to the end of the file. */
  readonly bytes: number;
  readonly kind: "cutShort" | "zeroFilled";
}

/** A sentence for the operator. */
export function describeTail(tail: TailDamage): string {
  return tail.kind === "cutShort"
    ? `the last record is cut short; the ${tail.bytes} bytes from offset ${tail.offset} are left out`
    : `the file ends in ${tail.bytes} zero bytes from offset ${tail.offset}; they are left out`;
}
