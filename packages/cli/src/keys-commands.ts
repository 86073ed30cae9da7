// outcry keys gen|jwks: signing keys of a service or node. (API keys are `api-key`.)

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
