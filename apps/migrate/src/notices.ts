/** Things worth telling that do not stop the work: cut tails, left-out entries, v3 data. */

export type NoticeCode =
  | "tornTail"
  | "zeroTail"
  | "damagedSnapshot"
  | "dropped"
  | "uncommitted"
  | "commitUnknown"
  | "v3Data"
  | "versionLowered"
  | "ambiguousUpdate"
  | "rootDeleted"
  | "ignoredFile"
  | "members"
  | "history";

export interface Notice {
  readonly code: NoticeCode;
  readonly text: string;
  readonly file?: string;
  readonly offset?: number;
}

/** Takes notices as they arise; the command prints them. */
export type NoticeSink = (notice: Notice) => void;
