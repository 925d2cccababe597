/**
 * What a package does on the machine beside putting files there. It makes the user and the directory,
 * but starts nothing by itself: a member founds its cluster at its first start, and the settings must be
 * right by then. An upgrade restarts a server that runs.
 */

const INSTALLED = `\
if ! getent group etcd >/dev/null; then groupadd --system etcd; fi
if ! getent passwd etcd >/dev/null; then
  useradd --system --gid etcd --home-dir /var/lib/etcd --no-create-home \\
    --shell /usr/sbin/nologin --comment "etcd key-value store" etcd
fi
install -d -o etcd -g etcd -m 0700 /var/lib/etcd
if [ -d /run/systemd/system ]; then systemctl daemon-reload || true; fi
`;

const UPGRADED = `\
if [ -d /run/systemd/system ] && systemctl is-active --quiet etcd2.service; then
  systemctl restart etcd2.service || true
fi
`;

const REMOVED = `\
if [ -d /run/systemd/system ]; then systemctl disable --now etcd2.service || true; fi
`;

const RELOADED = `\
if [ -d /run/systemd/system ]; then systemctl daemon-reload || true; fi
`;

const PURGED = `\
rm -rf /var/lib/etcd
if getent passwd etcd >/dev/null; then userdel etcd || true; fi
if getent group etcd >/dev/null; then groupdel etcd || true; fi
`;

const indented = (text: string): string => text.replace(/^(?=.)/gm, "  ");

/** The scripts of a deb by their names. Data and user go with a purge, not with a removal. */
export const debScripts: Readonly<Record<string, string>> = {
  postinst: `#!/bin/sh
set -e
if [ "$1" = configure ]; then
${indented(INSTALLED)}  # $2 is the version before, empty at the first installation.
  if [ -n "$2" ]; then
${indented(indented(UPGRADED))}  fi
fi
`,
  prerm: `#!/bin/sh
set -e
if [ "$1" = remove ]; then
${indented(REMOVED)}fi
`,
  postrm: `#!/bin/sh
set -e
${RELOADED}if [ "$1" = purge ]; then
${indented(PURGED)}fi
`,
};

/** The scripts of an rpm by their sections. Data stays; there is no purge. */
export const rpmScripts: Readonly<Record<string, string>> = {
  post: `${INSTALLED}if [ "$1" -gt 1 ]; then\n${indented(UPGRADED)}fi\n`,
  preun: `if [ "$1" -eq 0 ]; then\n${indented(REMOVED)}fi\n`,
  postun: RELOADED,
};
