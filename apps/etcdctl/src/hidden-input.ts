/**
 * Reading a password from a terminal: echo off, the usual editing keys, the terminal restored
 * whatever ends it. Loaded only when someone is asked.
 */

const keys = {
  interrupt: 3,
  endOfInput: 4,
  backspace: 8,
  enter: 13,
  newline: 10,
  killLine: 21,
  del: 127,
};

/** Prints the prompt, reads a line unseen, prints a newline; ends the process on Ctrl-C. */
export function readHidden(prompt: string, write: (text: string) => void): Promise<string> {
  const { stdin } = process;
  stdin.setRawMode(true);
  write(prompt);
  return new Promise((resolve, reject) => {
    let typed: number[] = [];
    const restore = (): void => {
      stdin.off("data", read);
      stdin.off("end", finish);
      stdin.off("error", failed);
      stdin.setRawMode(false);
      stdin.pause();
      write("\n");
    };
    const finish = (): void => {
      restore();
      resolve(Buffer.from(typed).toString("utf8").trim());
    };
    const failed = (error: Error): void => {
      restore();
      reject(error);
    };
    const read = (chunk: Buffer): void => {
      for (const byte of chunk) {
        if (byte === keys.interrupt) {
          restore();
          // Without a handler of ours the signal ends the process as it would have without raw mode.
          process.kill(process.pid, "SIGINT");
          return;
        }
        if (byte === keys.enter || byte === keys.newline) {
          finish();
          return;
        }
        if (byte === keys.endOfInput) {
          if (typed.length === 0) {
            finish();
            return;
          }
        } else if (byte === keys.backspace || byte === keys.del)
          typed = withoutLastCharacter(typed);
        else if (byte === keys.killLine) typed = [];
        else typed.push(byte);
      }
    };
    stdin.on("data", read);
    stdin.on("end", finish);
    stdin.on("error", failed);
    stdin.resume();
  });
}

function withoutLastCharacter(bytes: readonly number[]): number[] {
  let length = bytes.length - 1;
  // Continuation bytes of UTF-8 belong to the character before them.
  while (length > 0 && ((bytes[length] ?? 0) & 0xc0) === 0x80) length--;
  return bytes.slice(0, Math.max(length, 0));
}
