// The two foreign servers, and the browser of the tests: how each is called, which versions will do, how it tells its version.

export type ServerName = "nats-server" | "redis-server" | "chromium-headless-shell";

export interface ServerKind {
  readonly name: ServerName;
  /** Other names under which it may be on PATH. */
  readonly otherNames: readonly string[];
  readonly variable: string;
  readonly floor: string;
  readonly versionArgs: readonly string[];
  readonly versionPattern: RegExp;
  readonly brew: string;
  /** What names one that runs elsewhere. */
  readonly address?: string;
  isNewEnough(version: Version): boolean;
}

export type Version = readonly [major: number, minor: number, patch: number];

export const natsServer: ServerKind = {
  name: "nats-server",
  otherNames: [],
  variable: "OUTCRY_NATS_SERVER",
  floor: "2.12.7 or a later 2.12, or 2.14 and newer",
  versionArgs: ["-v"],
  versionPattern: /nats-server: v(\d+)\.(\d+)\.(\d+)/,
  brew: "brew install nats-server",
  address: "NATS_URL",
  // Atomic batches came with 2.12; the security fixes of 2026 with 2.12.7 and 2.14.0, and no 2.13 is known to have them.
  isNewEnough: (version) =>
    (atLeast(version, [2, 12, 7]) && !atLeast(version, [2, 13, 0])) || atLeast(version, [2, 14, 0]),
};

export const redisServer: ServerKind = {
  name: "redis-server",
  otherNames: [],
  variable: "OUTCRY_REDIS_SERVER",
  floor: "6.2 and newer",
  versionArgs: ["--version"],
  versionPattern: /(?:Redis|Valkey) server v=(\d+)\.(\d+)\.(\d+)/,
  brew: "brew install redis",
  address: "REDIS_URL",
  isNewEnough: (version) => atLeast(version, [6, 2, 0]),
};

/** Only tests of pages need it. */
export const chromium: ServerKind = {
  name: "chromium-headless-shell",
  otherNames: ["chromium", "chromium-browser", "google-chrome"],
  variable: "OUTCRY_CHROMIUM",
  floor: "120 and newer",
  versionArgs: ["--version"],
  versionPattern: /Chrom(?:ium|e) (\d+)\.(\d+)\.(\d+)/,
  brew: "brew install --cask chromium, and set OUTCRY_CHROMIUM to its file",
  isNewEnough: (version) => atLeast(version, [120, 0, 0]),
};

export function parseVersion(kind: ServerKind, text: string): Version | undefined {
  const found = kind.versionPattern.exec(text);
  return found ? [Number(found[1]), Number(found[2]), Number(found[3])] : undefined;
}

export function atLeast(version: Version, floor: Version): boolean {
  for (const at of [0, 1, 2] as const) {
    if (version[at] !== floor[at]) return version[at] > floor[at];
  }
  return true;
}
