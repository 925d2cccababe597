/**
 * Writes single keys to the server mirrored to. Each operation ends with the key as asked, whatever
 * was there before. Decides nothing about what to write.
 */
import { JsonObject } from "../io/json-object.ts";
import { fromByteString } from "@etcd2/store";
import { errorOf, refused } from "./listing.ts";
import type { Parameters, V2Client } from "./v2-client.ts";

/** Things in the way that are cleared for one write before giving up. */
const OBSTACLES_MAX = 8;

const NOT_A_FILE = 102;
const NOT_A_DIRECTORY = 104;
const ALREADY_EXISTS = 105;

/** A life that ends at `endsAtMs` on the monotonic clock. */
export interface Life {
  readonly endsAtMs: number;
}

export class TargetWriter {
  readonly #client: V2Client;
  readonly #signal: AbortSignal;
  /** Requests that changed something. */
  writes = 0;

  constructor(client: V2Client, signal: AbortSignal) {
    this.#client = client;
    this.#signal = signal;
  }

  /** Makes `key` a file with this value. A life that is over removes it. */
  async putFile(key: string, value: string, life: Life | undefined): Promise<void> {
    const ttl = secondsLeft(life);
    if (ttl === 0) {
      await this.removeFile(key);
      return;
    }
    const form = ttl === undefined ? { value } : { value, ttl: String(ttl) };
    await this.#put(key, form);
  }

  /** Makes `key` a directory, empty or as it is, with this life. */
  async putDirectory(key: string, life: Life | undefined): Promise<void> {
    const ttl = secondsLeft(life);
    if (ttl === 0) {
      await this.remove(key);
      return;
    }
    const form: Parameters =
      ttl === undefined ? { dir: "true" } : { dir: "true", ttl: String(ttl) };
    const created = await this.#put(key, { ...form, prevExist: "false" }, ALREADY_EXISTS);
    if (created) return;
    const existing = await this.#client.request({ method: "GET", key, query: {} }, this.#signal);
    const isDirectory =
      existing.status === 200 &&
      JsonObject.parse(existing.body.toString("utf8")).object("node").boolean("dir");
    // A set turns a file into a directory; on a directory only an update changes the life.
    await this.#put(key, isDirectory ? { ...form, prevExist: "true" } : form);
  }

  /** Removes whatever is at `key`. */
  async remove(key: string): Promise<void> {
    const query = { recursive: "true", dir: "true" };
    await this.#delete(key, query);
  }

  /** Removes a file; leaves a directory, which can only have come later. */
  async removeFile(key: string): Promise<void> {
    await this.#delete(key, {});
  }

  async #delete(key: string, query: Parameters): Promise<void> {
    const response = await this.#client.request({ method: "DELETE", key, query }, this.#signal);
    if (response.status === 200) this.writes++;
    else if (response.status !== 404 && errorOf(response.body)?.code !== NOT_A_FILE) {
      throw refused(this.#client, response.status, fromByteString(key));
    }
  }

  /** False when the server answered with the error `accepted`. */
  async #put(key: string, form: Parameters, accepted?: number): Promise<boolean> {
    for (let obstacles = 0; ; obstacles++) {
      const call = { method: "PUT", key, query: {}, form } as const;
      const response = await this.#client.request(call, this.#signal);
      if (response.status === 200 || response.status === 201) {
        this.writes++;
        return true;
      }
      const error = errorOf(response.body);
      if (accepted !== undefined && error?.code === accepted) return false;
      const obstacle =
        error?.code === NOT_A_FILE
          ? key
          : error?.code === NOT_A_DIRECTORY
            ? error.cause
            : undefined;
      if (obstacle === undefined || obstacles === OBSTACLES_MAX) {
        throw refused(this.#client, response.status, fromByteString(key));
      }
      await this.remove(obstacle);
    }
  }
}

/** Whole seconds from now, at least 1 while any is left; undefined for a permanent key. */
function secondsLeft(life: Life | undefined): number | undefined {
  if (life === undefined) return undefined;
  const left = (life.endsAtMs - performance.now()) / 1000;
  return left <= 0 ? 0 : Math.ceil(left);
}
