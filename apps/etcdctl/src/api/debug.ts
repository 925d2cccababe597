/** The trace of `--debug`: one cURL line for each request that is sent. */
import { quote } from "../text/go-text.ts";

/** The line that lets someone repeat the request; a body is shown whenever there may be one. */
export function curlLine(method: string, url: string, body: string | undefined): string {
  const data = body === undefined ? "" : ` -d ${quote(body)}`;
  return `cURL Command: curl -X ${method} ${url}${data}\n`;
}
