// Fetches packages from the machine's own archive mirror with apt-get and unpacks them into a private folder.
// Nothing is installed, the system's sources and lists stay untouched, root is not needed; apt checks the archive's key.

import { cp, mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import {
  archiveOf,
  type AptSource,
  mirrorsOf,
  parseDeb822,
  parseOneLine,
  parseOsRelease,
  type Release,
  writeDeb822,
} from "./apt-sources.js";
import type { Progress } from "./progress.js";
import { lastLine, runCommand } from "./run-command.js";
import type { ServerKind } from "./server-kinds.js";

// Where a distribution keeps its newest packages: the suite that has a nats-server on the floor, and the archive's key.
const distributions: Readonly<Record<string, { newestSuite: string; components: string[]; keyring: string }>> = {
  debian: { newestSuite: "sid", components: ["main"], keyring: "/usr/share/keyrings/debian-archive-keyring.gpg" },
  ubuntu: {
    newestSuite: "devel",
    components: ["main", "universe"],
    keyring: "/usr/share/keyrings/ubuntu-archive-keyring.gpg",
  },
};
const updateTimeoutMs = 180_000; // 3 s measured; a slow mirror needs minutes for 20 MB of lists
const libraryRoundsMax = 4; // a library may itself need a library

export interface Packages {
  /** Folder that receives one executable named like the server, and what it needs. */
  readonly into: string;
  readonly progress: Progress;
  readonly etc?: string;
}

export async function natsFromDebian(kind: ServerKind, packages: Packages): Promise<void> {
  const { release, archive } = await readArchive(packages.etc ?? "/etc");
  const distribution = distributionOf(release);
  const newest: AptSource[] = mirrorsOf(archive).map((uri) => ({
    uris: [uri],
    suites: [distribution.newestSuite],
    components: distribution.components,
    signedBy: distribution.keyring,
  }));
  await withArea(packages, newest, async (area) => {
    await area.fetch([kind.name]);
    await cp(await area.find(kind.name), path.join(packages.into, kind.name), { dereference: true });
  });
}

export async function redisFromDebian(kind: ServerKind, packages: Packages): Promise<void> {
  const { release, archive } = await readArchive(packages.etc ?? "/etc");
  distributionOf(release);
  await withArea(packages, archive, async (area) => {
    await area.fetch(["redis-server", "redis-tools"]); // redis-server is a link into redis-tools
    const binary = path.join(packages.into, `${kind.name}.bin`);
    const libraries = path.join(packages.into, "lib");
    await mkdir(libraries, { recursive: true });
    await cp(await area.find(kind.name), binary, { dereference: true });
    await addMissingLibraries(area, binary, libraries);
    await writeFile(path.join(packages.into, kind.name), launcher(kind.name), { mode: 0o755 });
  });
}

function distributionOf(release: Release) {
  const distribution = distributions[release.id];
  if (!distribution)
    throw new Error(`this is ${release.id || "no Debian-like system"}: its packages are not known here`);
  return distribution;
}

export async function readArchive(etc: string): Promise<{ release: Release; archive: AptSource[] }> {
  const release = parseOsRelease(await readFile(path.join(etc, "os-release"), "utf8").catch(() => ""));
  const distribution = distributionOf(release);
  const configuration = path.join(etc, "apt");
  const parts = await readdir(path.join(configuration, "sources.list.d")).catch(() => []);
  const sources: AptSource[] = [];
  for (const name of ["sources.list", ...parts.map((part) => path.join("sources.list.d", part))]) {
    const text = await readFile(path.join(configuration, name), "utf8").catch(() => "");
    if (name.endsWith(".sources")) sources.push(...parseDeb822(text));
    else if (name.endsWith(".list")) sources.push(...parseOneLine(text));
  }
  const archive = archiveOf(sources, release, distribution.keyring);
  if (mirrorsOf(archive).length === 0)
    throw new Error(`no mirror of ${release.id} ${release.codename} among apt's configured sources`);
  return { release, archive };
}

export interface Area {
  /** Where the packages are unpacked, gone afterwards. */
  readonly unpacked: string;
  fetch(names: readonly string[]): Promise<void>;
  find(fileName: string): Promise<string>;
  dependencies(): Promise<string[]>;
}

/** A private apt: own sources, lists and cache, gone afterwards. */
export async function withArea(
  packages: Packages,
  sources: readonly AptSource[],
  use: (area: Area) => Promise<void>,
): Promise<void> {
  const folder = path.join(packages.into, ".apt");
  const unpacked = path.join(folder, "unpacked");
  try {
    await mkdir(path.join(folder, "lists", "partial"), { recursive: true });
    await mkdir(path.join(folder, "cache", "archives", "partial"), { recursive: true });
    await mkdir(unpacked, { recursive: true });
    await writeFile(path.join(folder, "archive.sources"), writeDeb822(sources));
    await writeFile(path.join(folder, "apt.conf"), aptConfiguration(folder));
    await apt(folder, packages.progress, ["update"]);
    await use({
      unpacked,
      async fetch(names) {
        await apt(folder, packages.progress, ["download", ...names]);
        for (const deb of await debsIn(folder)) await command("dpkg-deb", ["-x", deb, unpacked], folder);
      },
      async find(fileName) {
        const found = (await readdir(unpacked, { recursive: true })).find(
          (name) => path.basename(name) === fileName && /(^|\/)s?bin\/|(^|\/)lib\//.test(name),
        );
        if (found === undefined) throw new Error(`the packages hold no ${fileName}`);
        return path.join(unpacked, found);
      },
      async dependencies() {
        const fields = [];
        for (const deb of await debsIn(folder)) fields.push(await command("dpkg-deb", ["-f", deb, "Depends"], folder));
        return [
          ...new Set(
            fields.flatMap((field) =>
              [...field.matchAll(/(?:^|[,|])\s*([a-z0-9][a-z0-9+.-]*)/g)].map((match) => match[1] as string),
            ),
          ),
        ];
      },
    });
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function debsIn(folder: string): Promise<string[]> {
  return (await readdir(folder)).filter((name) => name.endsWith(".deb"));
}

function aptConfiguration(folder: string): string {
  return `
Dir::Etc::sourcelist "${folder}/archive.sources";
Dir::Etc::sourceparts "/dev/null";
Dir::Etc::preferences "/dev/null";
Dir::Etc::preferencesparts "/dev/null";
Dir::State::lists "${folder}/lists";
Dir::Cache "${folder}/cache";
APT::Sandbox::User "root";
Acquire::Languages "none";
Acquire::Retries "2";
Acquire::AllowInsecureRepositories "false";
Acquire::AllowWeakRepositories "false";
APT::Get::AllowUnauthenticated "false";
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
`;
}

async function apt(folder: string, progress: Progress, args: readonly string[]): Promise<void> {
  const onLine = (line: string) => {
    const got = /^Get:\d+ \S+ (.+) \[([^\]]+)\]$/.exec(line);
    if (got) progress(`${got[1]} (${got[2]})`);
  };
  await command("apt-get", ["-c", path.join(folder, "apt.conf"), ...args], folder, onLine);
}

async function command(
  name: string,
  args: readonly string[],
  cwd: string,
  onLine?: (line: string) => void,
): Promise<string> {
  const env = { ...process.env, LC_ALL: "C", DEBIAN_FRONTEND: "noninteractive" };
  const result = await runCommand(name, args, { cwd, env, timeoutMs: updateTimeoutMs, ...(onLine && { onLine }) });
  if (result.kind === "unusable") throw new Error(`${name}: ${result.why}`);
  if (result.code !== 0)
    throw new Error(
      `${name} ${args.find((arg) => /^[a-z]/.test(arg)) ?? ""} ended with ${result.code}: ${lastLine(result.output)}`,
    );
  return result.output;
}

async function addMissingLibraries(area: Area, binary: string, libraries: string): Promise<void> {
  const asked = new Set<string>();
  for (let round = 0; round < libraryRoundsMax; round += 1) {
    const missing = await missingLibraries(binary, libraries);
    if (missing.length === 0) return;
    const wanted = packagesFor(missing, await area.dependencies()).filter((name) => !asked.has(name));
    if (wanted.length > 0) await area.fetch(wanted);
    for (const name of wanted) asked.add(name);
    for (const library of missing)
      await cp(await area.find(library), path.join(libraries, library), { dereference: true });
  }
  throw new Error(`libraries are still missing: ${(await missingLibraries(binary, libraries)).join(", ")}`);
}

/** `libraries`: folders, separated as in LD_LIBRARY_PATH. */
export async function missingLibraries(binary: string, libraries: string): Promise<string[]> {
  const env = { ...process.env, LC_ALL: "C", LD_LIBRARY_PATH: libraries };
  const result = await runCommand("ldd", [binary], { env, timeoutMs: 10_000 });
  if (result.kind === "unusable") throw new Error(`ldd: ${result.why}`);
  return [...result.output.matchAll(/^\s*(\S+) => not found$/gm)].map((match) => match[1] as string);
}

/** Debian names a library's package after its soname: libjemalloc.so.2 → libjemalloc2 (or …2t64). */
export function packagesFor(sonames: readonly string[], dependencies: readonly string[]): string[] {
  return sonames.flatMap((soname) => {
    const [stem, version] = soname.toLowerCase().split(".so.") as [string, string | undefined];
    const named = dependencies.filter(
      (name) => name.startsWith(stem) && (version === undefined || name.includes(version)),
    );
    return named.length > 0
      ? named
      : dependencies.filter((name) => name.startsWith("lib") && !name.startsWith("libc6"));
  });
}

/** Found beside itself, so that the cache may be moved; exec keeps one process, whose id is the server's. */
function launcher(name: string): string {
  return `#!/bin/sh
here=$(cd "$(dirname "$0")" && pwd)
LD_LIBRARY_PATH="$here/lib\${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}" exec "$here/${name}.bin" "$@"
`;
}
