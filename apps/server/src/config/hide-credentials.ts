/**
 * Owns how text that may hold URLs is shown: without the user and password in them. Knows nothing
 * of where it is shown.
 */

/** The text with `***` for the user information of every URL in it. */
export function hideCredentials(text: string): string {
  // The last @ before the path ends the user information: people forget to encode one within.
  return text.replaceAll(/:\/\/[^/,\s]*@/g, "://***@");
}
