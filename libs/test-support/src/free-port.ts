/**
 * Owns the choice of loopback ports for processes under test, which must be named before they are
 * bound. Knows nothing of what will listen there.
 *
 * Between the choice of a port and its use, another test process must not choose it too. So each
 * process has blocks of ports to itself: it listens on the first port of a block for as long as it
 * lives, and gives away the others.
 */
import { createServer } from "node:net";
import type { Server } from "node:net";

const BLOCK = 100;
/** All blocks lie below the range from which the system takes the ports of clients. */
const FIRST_BLOCK = 10_000;
const BLOCKS = 220;

/** The last port given away; a block is used up when the next would begin another. */
let lastPort = -1;
/** The block to try first: processes with neighbouring ids begin apart. */
let block = process.pid % BLOCKS;

/** Listens on a port; undefined when somebody else does. */
function bind(port: number): Promise<Server | undefined> {
  const server = createServer();
  return new Promise((resolve) => {
    server.once("error", () => {
      resolve(undefined);
    });
    server.listen(port, "127.0.0.1", () => {
      resolve(server);
    });
  });
}

async function claimBlock(): Promise<number> {
  for (let tried = 0; tried < BLOCKS; tried += 1) {
    block = (block + 1) % BLOCKS;
    const first = FIRST_BLOCK + block * BLOCK;
    const claim = await bind(first);
    if (claim === undefined) continue;
    claim.unref();
    return first;
  }
  throw new Error(`no block of ports is free from ${String(FIRST_BLOCK)} on`);
}

async function choose(): Promise<number> {
  for (;;) {
    if (lastPort < 0 || lastPort % BLOCK === BLOCK - 1) lastPort = await claimBlock();
    lastPort += 1;
    const probe = await bind(lastPort);
    if (probe === undefined) continue;
    await new Promise((resolve) => probe.close(resolve));
    return lastPort;
  }
}

/** Choices are made one after the other. */
let previous: Promise<unknown> = Promise.resolve();

/** A port nothing listens on, given to nobody else while this process lives. */
export function freePort(): Promise<number> {
  const next = previous.then(choose);
  previous = next.catch(() => undefined);
  return next;
}
