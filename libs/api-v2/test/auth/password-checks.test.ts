import assert from "node:assert/strict";
import { test } from "node:test";
import { PasswordChecks } from "../../src/auth/password-checks.ts";
import { BusyError } from "../../src/http/busy-error.ts";
import {
  PASSWORD_CHECKS_MAX,
  PASSWORD_QUEUE_MAX,
  PASSWORD_QUEUE_USER_MAX,
} from "../../src/ports/limits.ts";
import type { PasswordHasher } from "../../src/ports/ports.ts";

/** Hashes are the password behind "h:"; checks wait until they are let go. */
class HeldHasher implements PasswordHasher {
  readonly waiting: (() => void)[] = [];
  calls = 0;
  mostAtOnce = 0;

  hash(password: Uint8Array): Promise<string> {
    return Promise.resolve(`h:${Buffer.from(password).toString("latin1")}`);
  }

  async verify(password: Uint8Array, hash: string): Promise<boolean> {
    this.calls++;
    await new Promise<void>((resolve) => {
      this.waiting.push(resolve);
      this.mostAtOnce = Math.max(this.mostAtOnce, this.waiting.length);
    });
    return hash === (await this.hash(password));
  }

  /** Lets all checks finish, also those that start meanwhile. */
  async release(): Promise<void> {
    for (let idle = 0; idle < 20; idle++) {
      for (const go of this.waiting.splice(0)) {
        go();
        idle = 0;
      }
      await Promise.resolve();
    }
  }
}

test("a verified password is known at once the next time", async () => {
  const hasher = new HeldHasher();
  const checks = new PasswordChecks(hasher);
  const first = checks.verify("ann", "h:pw", "pw");
  await hasher.release();
  assert.equal(await first, true);
  assert.equal(checks.verify("ann", "h:pw", "pw"), true);
  assert.equal(hasher.calls, 1);
});

test("a wrong password is checked each time, and never remembered", async () => {
  const hasher = new HeldHasher();
  const checks = new PasswordChecks(hasher);
  for (const calls of [1, 2]) {
    const result = checks.verify("ann", "h:pw", "wrong");
    await hasher.release();
    assert.equal(await result, false);
    assert.equal(hasher.calls, calls);
  }
});

test("a user whose hash has changed is forgotten", async () => {
  const hasher = new HeldHasher();
  const checks = new PasswordChecks(hasher);
  const first = checks.verify("ann", "h:pw", "pw");
  await hasher.release();
  assert.equal(await first, true);
  const changed = checks.verify("ann", "h:new", "pw");
  assert.ok(changed instanceof Promise);
  await hasher.release();
  assert.equal(await changed, false);
  const again = checks.verify("ann", "h:pw", "pw");
  assert.ok(again instanceof Promise, "the old hash was still known");
  await hasher.release();
  assert.equal(await again, true);
});

test("the same credentials are checked once however many requests ask", async () => {
  const hasher = new HeldHasher();
  const checks = new PasswordChecks(hasher);
  const results = Array.from({ length: 50 }, () => checks.verify("ann", "h:pw", "pw"));
  await hasher.release();
  for (const result of results) assert.equal(await result, true);
  assert.equal(hasher.calls, 1);
});

/** Asks for a check; "busy" when there is no room for it. */
function ask(checks: PasswordChecks, user: string, password: string): unknown {
  try {
    return checks.verify(user, "h:pw", password);
  } catch (error) {
    assert.ok(error instanceof BusyError);
    return "busy";
  }
}

test("checks under way and waiting are bounded, and the rest is told so, not called wrong", async () => {
  const hasher = new HeldHasher();
  const checks = new PasswordChecks(hasher);
  const total = PASSWORD_CHECKS_MAX + PASSWORD_QUEUE_MAX + 10;
  const results = Array.from({ length: total }, (_, i) =>
    ask(checks, `user${String(i)}`, `wrong${String(i)}`),
  );
  assert.equal(results.filter((result) => result === "busy").length, 10);
  await hasher.release();
  assert.equal(hasher.mostAtOnce, PASSWORD_CHECKS_MAX);
  assert.equal(hasher.calls, PASSWORD_CHECKS_MAX + PASSWORD_QUEUE_MAX);
  const later = checks.verify("ann", "h:pw", "pw");
  await hasher.release();
  assert.equal(await later, true);
});

test("guessing at one user's password leaves room for the others", async () => {
  const hasher = new HeldHasher();
  const checks = new PasswordChecks(hasher);
  const guesses = Array.from({ length: PASSWORD_QUEUE_USER_MAX + 5 }, (_, i) =>
    ask(checks, "root", `guess${String(i)}`),
  );
  assert.equal(guesses.filter((result) => result === "busy").length, 5);
  const other = checks.verify("ann", "h:pw", "pw");
  await hasher.release();
  assert.equal(await other, true);
  const again = ask(checks, "root", "pw");
  await hasher.release();
  assert.equal(await again, true, "the places are free again");
});
