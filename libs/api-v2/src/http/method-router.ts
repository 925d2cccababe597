/** Routes by exact method: what is not named is 405 with the given Allow header, HEAD included. */
import type { Request, RequestHandler, Response } from "express";
import { answerNotAllowed } from "./answer.ts";

type Handler = (req: Request, res: Response) => void | Promise<void>;

/** Handlers by method; `allow` is the header text, in the order etcd 2.3.8 lists methods. */
export function byMethod(
  allow: string,
  handlers: Readonly<Record<string, Handler>>,
): RequestHandler {
  const table = new Map(Object.entries(handlers));
  return (req, res) => {
    const handler = table.get(req.method);
    if (handler === undefined) {
      answerNotAllowed(res, allow);
      return undefined;
    }
    return handler(req, res);
  };
}
