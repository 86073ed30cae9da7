// The platform's options as the configuration gives them.

import { type AuthFolder, readAuthFolder } from "@outcry/backbone";
import { OutcryError } from "@outcry/protocol";
import type { ServiceContext } from "@outcry/runtime";
import type { PlatformOptions } from "./platform.js";

export interface PlatformConfig {
  platform: PlatformOptions;
  auth: AuthFolder;
  /** As nodes reach them. */
  natsUrls: readonly string[];
}

/** Throws config_invalid naming every variable that is missing. */
export function platformConfig(name: string, { config, log, clock }: ServiceContext): PlatformConfig {
  const { natsUrl, redisUrl, natsAuthDir } = config;
  if (natsUrl === undefined || redisUrl === undefined || natsAuthDir === undefined) {
    const missing = Object.entries({
      OUTCRY_NATS_URL: natsUrl,
      OUTCRY_REDIS_URL: redisUrl,
      OUTCRY_NATS_AUTH_DIR: natsAuthDir,
    });
    throw new OutcryError(
      "config_invalid",
      `not set: ${missing.flatMap(([key, value]) => (value === undefined ? [key] : [])).join(", ")}`,
    );
  }
  const auth = readAuthFolder(natsAuthDir);
  return {
    auth,
    natsUrls: config.natsPublicUrl ?? natsUrl,
    platform: {
      name,
      natsUrl: natsUrl.join(","),
      natsCredentials: { creds: auth.creds.service },
      systemCredentials: { creds: auth.creds.system },
      ...(config.natsMonitorUrl === undefined ? {} : { natsMonitorUrl: config.natsMonitorUrl }),
      ...(config.natsTlsCaFile === undefined ? {} : { natsTls: { caFile: config.natsTlsCaFile } }),
      redisUrl,
      replicas: config.replicas,
      region: config.region,
      allowUnkeptPromises: config.allowUnkeptPromises,
      clock,
      log,
    },
  };
}
