// Request bodies: application/json through parseStrict, nothing else (threats 8 and 9 of the threat table).

import { LIMITS, OutcryError, parseStrict } from "@outcry/protocol";
import type { FastifyRequest } from "fastify";
import type { App } from "./principal.js";

export function useStrictJson(app: App): void {
  app.removeAllContentTypeParsers();
  app.addContentTypeParser(
    "application/json",
    { parseAs: "buffer", bodyLimit: LIMITS.bodyBytesMax },
    async (request: FastifyRequest, bytes: Buffer) => {
      // An inflated body has no bound that a length header could announce.
      const encoding = request.headers["content-encoding"] ?? "identity";
      if (encoding !== "identity") throw new OutcryError("media_type_unsupported", "Content-Encoding is not accepted.");
      // Clients send the header with an empty body where none is wanted.
      if (bytes.length === 0 && request.routeOptions.schema?.body === undefined) return undefined;
      const parsed = parseStrict(bytes, { bytesMax: request.routeOptions.bodyLimit ?? LIMITS.bodyBytesMax });
      if (parsed.kind === "refused") throw new OutcryError(parsed.code, parsed.detail);
      return parsed.value;
    },
  );
}
