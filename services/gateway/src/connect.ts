// The connections of the gateway and of its tap keeper, each with the .creds file of its own NATS user.

import path from "node:path";
import { type Backbone, connectBackbone, INBOX_PREFIXES, readPrivate } from "@outcry/backbone";
import { OutcryError } from "@outcry/protocol";
import type { ServiceContext } from "@outcry/runtime";

const TOKEN = /^[A-Za-z0-9_-]+$/;

/** Both are parts of subjects. */
export function checkTapName(tap: string | undefined, domain: string | undefined): void {
  if (tap !== undefined && !TOKEN.test(tap))
    throw new OutcryError("config_invalid", `OUTCRY_EVENTS_TAP: ${JSON.stringify(tap)} is not one token`);
  if (domain === undefined) return;
  if (!TOKEN.test(domain))
    throw new OutcryError("config_invalid", `OUTCRY_RECORD_DOMAIN: ${JSON.stringify(domain)} is not one token`);
  if (tap === undefined)
    throw new OutcryError(
      "config_invalid",
      "OUTCRY_RECORD_DOMAIN needs OUTCRY_EVENTS_TAP: EVENTS is not in this domain",
    );
}

export function connectAs(
  { config, clock, log }: ServiceContext,
  user: "gateway" | "tap",
  domain: string | undefined,
): Promise<Backbone> {
  const { natsUrl, natsAuthDir, natsTlsCaFile } = config;
  if (natsUrl === undefined || natsAuthDir === undefined) {
    throw new OutcryError("config_invalid", "not set: OUTCRY_NATS_URL or OUTCRY_NATS_AUTH_DIR");
  }
  return connectBackbone({
    servers: natsUrl,
    credentials: { creds: readPrivate(path.join(natsAuthDir, `${user}.creds`)) },
    name: user,
    inboxPrefix: INBOX_PREFIXES.gateway,
    ...(domain === undefined ? {} : { domain }),
    ...(natsTlsCaFile === undefined ? {} : { tls: { caFile: natsTlsCaFile } }),
    log,
    clock,
  });
}
