/** What helps against a damaged log of this project's own. */

/** A log of another format version needs no rescue, only the release that wrote it. */
export function ownRemedy(damage: { readonly isOtherVersion?: boolean }): string {
  return damage.isOtherVersion === true
    ? "use the release that wrote it, or restore a backup"
    : "restore a backup, or rebuild this member from its peers";
}
