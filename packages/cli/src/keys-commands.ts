// outcry keys gen|jwks|ls|rotate|revoke: signing keys of a service or node. (API keys are `api-key`.)

import { LIMITS, OutcryError } from "@outcry/protocol";
import { generateKey, publicJwk, saveKeyFile } from "@outcry/signing";
import type { Command } from "./command.js";
import { UsageError } from "./exit-codes.js";
import { fetchKeySet } from "./key-set.js";

export const keysGen: Command = {
  summary: "Make a signing key in a file that you alone can read",
  args: ["file"],
  options: {},
  examples: ["keys gen signing-key.json", "keys gen node-key.json --json   # the public JWK, to register"],
  async run({ args, print }) {
    const file = args[0]!;
    const key = generateKey();
    try {
      saveKeyFile(file, key);
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException;
      throw new UsageError(code === "EEXIST" ? `${file} exists: a key is never replaced` : `${file}: ${message}`);
    }
    const jwk = publicJwk(key);
    print.one(jwk, [`${file}  mode 0600, Ed25519, kid ${key.kid}`, JSON.stringify(jwk)]);
  },
};

export const keysJwks: Command = {
  summary: "The keys that the service publishes",
  args: [],
  options: {},
  examples: ["keys jwks"],
  async run(context) {
    context.print.list(await fetchKeySet(context), {
      KID: (key) => key.kid,
      ALG: (key) => key.alg,
      CURVE: (key) => key.crv,
      X: (key) => key.x,
    });
  },
};

export const keysLs: Command = {
  summary: "The service's signing keys: next, signing, retiring, revoked",
  args: [],
  options: {},
  examples: ["keys ls"],
  async run({ client, print }) {
    print.list((await client.signingKeys.list()).data, {
      KID: (key) => key.kid,
      STATUS: (key) => key.status,
      PUBLISHED: (key) => key.published,
      "LAST SIGNED": (key) => key.last_signed,
      RETIRES: (key) => key.retires,
      REVOKED: (key) => key.revoked,
    });
  },
};

export const keysRotate: Command = {
  summary: "New signing keys at every process: published now, signing later; old ones go on verifying",
  args: [],
  options: {
    "lead-ms": {
      type: "string",
      value: "ms",
      help: `between publishing and signing; ${LIMITS.signingKeyLeadMs} by default, as long as key sets are cached`,
    },
    "dry-run": { type: "boolean", help: "show the keys there are and when a new one would sign, rotate nothing" },
  },
  examples: ["keys rotate --dry-run", "keys rotate"],
  async run({ client, options, print }) {
    const leadMs = options.within("lead-ms", { min: 0, max: 86_400_000, byDefault: LIMITS.signingKeyLeadMs });
    if (options.flag("dry-run")) {
      const signing = (await client.signingKeys.list()).data.filter(({ status }) => status === "signing");
      const from = new Date(Date.now() + leadMs).toISOString();
      return print.one({ signing: signing.map(({ kid }) => kid), signs_from: from }, [
        `signing now: ${signing.map(({ kid }) => kid).join(", ") || "none"}`,
        `a new key would be published at once and sign from ${from}`,
      ]);
    }
    const started = await client.signingKeys.rotate({ leadMs });
    print.one(started, [
      `generation ${started.generation}: new keys sign from ${started.signs_from}`,
      "see them with: outcry keys ls",
    ]);
  },
};

export const keysRevoke: Command = {
  summary: "Revoke a lost signing key: nothing that it signed verifies any more",
  args: ["kid"],
  options: { "dry-run": { type: "boolean", help: "show the key, revoke nothing" } },
  examples: ["keys revoke KID --dry-run", "keys revoke KID"],
  async run({ client, args, options, print }) {
    const kid = args[0]!;
    if (!options.flag("dry-run")) {
      await client.signingKeys.revoke(kid);
      return print.one({ kid, revoked: true }, [`${kid}  revoked`]);
    }
    const found = (await client.signingKeys.list()).data.find((key) => key.kid === kid);
    if (found === undefined) throw new OutcryError("signing_key_not_found");
    print.one(found, [`would be revoked: ${found.kid}  ${found.status}`]);
  },
};
