/** /version: the API version spoken here, and that of the cluster. */
import { Router } from "express";
import { byMethod } from "../http/method-router.ts";
import { answerJson } from "../http/answer.ts";
import type { EtcdServer } from "../ports/ports.ts";

/** The version of the API; clients parse it, so the product's own version is not shown here. */
const API_VERSION = "2.3.8";

/** The route /version. */
export function createVersionRouter(server: EtcdServer): Router {
  const router = Router({ strict: true, caseSensitive: true });
  const version = byMethod("GET", {
    GET: (_req, res) => {
      const body = { etcdserver: API_VERSION, etcdcluster: server.clusterVersion };
      answerJson(res, 200, JSON.stringify(body));
    },
  });
  router.all("/version", version);
  return router;
}
