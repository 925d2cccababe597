/**
 * Checks passwords against stored hashes, which is slow on purpose, and remembers what has been
 * verified. Holds only salted digests of passwords, one per user, and forgets a user whose hash
 * has changed. Bounds how many checks run and wait, in all and for one user: guessing at one
 * user's password must not keep the others out.
 */
import { createHmac, randomBytes, timingSafeEqual } from "node:crypto";
import type { ByteString } from "@etcd2/store";
import { BusyError } from "../http/busy-error.ts";
import {
  PASSWORD_CHECKS_MAX,
  PASSWORD_QUEUE_MAX,
  PASSWORD_QUEUE_USER_MAX,
  VERIFIED_CREDENTIALS_MAX,
} from "../ports/limits.ts";
import type { PasswordHasher } from "../ports/ports.ts";

interface Verified {
  readonly hash: ByteString;
  readonly digest: Buffer;
}

/** Checks passwords against hashes, a bounded number at a time, and remembers those that were right. */
export class PasswordChecks {
  readonly #hasher: PasswordHasher;
  /** Lost when the process ends, so that digests are worth nothing elsewhere. */
  readonly #salt = randomBytes(32);
  readonly #verified = new Map<ByteString, Verified>();
  readonly #underWay = new Map<string, Promise<boolean>>();
  readonly #queue: (() => void)[] = [];
  readonly #underWayOf = new Map<ByteString, number>();
  #running = 0;

  constructor(hasher: PasswordHasher) {
    this.#hasher = hasher;
  }

  /**
   * Whether the password belongs to the hash; at once when it was verified before.
   * @throws BusyError when too many checks wait: nothing is known about the password then.
   */
  verify(user: ByteString, hash: ByteString, password: ByteString): boolean | Promise<boolean> {
    const digest = createHmac("sha256", this.#salt).update(password, "latin1").digest();
    const known = this.#verified.get(user);
    if (known !== undefined) {
      if (known.hash === hash && timingSafeEqual(known.digest, digest)) return true;
      if (known.hash !== hash) this.#verified.delete(user);
    }
    const key = `${hash} ${digest.toString("latin1")}`;
    let check = this.#underWay.get(key);
    if (check === undefined) {
      const ofUser = this.#underWayOf.get(user) ?? 0;
      if (this.#queue.length >= PASSWORD_QUEUE_MAX || ofUser >= PASSWORD_QUEUE_USER_MAX) {
        throw new BusyError("too many password checks are waiting");
      }
      this.#underWayOf.set(user, ofUser + 1);
      check = this.#check(user, hash, password, digest).finally(() => {
        this.#underWay.delete(key);
        this.#forgetOne(user);
      });
      this.#underWay.set(key, check);
    }
    return check;
  }

  #forgetOne(user: ByteString): void {
    const left = (this.#underWayOf.get(user) ?? 1) - 1;
    if (left === 0) this.#underWayOf.delete(user);
    else this.#underWayOf.set(user, left);
  }

  async #check(
    user: ByteString,
    hash: ByteString,
    password: ByteString,
    digest: Buffer,
  ): Promise<boolean> {
    if (this.#running >= PASSWORD_CHECKS_MAX) {
      await new Promise<void>((resolve) => this.#queue.push(resolve));
    } else {
      this.#running++;
    }
    try {
      const isRight = await this.#hasher.verify(Buffer.from(password, "latin1"), hash);
      if (isRight) this.#remember(user, { hash, digest });
      return isRight;
    } finally {
      // The place goes to the next in line, or becomes free.
      const next = this.#queue.shift();
      if (next === undefined) this.#running--;
      else next();
    }
  }

  #remember(user: ByteString, verified: Verified): void {
    this.#verified.delete(user);
    if (this.#verified.size >= VERIFIED_CREDENTIALS_MAX) {
      const [oldest] = this.#verified.keys();
      if (oldest !== undefined) this.#verified.delete(oldest);
    }
    this.#verified.set(user, verified);
  }
}
