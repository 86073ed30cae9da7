// Finds nats-server and redis-server, or fetches them into a cache. The order is DESIGN's "Starting it"; the first that
// works is used and said. Nothing is installed over the system's, nothing is started.

import { access, constants, mkdir, readdir, rename, rm } from "node:fs/promises";
import path from "node:path";
import { chromiumFromDebian } from "./chromium-packages.js";
import { natsFromDebian, type Packages, redisFromDebian } from "./debian-packages.js";
import { processStart } from "./process-identity.js";
import type { Progress } from "./progress.js";
import { lastLine, runCommand } from "./run-command.js";
import { chromium, natsServer, parseVersion, redisServer, type ServerKind, type ServerName } from "./server-kinds.js";
import { natsFromUpstream } from "./upstream-release.js";

const fromPackages: Readonly<Record<ServerName, (kind: ServerKind, packages: Packages) => Promise<void>>> = {
  "nats-server": natsFromDebian,
  "redis-server": redisFromDebian,
  "chromium-headless-shell": chromiumFromDebian,
};
const versionTimeoutMs = 10_000; // printing a version; slow only when the disk is
const usualSystemFolders = ["/usr/sbin", "/usr/local/sbin", "/usr/local/bin", "/opt/homebrew/bin"]; // often not on a user's PATH

export interface FindServersOptions {
  /** The project's data folder (`.outcry`); fetched servers are kept in its `bin`. */
  readonly dataDir: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly progress?: Progress;
  readonly platform?: string;
  /** Looked into after PATH. */
  readonly systemFolders?: readonly string[];
  /** Where apt's configuration and os-release are read. */
  readonly etc?: string;
  /** Where the upstream release is downloaded from. */
  readonly upstreamUrl?: string;
}

export interface FoundServer {
  readonly path: string;
  readonly version: string;
  readonly source: string;
}

export interface FoundServers {
  readonly natsServer: FoundServer;
  readonly redisServer: FoundServer;
}

/** Every way was tried; the message lists each with its reason, and what to do. */
export class ServersNotFound extends Error {
  override readonly name = "ServersNotFound";
}

export async function findServers(options: FindServersOptions): Promise<FoundServers> {
  await removeAbandoned(path.join(options.dataDir, "bin"));
  const [nats, redis] = await Promise.all([find(natsServer, options), find(redisServer, options)]);
  const failures = [nats, redis].filter((result) => typeof result === "string");
  if (typeof nats === "string" || typeof redis === "string") throw new ServersNotFound(failures.join("\n"));
  return { natsServer: nats, redisServer: redis };
}

/** The browser of the tests, by the same ways. */
export async function findChromium(options: FindServersOptions): Promise<FoundServer> {
  await removeAbandoned(path.join(options.dataDir, "bin"));
  const found = await find(chromium, options);
  if (typeof found === "string") throw new ServersNotFound(found);
  return found;
}

/** The server, or the whole explanation of why there is none. */
async function find(kind: ServerKind, options: FindServersOptions): Promise<FoundServer | string> {
  const progress = (line: string) => options.progress?.(`${kind.name}: ${line}`);
  const tried: string[] = [];
  const found =
    (await fromVariable(kind, options, tried)) ??
    (await fromPath(kind, options, tried)) ??
    (await fromCache(kind, options, tried)) ??
    (await fromDebian(kind, options, progress, tried)) ??
    (await fromUpstream(kind, options, progress, tried));
  if (!found) return explain(kind, options.platform ?? process.platform, tried);
  progress(`${found.version} from ${found.source}`);
  return found;
}

async function fromVariable(
  kind: ServerKind,
  options: FindServersOptions,
  tried: string[],
): Promise<FoundServer | undefined> {
  const file = options.env[kind.variable];
  if (!file) return giveUp(tried, `${kind.variable}: not set`);
  return check(kind, path.resolve(file), kind.variable, tried);
}

async function fromPath(
  kind: ServerKind,
  options: FindServersOptions,
  tried: string[],
): Promise<FoundServer | undefined> {
  const folders = new Set([
    ...(options.env["PATH"] ?? "").split(path.delimiter).filter(path.isAbsolute),
    ...(options.systemFolders ?? usualSystemFolders),
  ]);
  let seen = false;
  const files = [...folders].flatMap((folder) =>
    [kind.name, ...kind.otherNames].map((name) => path.join(folder, name)),
  );
  for (const file of files) {
    if (!(await isExecutable(file))) continue;
    seen = true;
    const found = await check(kind, file, "PATH", tried);
    if (found) return found;
  }
  return seen ? undefined : giveUp(tried, "PATH: none there");
}

