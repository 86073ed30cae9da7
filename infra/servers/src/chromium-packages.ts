// Chromium without its windows from the distribution's packages: the binary, the libraries that the machine lacks, one family of fonts.
// The packages stay together as they were unpacked, because some libraries are only asked for while it runs.

import { mkdir, readdir, rename, writeFile } from "node:fs/promises";
import path from "node:path";
import { missingLibraries, type Packages, packagesFor, readArchive, withArea } from "./debian-packages.js";
import type { ServerKind } from "./server-kinds.js";

const packageNames = ["chromium-headless-shell", "chromium-common", "fonts-dejavu-core"];
const libraryRoundsMax = 8; // its sound library alone needs five, one behind the other

export async function chromiumFromDebian(kind: ServerKind, packages: Packages): Promise<void> {
  const { archive } = await readArchive(packages.etc ?? "/etc");
  await withArea(packages, archive, async ({ unpacked, fetch, dependencies }) => {
    await fetch(packageNames);
    const binary = path.join(unpacked, "usr", "lib", "chromium", kind.name);
    const asked = new Set<string>();
    for (let round = 0; ; round++) {
      const missing = await missingLibraries(binary, (await libraryFolders(unpacked)).join(":"));
      if (missing.length === 0) break;
      const wanted = packagesFor(missing, await dependencies()).filter((name) => !asked.has(name));
      if (wanted.length === 0 || round === libraryRoundsMax)
        throw new Error(`libraries are still missing: ${missing.join(", ")}`);
      await fetch(wanted);
      for (const name of wanted) asked.add(name);
    }
    const folders = (await libraryFolders(unpacked)).map((folder) => path.relative(unpacked, folder));
    await mkdir(packages.into, { recursive: true });
    await rename(unpacked, path.join(packages.into, "root"));
    await writeFile(path.join(packages.into, "fonts.conf"), fontsConfiguration);
    await writeFile(path.join(packages.into, kind.name), launcher(kind.name, folders), { mode: 0o755 });
  });
}

/** Of the packages' own libraries; Chromium finds those beside itself. */
async function libraryFolders(unpacked: string): Promise<string[]> {
  const files = await readdir(unpacked, { recursive: true });
  const libraries = files.filter((file) => /\.so(\.\d+)*$/.test(file) && !file.includes("lib/chromium"));
  return [...new Set(libraries.map((file) => path.join(unpacked, path.dirname(file))))];
}

const fontsConfiguration = `<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig><dir prefix="relative">root/usr/share/fonts</dir></fontconfig>
`;

/** Found beside itself, so that the cache may be moved; exec keeps one process, whose id is the browser's. */
function launcher(name: string, folders: readonly string[]): string {
  const libraries = folders.map((folder) => `$here/root/${folder}`).join(":");
  return `#!/bin/sh
here=$(cd "$(dirname "$0")" && pwd)
export FONTCONFIG_FILE="$here/fonts.conf"
LD_LIBRARY_PATH="${libraries}\${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}" exec "$here/root/usr/lib/chromium/${name}" "$@"
`;
}
