/** /v2/machines: the client URLs of all members in one line. */
import { Router, type Request, type Response } from "express";
import { byMethod } from "../http/method-router.ts";
import { answer } from "../http/answer.ts";
import { toByteString } from "@etcd2/store";
import type { EtcdServer } from "../ports/ports.ts";

/** The route /v2/machines. */
export function createMachinesRouter(server: EtcdServer): Router {
  const router = Router({ strict: true, caseSensitive: true });
  function answerMachines(_req: Request, res: Response): void {
    const urls = server.membership.list().flatMap((member) => member.clientURLs);
    const text = toByteString(urls.sort().join(", "));
    const headers = text === "" ? [] : ["Content-Type", "text/plain; charset=utf-8"];
    answer(res, 200, headers, text);
  }
  const machines = byMethod("GET,HEAD", { GET: answerMachines, HEAD: answerMachines });
  router.all("/v2/machines", machines);
  return router;
}
