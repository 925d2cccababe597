/**
 * Serves the page of the console and its files, which the build put into the program, and hands
 * everything else to the API of the client port. Owns the headers that bind the page: it loads
 * and asks nothing but what is here.
 */
import { gunzipSync } from "node:zlib";
import type { IncomingMessage, RequestListener, ServerResponse } from "node:http";

interface PageFile {
  readonly type: string;
  /** Base64 of the two encodings. */
  readonly gzip: string;
  readonly br: string;
}

const POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self'",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
  "require-trusted-types-for 'script'",
  "trusted-types 'none'",
].join("; ");

/** The name of the page; the others have hashes in their names and never change. */
const INDEX = "/";

function pageFiles(): ReadonlyMap<string, PageFile> {
  const text = process.env["ETCD2_CONSOLE_FILES"] ?? "{}";
  return new Map(Object.entries(JSON.parse(text) as Record<string, PageFile>));
}

function bind(res: ServerResponse): void {
  res.setHeader("Content-Security-Policy", POLICY);
  res.setHeader("X-Content-Type-Options", "nosniff");
  res.setHeader("X-Frame-Options", "DENY");
  res.setHeader("Referrer-Policy", "no-referrer");
  res.setHeader("Cross-Origin-Opener-Policy", "same-origin");
  res.setHeader("Cross-Origin-Resource-Policy", "same-origin");
}

function encodingFor(req: IncomingMessage): "br" | "gzip" | "plain" {
  const accepted = [req.headers["accept-encoding"] ?? []].flat().join();
  if (/\bbr\b/.test(accepted)) return "br";
  return /\bgzip\b/.test(accepted) ? "gzip" : "plain";
}

function sendFile(req: IncomingMessage, res: ServerResponse, path: string, file: PageFile): void {
  const encoding = encodingFor(req);
  const packed = Buffer.from(file[encoding === "br" ? "br" : "gzip"], "base64");
  const body = encoding === "plain" ? gunzipSync(packed) : packed;
  res.setHeader("Content-Type", file.type);
  res.setHeader("Content-Length", body.length);
  res.setHeader("Vary", "Accept-Encoding");
  if (encoding !== "plain") res.setHeader("Content-Encoding", encoding);
  const lasting = "public, max-age=31536000, immutable";
  res.setHeader("Cache-Control", path === INDEX ? "no-cache" : lasting);
  res.writeHead(200);
  res.end(req.method === "HEAD" ? undefined : body);
}

/** @param api Serves what is no file of the page. */
export function consoleHandler(api: RequestListener): RequestListener {
  const files = pageFiles();
  return (req, res) => {
    bind(res);
    const path = (req.url ?? "").replace(/\?.*$/, "");
    const file = files.get(path);
    if (file !== undefined && (req.method === "GET" || req.method === "HEAD")) {
      sendFile(req, res, path, file);
    } else {
      // Nothing of what keys hold is kept by the browser.
      res.setHeader("Cache-Control", "no-store");
      api(req, res);
    }
  };
}
