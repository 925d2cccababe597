/** What a check found wrong, and what would help. */
import type { MigrateError } from "../errors.ts";
import { oneLine } from "../errors.ts";
import type { Notice, NoticeCode } from "../notices.ts";

export interface Finding {
  /** Errors keep the directory from being used whole; warnings do not. */
  readonly severity: "error" | "warning";
  readonly text: string;
  readonly file: string | undefined;
  readonly offset: number | undefined;
  readonly remedy: string | undefined;
}

export function findingOfError(error: MigrateError): Finding {
  const { message, file, offset, remedy } = error;
  return { severity: "error", text: message, file, offset, remedy };
}

/** Advice for what a notice tells; notices without an entry are no findings. */
const REMEDIES: Partial<Readonly<Record<NoticeCode, string>>> = {
  tornTail: '"etcd-migrate repair" cuts it after making a copy; importing leaves it out by itself',
  zeroTail: '"etcd-migrate repair" cuts it after making a copy; importing leaves it out by itself',
  damagedSnapshot: "an older snapshot and the log make up for it; move the file away",
  ignoredFile: "move the file away",
};

/** Undefined for notices that say nothing of damage. */
export function findingOfNotice(notice: Notice): Finding | undefined {
  const remedy = REMEDIES[notice.code];
  if (remedy === undefined) return undefined;
  const { text, file, offset } = notice;
  return { severity: "warning", text, file, offset, remedy };
}

/** One line: place, problem, way out. */
export function describeFinding({ text, file, offset, remedy }: Finding): string {
  const place =
    file === undefined ? "" : offset === undefined ? `${file}: ` : `${file}: offset ${offset}: `;
  return oneLine(`${place}${text}${remedy === undefined ? "" : ` (${remedy})`}`);
}
