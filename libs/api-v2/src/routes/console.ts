/** GET /console/members: the figures of all members, for the page of the console alone. */
import { Router } from "express";
import { toByteString } from "@etcd2/store";
import { byMethod } from "../http/method-router.ts";
import { answerJson, answerUnauthorized } from "../http/answer.ts";
import type { AdminCheck } from "./members.ts";

/** @param figures All members' figures as JSON. */
export function createConsoleRouter(figures: () => Promise<string>, mayAsk: AdminCheck): Router {
  const router = Router({ strict: true, caseSensitive: true });
  router.all(
    "/console/members",
    byMethod("GET", {
      GET: async (req, res) => {
        if (await mayAsk(req.headers.authorization)) {
          answerJson(res, 200, toByteString(await figures()));
        } else answerUnauthorized(res);
      },
    }),
  );
  return router;
}
