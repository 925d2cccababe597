/**
 * Owns the choice of loopback ports for processes under test, which must be named before they are
 * bound. Knows nothing of what will listen there.
 */
import { createServer } from "node:net";

/** Where this process looks for its next port: below the range the system gives to clients. */
let nextPort = 10_000 + (process.pid % 220) * 100;

function canBind(port: number): Promise<boolean> {
  const server = createServer();
  return new Promise((resolve) => {
    server.once("error", () => {
      resolve(false);
    });
    server.listen(port, "127.0.0.1", () => {
      server.close(() => {
        resolve(true);
      });
    });
  });
}

/**
 * A port nothing listens on, never given twice by this process. Test files run as processes with
 * neighbouring ids, so each has a hundred ports to itself before it meets another's.
 */
export async function freePort(): Promise<number> {
  for (;;) {
    nextPort = nextPort >= 32_000 ? 10_000 : nextPort + 1;
    const port = nextPort;
    if (await canBind(port)) return port;
  }
}
