/**
 * Takes the chunked transfer encoding off a body as it comes, byte for byte as strict and as
 * liberal as Go's: extensions and trailers are passed over, a size line may end in a bare LF, and a
 * size has at most 16 digits. Holds no more than one line.
 */
import { CR, LF, SPACE, TAB } from "./bytes.ts";

/** Bytes of a size line, and of all trailers together. */
const LINE_BYTES_MAX = 4096;
const SIZE_DIGITS_MAX = 16;

type Part = "size" | "data" | "dataEnd" | "trailer" | "done";

/** Decodes one body, piece by piece. */
export class ChunkDecoder {
  #part: Part = "size";
  #line = "";
  #left = 0;
  #problem: string | undefined;

  /** Whether the last chunk and the trailers have come. */
  get isDone(): boolean {
    return this.#part === "done";
  }

  /** What is wrong with the encoding, in the words of Go's net/http. */
  get problem(): string | undefined {
    return this.#problem;
  }

  /**
   * Decodes up to the end of the body, the end of the bytes or the first fault.
   * @returns how many bytes were used, and what of them is body.
   */
  decode(bytes: Buffer): { readonly used: number; readonly body: Buffer } {
    const body = Buffer.allocUnsafe(bytes.length);
    let size = 0;
    let at = 0;
    while (at < bytes.length && this.#part !== "done" && this.#problem === undefined) {
      if (this.#part === "data") {
        const end = Math.min(bytes.length, at + this.#left);
        size += bytes.copy(body, size, at, end);
        this.#left -= end - at;
        at = end;
        if (this.#left === 0) this.#part = "dataEnd";
      } else {
        this.#takeByte(bytes[at++] ?? 0);
      }
    }
    return { used: at, body: body.subarray(0, size) };
  }

  #takeByte(byte: number): void {
    if (this.#part === "size") this.#takeSizeByte(byte);
    else if (this.#part === "dataEnd") this.#takeDataEnd(byte);
    else this.#takeTrailerByte(byte);
  }

  #takeSizeByte(byte: number): void {
    if (byte !== LF) {
      this.#line += String.fromCharCode(byte);
      if (this.#line.length >= LINE_BYTES_MAX) this.#problem = "header line too long";
      return;
    }
    const digits = sizeDigits(this.#line);
    this.#line = "";
    if (!/^[0-9a-fA-F]+$/.test(digits)) {
      this.#problem = "invalid byte in chunk length";
    } else if (digits.length > SIZE_DIGITS_MAX || !Number.isSafeInteger(parseInt(digits, 16))) {
      this.#problem = "http chunk length too large";
    } else {
      this.#left = parseInt(digits, 16);
      this.#part = this.#left === 0 ? "trailer" : "data";
    }
  }

  #takeDataEnd(byte: number): void {
    this.#line += String.fromCharCode(byte);
    if (this.#line === "\r\n") {
      this.#line = "";
      this.#part = "size";
    } else if (this.#line !== "\r") {
      this.#problem = "malformed chunked encoding";
    }
  }

  /** Trailers mean nothing here; they end with an empty line that ends in CRLF. */
  #takeTrailerByte(byte: number): void {
    this.#line += String.fromCharCode(byte);
    const { length } = this.#line;
    if (byte === LF && (this.#line === "\r\n" || this.#line.endsWith("\r\n\r\n"))) {
      this.#part = "done";
    } else if (length > LINE_BYTES_MAX) {
      this.#problem = "http: suspiciously long trailer after chunked body";
    } else if (length === 2 && this.#line.charCodeAt(0) === CR) {
      this.#problem = "malformed chunked encoding";
    }
  }
}

/** What stands before the extensions of a size line, without the blanks at its end. */
function sizeDigits(line: string): string {
  const [size = ""] = line.split(";", 1);
  let end = size.length;
  // Blanks before an extension are no part of the grammar.
  if (end === line.length) while (end > 0 && isBlank(size.charCodeAt(end - 1))) end--;
  return size.slice(0, end);
}

function isBlank(code: number): boolean {
  return code === CR || code === SPACE || code === TAB;
}
