/**
 * GET /v2/admin/snapshot, beyond etcd 2.3.8: the replicated state as one checksummed stream. Owns
 * how many run at once, who may ask and the pace of the stream; its content is the store's. And GET
 * /v2/admin/hash: whether all members hold the same state.
 */
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { Router, type Request, type Response } from "express";
import { isStoreFailure, toByteString } from "@etcd2/store";
import { byMethod } from "../http/method-router.ts";
import {
  answerJson,
  answerMessage,
  answerUnauthorized,
  CLUSTER_ID,
  jsonHeaders,
} from "../http/answer.ts";
import type { EtcdServer } from "../ports/ports.ts";
import { paced } from "../http/pace.ts";
import type { AdminCheck } from "./members.ts";

/** Each keeps a view of the store alive and takes its share of the disk. */
const SNAPSHOTS_MAX = 2;

/**
 * A member that can learn from its cluster in this time that it is up to date does so; one without
 * a leader gives what it has, since that may be the last copy.
 */
const CONFIRM_TIMEOUT_MS = 500;

/** Routes below /v2/admin. */
export function createAdminRouter(
  server: EtcdServer,
  isAdmin: AdminCheck,
  stateHashes?: () => Promise<string>,
): Router {
  const router = Router({ strict: true, caseSensitive: true });
  const handler = new SnapshotHandler(server, isAdmin);
  router.all("/v2/admin/snapshot", byMethod("GET", { GET: (req, res) => handler.get(req, res) }));
  if (stateHashes !== undefined) {
    const answerHashes = async (req: Request, res: Response): Promise<void> => {
      if (await isAdmin(req.headers.authorization)) {
        answerJson(res, 200, toByteString(await stateHashes()));
      } else answerUnauthorized(res);
    };
    router.all("/v2/admin/hash", byMethod("GET", { GET: answerHashes }));
  }
  return router;
}

class SnapshotHandler {
  readonly #server: EtcdServer;
  readonly #isAdmin: AdminCheck;
  #running = 0;

  constructor(server: EtcdServer, isAdmin: AdminCheck) {
    this.#server = server;
    this.#isAdmin = isAdmin;
  }

  async get(req: Request, res: Response): Promise<void> {
    if (!(await this.#isAdmin(req.headers.authorization))) {
      answerUnauthorized(res);
      return;
    }
    if (this.#running >= SNAPSHOTS_MAX) {
      const message = `${SNAPSHOTS_MAX} snapshots are being taken already: try again later`;
      answerMessage(res, 503, message, [...jsonHeaders(), "Retry-After", "5"]);
      return;
    }
    this.#running += 1;
    try {
      await this.#confirm();
      await this.#stream(res);
    } finally {
      this.#running -= 1;
    }
  }

  /** Waits until this member has applied what its cluster has acknowledged so far. */
  #confirm(): Promise<void> {
    return new Promise((resolve) => {
      const goOn = (reason: string): void => {
        this.#server.log.warning(`snapshot of this member's own state, as it stands: ${reason}`);
        resolve();
      };
      const timer = setTimeout(goOn, CONFIRM_TIMEOUT_MS, "the cluster did not confirm it in time");
      this.#server.readIndex((error) => {
        clearTimeout(timer);
        if (error === undefined) resolve();
        else goOn(error.cause);
      });
    });
  }

  async #stream(res: Response): Promise<void> {
    const chunks = Readable.from(paced(this.#server.exportSnapshot()));
    res.writeHead(200, [
      "Content-Type",
      "application/octet-stream",
      CLUSTER_ID,
      this.#server.clusterId,
    ]);
    try {
      // Ends the export when the client goes, and cuts the connection when the export fails: a
      // stream without its end is no snapshot.
      await pipeline(chunks, res);
    } catch (error) {
      if (isStoreFailure(error)) this.#server.storageFailed(error);
      const reason = error instanceof Error ? error.message : String(error);
      this.#server.log.warning(`a snapshot stream was cut short: ${reason}`);
    }
  }
}
