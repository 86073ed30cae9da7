// Downloads the upstream nats-server release. Only the versions pinned here, only when the bytes have the pinned digest.
// Source of the digests: nats-io/nats-docker at aa0caa57, 2.14.x/alpine3.22/Dockerfile.

import { createHash } from "node:crypto";
import { copyFile, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import type { Progress } from "./progress.js";
import { lastLine, runCommand } from "./run-command.js";

const version = "2.14.5";
const sha256ByArchitecture: Readonly<Record<string, { name: string; sha256: string }>> = {
  x64: { name: "amd64", sha256: "5e3b603d47c447bda1f77f9ac16dbf91c90aac4ff3681f8fbbc7201e4ed99355" },
  arm64: { name: "arm64", sha256: "673a98d3faa79dde3f9ebf16d6dfac36a5f694e7ad2015e4954dd7939c85cd4c" },
};
const releases = "https://github.com/nats-io/nats-server/releases/download";
const downloadTimeoutMs = 180_000; // 7 MB; slower than 40 kB/s is given up
const progressEveryMs = 1000;

export interface UpstreamRelease {
  readonly into: string;
  readonly progress: Progress;
  readonly platform?: string;
  readonly architecture?: string;
  readonly baseUrl?: string;
}

export async function natsFromUpstream(release: UpstreamRelease): Promise<void> {
  const architecture = sha256ByArchitecture[release.architecture ?? process.arch];
  if ((release.platform ?? process.platform) !== "linux" || !architecture)
    throw new Error("no release is pinned for this system");

  const folder = `nats-server-v${version}-linux-${architecture.name}`;
  const bytes = await download(`${release.baseUrl ?? releases}/v${version}/${folder}.tar.gz`, release.progress);
  const digest = createHash("sha256").update(bytes).digest("hex");
  if (digest !== architecture.sha256)
    throw new Error(`the download's SHA-256 is ${digest}, pinned is ${architecture.sha256}`);

  const archive = path.join(release.into, "release.tar.gz");
  await writeFile(archive, bytes);
  const unpacked = await runCommand("tar", ["-xzf", archive, "-C", release.into], { timeoutMs: 60_000 });
  if (unpacked.kind === "unusable") throw new Error(`tar: ${unpacked.why}`);
  if (unpacked.code !== 0) throw new Error(`tar ended with ${unpacked.code}: ${lastLine(unpacked.output)}`);
  await copyFile(path.join(release.into, folder, "nats-server"), path.join(release.into, "nats-server"));
  await rm(path.join(release.into, folder), { recursive: true });
  await rm(archive);
}

async function download(url: string, progress: Progress): Promise<Buffer> {
  const response = await fetch(url, { signal: AbortSignal.timeout(downloadTimeoutMs) }).catch((error: unknown) => {
    const cause = error instanceof Error && error.cause instanceof Error ? error.cause.message : String(error);
    throw new Error(`${new URL(url).host} cannot be reached: ${cause}`, { cause: error });
  });
  if (!response.ok || !response.body) throw new Error(`${url} answered ${response.status}`);
  const total = Number(response.headers.get("content-length") ?? 0);
  const chunks: Uint8Array[] = [];
  let received = 0;
  let shownAt = Date.now();
  for await (const chunk of response.body as AsyncIterable<Uint8Array>) {
    chunks.push(chunk);
    received += chunk.length;
    if (Date.now() - shownAt < progressEveryMs) continue;
    shownAt = Date.now();
    progress(`nats-server ${version}: ${(received / 1e6).toFixed(1)} of ${(total / 1e6).toFixed(1)} MB`);
  }
  return Buffer.concat(chunks);
}
