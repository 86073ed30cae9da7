// What describes the service: its API document and the page made of it, the error pages that problems link to, and its public keys.

import { createHash } from "node:crypto";
import { type ErrorCode, ERRORS, LIMITS, OutcryError, type PublicKey } from "@outcry/protocol";
import Type from "typebox";
import type { SigningKeys } from "../../access/signing-keys.js";
import type { App } from "../principal.js";
import { type ApiDocument, REFERENCE_CSP, referencePage } from "../reference/reference-page.js";

const KEYS_MAX_AGE_S = LIMITS.signingKeyLeadMs / 1_000; // a rotation publishes the new key so long before it signs

export interface MetaDeps {
  signingKeys: Pick<SigningKeys, "published">;
  /** The finished document. */
  document(): unknown;
}

export function metaRoutes(app: App, deps: MetaDeps): void {
  app.get(
    "/.well-known/jwks.json",
    {
      config: { roles: "public", ownLimits: true }, // every node reads it when the keys change
      schema: { operationId: "getKeys", summary: "Keys that sign intents and tokens (RFC 7517)", tags: ["meta"] },
    },
    async (request, reply) => {
      const keySet = JSON.stringify({ keys: deps.signingKeys.published().map(forJwks) });
      const keySetTag = `"${createHash("sha256").update(keySet).digest("base64url").slice(0, 22)}"`;
      void reply.header("cache-control", `public, max-age=${KEYS_MAX_AGE_S}`).header("etag", keySetTag);
      if (request.headers["if-none-match"] === keySetTag) return reply.code(304).send();
      return reply.type("application/jwk-set+json").serializer(asIs).send(keySet);
    },
  );

  app.get("/openapi.json", { config: { roles: "public" }, schema: { hide: true } }, async (_request, reply) =>
    reply.header("cache-control", "public, max-age=60").type("application/json").send(deps.document()),
  );

  let reference: string | undefined; // the document is whole once the service listens
  app.get("/docs", { config: { roles: "public" }, schema: { hide: true } }, async (_request, reply) =>
    reply
      .headers({ "content-security-policy": REFERENCE_CSP, "referrer-policy": "no-referrer" })
      .header("cache-control", "public, max-age=60")
      .type("text/html; charset=utf-8")
      .serializer(asIs)
      .send((reference ??= referencePage(deps.document() as ApiDocument))),
  );

  app.get(
    "/errors/:code",
    {
      config: { roles: "public", problems: ["route_not_found"] },
      schema: {
        operationId: "getError",
        summary: "What an error code means and what to do",
        tags: ["meta"],
        params: Type.Object({ code: Type.String() }),
      },
    },
    async (request, reply) => {
      const { code } = request.params;
      if (!Object.hasOwn(ERRORS, code)) throw new OutcryError("route_not_found", "There is no such error code.");
      const page = { code, ...ERRORS[code as ErrorCode] };
      void reply.header("cache-control", "public, max-age=3600").header("vary", "accept, origin");
      if (!request.headers.accept?.includes("text/html")) return page;
      return reply.type("text/html; charset=utf-8").serializer(asIs).send(htmlOf(page));
    },
  );
}

/** RFC 7517 §4 */
const forJwks = (key: PublicKey) => ({ ...key, alg: key.kty === "OKP" ? "EdDSA" : "ES256", use: "sig" });

const asIs = (text: unknown): string => String(text);

/** The table is our own text, without markup. */
function htmlOf(page: {
  code: string;
  number: number;
  httpStatus: number;
  temporary: boolean;
  meaning: string;
  whatToDo: string;
}): string {
  return `<!doctype html><html lang="en"><meta charset="utf-8"><title>${page.code}</title>
<h1>${page.code}</h1><p>${escape(page.meaning)}</p><p><b>What to do:</b> ${escape(page.whatToDo)}</p>
<p>Number ${page.number}, HTTP ${page.httpStatus}, ${page.temporary ? "temporary: the same request may succeed later" : "permanent"}.</p></html>`;
}

const escape = (text: string): string => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