async function fromCache(
  kind: ServerKind,
  options: FindServersOptions,
  tried: string[],
): Promise<FoundServer | undefined> {
  const bin = path.join(options.dataDir, "bin");
  const names = (await readdir(bin).catch(() => [])).filter((name) => name.startsWith(`${kind.name}-`));
  const newestFirst = names.sort((a, b) => b.localeCompare(a, "en", { numeric: true }));
  for (const name of newestFirst) {
    const found = await check(
      kind,
      path.join(bin, name, kind.name),
      `the cache ${path.join(path.basename(options.dataDir), "bin")}`,
      tried,
    );
    if (found) return found;
  }
  return names.length > 0 ? undefined : giveUp(tried, `the cache ${bin}: empty`);
}

async function fromDebian(
  kind: ServerKind,
  options: FindServersOptions,
  progress: Progress,
  tried: string[],
): Promise<FoundServer | undefined> {
  if ((options.platform ?? process.platform) !== "linux") return undefined;
  return fetchInto(kind, options, "the distribution's packages", progress, tried, (into) =>
    fromPackages[kind.name](kind, { into, progress, ...(options.etc !== undefined && { etc: options.etc }) }),
  );
}

async function fromUpstream(
  kind: ServerKind,
  options: FindServersOptions,
  progress: Progress,
  tried: string[],
): Promise<FoundServer | undefined> {
  if (kind !== natsServer || (options.platform ?? process.platform) !== "linux") return undefined;
  return fetchInto(kind, options, "the upstream release", progress, tried, (into) =>
    natsFromUpstream({ into, progress, ...(options.upstreamUrl !== undefined && { baseUrl: options.upstreamUrl }) }),
  );
}

/** Fetches beside the cache, checks, then moves in with one rename: a caller never sees half a server. */
async function fetchInto(
  kind: ServerKind,
  options: FindServersOptions,
  source: string,
  progress: Progress,
  tried: string[],
  fetchServer: (into: string) => Promise<void>,
): Promise<FoundServer | undefined> {
  const bin = path.resolve(options.dataDir, "bin");
  const staging = path.join(bin, `.fetching-${process.pid}-${Math.random().toString(36).slice(2)}-${kind.name}`);
  try {
    await mkdir(staging, { recursive: true });
    progress(`fetching from ${source}`);
    await fetchServer(staging);
    const staged = await check(kind, path.join(staging, kind.name), source, tried);
    if (!staged) return undefined;
    const home = path.join(bin, `${kind.name}-${staged.version}`);
    const file = path.join(home, kind.name);
    if (!(await moveIn(staging, home)) && !(await check(kind, file, source, []))) {
      await rm(home, { recursive: true, force: true }); // what stood there is damaged: ours takes its place
      await moveIn(staging, home);
    }
    return await check(kind, file, source, tried);
  } catch (error) {
    return giveUp(tried, `${source}: ${error instanceof Error ? error.message : String(error)}`);
  } finally {
    await rm(staging, { recursive: true, force: true });
  }
}

/** False when the place is taken: another caller was first with the same version. */
async function moveIn(staging: string, home: string): Promise<boolean> {
  try {
    await rename(staging, home);
    return true;
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code !== "EEXIST" && code !== "ENOTEMPTY") throw error;
    return false;
  }
}

/** A fetch that was killed leaves its folder; it is ours to remove once its process is gone. */
async function removeAbandoned(bin: string): Promise<void> {
  for (const name of await readdir(bin).catch(() => [])) {
    const pid = /^\.fetching-(\d+)-/.exec(name)?.[1];
    if (pid !== undefined && processStart(Number(pid)) === undefined)
      await rm(path.join(bin, name), { recursive: true, force: true });
  }
}

async function check(
  kind: ServerKind,
  file: string,
  source: string,
  tried: string[],
): Promise<FoundServer | undefined> {
  const result = await runCommand(file, kind.versionArgs, { timeoutMs: versionTimeoutMs });
  if (result.kind === "unusable") return giveUp(tried, `${source}: ${file} does not run (${result.why})`);
  const version = parseVersion(kind, result.output);
  if (!version)
    return giveUp(tried, `${source}: ${file} does not run (${lastLine(result.output) || `ended with ${result.code}`})`);
  if (!kind.isNewEnough(version))
    return giveUp(tried, `${source}: ${file} is ${version.join(".")}, needed is ${kind.floor}`);
  return { path: file, version: version.join("."), source };
}

async function isExecutable(file: string): Promise<boolean> {
  return access(file, constants.X_OK).then(
    () => true,
    () => false,
  );
}

function giveUp(tried: string[], why: string): undefined {
  tried.push(why);
  return undefined;
}

function explain(kind: ServerKind, platform: string, tried: readonly string[]): string {
  const whatToDo =
    platform === "darwin"
      ? [kind.brew]
      : [
          `install ${kind.name} (${kind.floor}) and put it on PATH, or`,
          `set ${kind.variable} to its file${kind.address === undefined ? "" : ", or"}`,
          ...(kind.address === undefined
            ? []
            : [`run one elsewhere (in a container, say) and give its address in ${kind.address}`]),
        ];
  return [
    `${kind.name} was not found. Tried:`,
    ...tried.map((line) => `  - ${line}`),
    "What to do:",
    ...whatToDo.map((line) => `  ${line}`),
  ].join("\n");
}
