/**
 * Answers of reads: one node, or a directory whose listing is turned from depth-first rows into
 * nested JSON, slice by slice. Holds one slice of text and the open directories, never the whole
 * answer. Knows nothing of requests.
 */
import type { ServerResponse } from "node:http";
import { StoreError } from "@etcd2/store";
import type { ByteString, Listing, ListingRow, NodeExtern, ReadResult } from "@etcd2/store";
import { answer, type FlatHeaders } from "../http/answer.ts";
import {
  LISTING_BYTES_PER_TURN,
  LISTING_ROWS_PER_STEP,
  LISTING_STALL_MS,
  LISTING_STEPS_PER_TURN,
} from "../ports/limits.ts";
import { nodeHead, nodeTail, nodeText } from "../json/event-json.ts";

const HEAD = '{"action":"get","node":';

/** Answers 200 with what was read, streaming when it is large. */
export function answerRead(
  res: ServerResponse,
  headers: FlatHeaders,
  result: ReadResult,
  isHead: boolean,
): void {
  if (result.children === undefined) {
    answer(res, 200, headers, HEAD + nodeText(result.node) + "}\n");
    return;
  }
  const formatter = new ListingFormatter(result.node);
  const text = HEAD + formatter.take(result.children);
  if (formatter.ended) {
    answer(res, 200, headers, text);
  } else if (isHead) {
    result.children.close();
    res.writeHead(200, headers);
    res.end();
  } else {
    res.writeHead(200, headers);
    new ListingStream(res, result.children, formatter).send(text);
  }
}

/** Turns rows into text; remembers the directories that are still open. */
export class ListingFormatter {
  /** Tails of the open directories, that of the directory read first. */
  readonly #tails: string[];
  /** Whether the innermost open directory has got a child, per level. */
  readonly #hasNodes: boolean[] = [false];
  #pendingHead: ByteString;
  ended = false;

  constructor(root: NodeExtern) {
    this.#pendingHead = nodeHead(root);
    this.#tails = [nodeTail(root)];
  }

  /**
   * Text of the next rows, as many as one turn of the event loop may take. The last call closes
   * the answer and sets `ended`.
   */
  take(listing: Listing): ByteString {
    let text = this.#pendingHead;
    this.#pendingHead = "";
    for (let step = 0; step < LISTING_STEPS_PER_TURN; step++) {
      if (text.length >= LISTING_BYTES_PER_TURN) break;
      const rows = listing.take(LISTING_ROWS_PER_STEP);
      if (rows === undefined) {
        this.ended = true;
        return text + this.#closeTo(0) + "}\n";
      }
      for (const row of rows) text += this.#row(row);
    }
    return text;
  }

  #row({ node, depth }: ListingRow): ByteString {
    let text = this.#closeTo(depth);
    const level = depth - 1;
    text += this.#hasNodes[level] === true ? "," : ',"nodes":[';
    this.#hasNodes[level] = true;
    if (!node.dir) return text + nodeText(node);
    this.#tails.push(nodeTail(node));
    this.#hasNodes.push(false);
    return text + nodeHead(node);
  }

  /** Closes open directories until `depth` of them are left. */
  #closeTo(depth: number): string {
    let text = "";
    while (this.#tails.length > depth) {
      if (this.#hasNodes.pop() === true) text += "]";
      text += this.#tails.pop() ?? "";
    }
    return text;
  }
}

/** Sends the rest of a listing as fast as the client takes it, one slice a turn. */
class ListingStream {
  readonly #res: ServerResponse;
  readonly #listing: Listing;
  readonly #formatter: ListingFormatter;
  #stall: NodeJS.Timeout | undefined;

  constructor(res: ServerResponse, listing: Listing, formatter: ListingFormatter) {
    this.#res = res;
    this.#listing = listing;
    this.#formatter = formatter;
    res.on("drain", this.#nextTurn);
    res.on("close", this.#close);
  }

  send(text: ByteString): void {
    if (this.#formatter.ended) {
      this.#res.end(text, "latin1");
    } else if (this.#res.write(text, "latin1")) {
      this.#nextTurn();
    } else {
      this.#stall ??= setTimeout(this.#cutOff, LISTING_STALL_MS);
      this.#stall.refresh();
    }
  }

  /** The kernel may take a slice at once and say so in the same turn, which belongs to others too. */
  readonly #nextTurn = (): void => {
    setImmediate(this.#next);
  };

  readonly #next = (): void => {
    if (this.#res.destroyed || this.#formatter.ended) return;
    let text: ByteString;
    try {
      text = this.#formatter.take(this.#listing);
    } catch (error) {
      // Either way no answer may look complete. A store that a snapshot replaced is no fault; any
      // other failure ends the process.
      this.#res.destroy();
      if (error instanceof StoreError && error.code === "closed") return;
      throw error;
    }
    this.send(text);
  };

  readonly #cutOff = (): void => {
    if (this.#res.writableNeedDrain) this.#res.destroy();
  };

  readonly #close = (): void => {
    clearTimeout(this.#stall);
    this.#listing.close();
  };
}
