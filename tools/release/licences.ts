/**
 * Licence texts of what no package brings them for: the libraries that were linked into the binary of
 * the storage engine, and the shared library that lies beside the programs.
 */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";

const MIT = `\
Permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated
documentation files (the "Software"), to deal in the Software without restriction, including without limitation the
rights to use, copy, modify, merge, publish, distribute, sublicense, and/or sell copies of the Software, and to permit
persons to whom the Software is furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all copies or substantial portions of the
Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT LIMITED TO THE
WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR
COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR
OTHERWISE, ARISING FROM, OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.`;

const BSD = `\
Redistribution and use in source and binary forms, with or without modification, are permitted provided that the
following conditions are met:

1. Redistributions of source code must retain the above copyright notice, this list of conditions and the following
disclaimer.

2. Redistributions in binary form must reproduce the above copyright notice, this list of conditions and the following
disclaimer in the documentation and/or other materials provided with the distribution.

3. Neither the name of the copyright holder nor the names of its contributors may be used to endorse or promote
products derived from this software without specific prior written permission.

THIS SOFTWARE IS PROVIDED BY THE COPYRIGHT HOLDERS AND CONTRIBUTORS "AS IS" AND ANY EXPRESS OR IMPLIED WARRANTIES,
INCLUDING, BUT NOT LIMITED TO, THE IMPLIED WARRANTIES OF MERCHANTABILITY AND FITNESS FOR A PARTICULAR PURPOSE ARE
DISCLAIMED. IN NO EVENT SHALL THE COPYRIGHT HOLDER OR CONTRIBUTORS BE LIABLE FOR ANY DIRECT, INDIRECT, INCIDENTAL,
SPECIAL, EXEMPLARY, OR CONSEQUENTIAL DAMAGES (INCLUDING, BUT NOT LIMITED TO, PROCUREMENT OF SUBSTITUTE GOODS OR
SERVICES; LOSS OF USE, DATA, OR PROFITS; OR BUSINESS INTERRUPTION) HOWEVER CAUSED AND ON ANY THEORY OF LIABILITY,
WHETHER IN CONTRACT, STRICT LIABILITY, OR TORT (INCLUDING NEGLIGENCE OR OTHERWISE) ARISING IN ANY WAY OUT OF THE USE
OF THIS SOFTWARE, EVEN IF ADVISED OF THE POSSIBILITY OF SUCH DAMAGE.`;

const APACHE = "Licensed under the Apache License, Version 2.0, whose text is the file LICENSE.";

/** Of a choice of licences, the one that counts here. */
const EMBEDDED: Readonly<Record<string, string>> = {
  rocksdb: `Copyright (c) 2011-present, Facebook, Inc.\n\n${APACHE}\n\nParts: Copyright (c) 2011 The LevelDB Authors.\n\n${BSD}`,
  zstd: `Copyright (c) Meta Platforms, Inc. and affiliates.\n\n${BSD}`,
  folly: `Copyright (c) Meta Platforms, Inc. and affiliates.\n\n${APACHE}`,
  liburing: `Copyright 2020 Jens Axboe\n\n${MIT}`,
  fmt: `Copyright (c) 2012 - present, Victor Zverovich and {fmt} contributors\n\n${MIT}`,
  glog: `Copyright (c) 2008, Google Inc.\n\n${BSD}`,
  gflags: `Copyright (c) 2006, Google Inc.\n\n${BSD}`,
  libunwind: `Copyright (c) 2002 Hewlett-Packard Co.\n\n${MIT}`,
};

/** @throws Error for a library whose text is not known: it may not be shipped. */
export function licenceOf(library: string): string {
  const text = EMBEDDED[library];
  if (text === undefined) throw new Error(`there is no licence text for ${library}`);
  return text;
}

/** Where Debian keeps the copyright of the packages of shared libraries, and the texts they refer to. */
const SYSTEM = "/usr/share";

/** The copyright of a library of the building machine, with the full text of the licence, where they are. */
export function systemLicence(packageName: string, licence: string): string {
  const files = [
    join(SYSTEM, "doc", packageName, "copyright"),
    join(SYSTEM, "common-licenses", licence),
  ];
  return files
    .filter((file) => existsSync(file))
    .map((file) => readFileSync(file, "utf8").trim())
    .join("\n\n");
}
