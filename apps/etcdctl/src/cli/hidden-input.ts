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
  suspend: 26,
  quit: 28,
  del: 127,
};

/**
 * Prints the prompt, reads a line unseen, prints a newline. What was typed ahead of the next prompt
 * stays in the input. Ctrl-C and Ctrl-\ end the process, Ctrl-Z stops it for a while.
 */
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
    // Without handlers of ours the signals do what they would have done without raw mode.
    const endBy = (signal: NodeJS.Signals): void => {
      restore();
      process.kill(process.pid, signal);
    };
    const suspend = (): void => {
      stdin.setRawMode(false);
      process.kill(process.pid, "SIGTSTP");
      // From here on the process has been continued, or nobody could have continued it.
      stdin.setRawMode(true);
      write(`\n${prompt}`);
    };
    const finishBefore = (rest: Buffer): void => {
      finish();
      if (rest.length > 0) stdin.unshift(rest);
    };
    const read = (chunk: Buffer): void => {
      for (const [at, byte] of chunk.entries()) {
        if (byte === keys.interrupt) {
          endBy("SIGINT");
          return;
        }
        if (byte === keys.quit) {
          endBy("SIGQUIT");
          return;
        }
        if (
          byte === keys.enter ||
          byte === keys.newline ||
          (byte === keys.endOfInput && typed.length === 0)
        ) {
          finishBefore(chunk.subarray(at + 1));
          return;
        }
        if (byte === keys.suspend) suspend();
        else if (byte === keys.endOfInput) continue;
        else if (byte === keys.backspace || byte === keys.del) typed = withoutLastCharacter(typed);
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
